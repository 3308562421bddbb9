// The full id of a git object. Callers resolve refs, node names and abbreviated ids before they use this type.

import type { Brand } from './brand.ts';

/** 40 lower-case hex digits. */
export type Oid = Brand<string, 'OID'>;

export function isOid(text: string): text is Oid {
  return /^[0-9a-f]{40}$/.test(text);
}

/** Reads an id from foreign text; undefined: the text is no id. */
export function parseOid(text: string | undefined): Oid | undefined {
  return text !== undefined && isOid(text) ? text : undefined;
}

/** @param bytes the twenty bytes of an id, as a tree has them */
export function oidOfBytes(bytes: Buffer): Oid {
  return bytes.toString('hex') as Oid;
}

/** The all-zero id, which git writes in place of a ref that does not exist. */
export const ZERO_OID = '0'.repeat(40) as Oid;
