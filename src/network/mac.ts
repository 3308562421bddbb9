// MACs in one spelling, so that the program can compare them.

import type { Brand } from '../api/brand.ts';

/** A MAC in lower case with colons, such as `fa:16:3e:5e:62:3e`. */
export type Mac = Brand<string, 'MAC'>;

export function isMac(text: string): text is Mac {
  return /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);
}

/** Reads a MAC with colons in either case; undefined: the text is no MAC. */
export function parseMac(text: string): Mac | undefined {
  const lower = text.toLowerCase();
  return isMac(lower) ? lower : undefined;
}

/** Entries of a record that has MACs as its keys, without the entries whose key is no MAC. */
export function entriesByMac<T>(record: Readonly<Record<string, T>>): (readonly [Mac, T])[] {
  return Object.entries(record).flatMap(([key, value]) => (isMac(key) ? [[key, value] as const] : []));
}
