import { isOid, type Oid } from '../../src/api/oid.ts';

/** The id of a text in a test: the id itself, or for any other text an id made from it. */
export function oid(text: string): Oid {
  const padded = isOid(text) ? text : Buffer.from(text).toString('hex').padEnd(40, '0').slice(0, 40);
  if (!isOid(padded)) throw new Error(`${text} is no id`);
  return padded;
}
