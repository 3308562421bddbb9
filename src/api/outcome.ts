import * as z from 'zod';
import { oidSchema } from './oid-schema.ts';
import { readReason } from './reasons/reasons.ts';
import { RESULTS } from './results.ts';

/** A report has to fit a pod's termination message. */
export const OUTCOME_MAX_BYTES = 4096;

// A commit message has these words in its lines, and a host must not be able to add lines of its own.
const word = z.string().regex(/^[\x21-\x7e]{1,253}$/);
const reason = z
  .string()
  .regex(/^[A-Z][A-Za-z]{0,63}$/)
  .transform(readReason);

/** The agent's report of one run, shared by agent, scheduler and both homes. */
export const Outcome = z.strictObject({
  version: z.literal(1),
  node: z.string(),
  job: z.string(),
  /** The commit that the Job was made for. */
  commit: oidSchema,
  result: z.enum(RESULTS),
  /** Reason (PascalCase, stable) for a result other than Applied: `InterfacesMissing`, `NicInUse`, `VerifyFailed`… */
  reason: reason.optional(),
  /** For people: what happened and what to do. */
  message: z.string().optional(),
  /** Name of the agent's step in which the run ended. */
  step: z.string(),
  /** git tree id of the managed files that the agent read back from the host at the end. */
  tree: oidSchema.optional(),
  /** Empty: the host did not report it. */
  machineId: word.or(z.literal('')),
  bootId: word.or(z.literal('')),
  startedAt: z.iso.datetime(),
  durationMs: z.number().int().nonnegative(),
  /** Host paths written and removed; empty when nothing had to change. */
  written: z.array(z.string()).default([]),
  removed: z.array(z.string()).default([]),
  /** MACs that are wanted but not on the machine. */
  missing: z.array(word).default([]),
  /** MACs that the Job left out: the host has the NICs, without configuration of ours. */
  leftOut: z.array(word).optional(),
  /** Managed names (and netplan IDs) that NICs on the host already have; the controller adopts them. */
  found: z.array(z.strictObject({ mac: word, name: word, netplanId: word.optional() })).default([]),
  /** The commit that the host's record names, when that is not the expected one; null: the host has no record. */
  record: oidSchema.nullable().optional(),
  /** Codes (PascalCase, stable) of conditions that are harmless now and may break later; the message explains each. */
  warnings: z.array(reason).optional(),
  /** List entries that were cut to fit OUTCOME_MAX_BYTES. */
  omitted: z.number().int().positive().optional(),
});
export type Outcome = z.infer<typeof Outcome>;
