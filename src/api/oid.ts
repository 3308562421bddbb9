// The id of a git object. A ref, a node's name and the first digits of an id are other texts, and are resolved first.

import type { Brand } from './brand.ts';

/** 40 lower-case hex digits. */
export type Oid = Brand<string, 'OID'>;

export function isOid(text: string): text is Oid {
  return /^[0-9a-f]{40}$/.test(text);
}

/** Reads an id from a text of others; undefined: the text is none. */
export function parseOid(text: string | undefined): Oid | undefined {
  return text !== undefined && isOid(text) ? text : undefined;
}

/** @param bytes the twenty bytes of an id, as a tree has them */
export function oidOfBytes(bytes: Buffer): Oid {
  return bytes.toString('hex') as Oid;
}

/** The id of no object: git writes it where a ref does not exist. */
export const ZERO_OID = '0'.repeat(40) as Oid;
