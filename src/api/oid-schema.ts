import * as z from 'zod';
import type { Oid } from './oid.ts';

/** The id of a git object in a job, a report or a record. */
export const oidSchema = z
  .string()
  .regex(/^[0-9a-f]{40}$/)
  .transform((text) => text as Oid);
