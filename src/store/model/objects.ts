// Raw git objects to values.

import { isOid, ZERO_OID, type Oid } from '../../api/oid.ts';
import { printable, printableLine } from '../../network/text.ts';
import { parseMessage } from './commit-message.ts';

import type { Commit, Stamp } from './store-port.ts';

export interface TreeItem {
  readonly mode: string;
  readonly name: string;
  readonly oid: Oid;
}

/** Longest name, address or subject, in characters. The reader cuts a longer one, and the push policy refuses it. */
export const MAX_NAME = 200;
export const MAX_SUBJECT = 500;

export const TREE_MODE = '040000';

export function parseTree(data: Buffer): TreeItem[] {
  const items: TreeItem[] = [];
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const end = data.indexOf(0, space);
    items.push({
      mode: data.toString('latin1', at, space).padStart(6, '0'),
      name: data.toString('utf8', space + 1, end),
      oid: data.toString('hex', end + 1, end + 21) as Oid,
    });
    at = end + 21;
  }
  return items;
}

/**
 * Reads a commit as git reads it: of a repeated header, the first counts. Names and the subject become one bounded line
 * of visible text, because they go to terminals and into statuses.
 * @param size bytes of the whole commit, when `data` is its beginning
 */
export function parseCommit(oid: Oid, data: Buffer, size = data.length): Commit {
  const text = data.toString('utf8');
  const end = text.indexOf('\n\n');
  const headers = readHeaders(text.slice(0, end === -1 ? text.length : end));
  const flaw = flawOf(headers);
  const { subject, body, trailers } = parseMessage(end === -1 ? '' : text.slice(end + 2));
  const long = tooLong(headers, subject);
  const cut = size > data.length ? `[cut: the commit has ${size} bytes]` : '';
  return {
    oid,
    tree: headers.get('tree')?.find(isOid) ?? ZERO_OID,
    parents: headers.get('parent')?.filter(isOid) ?? [],
    author: parseStamp(headers.get('author')?.[0]),
    committer: parseStamp(headers.get('committer')?.[0]),
    subject: printableLine(subject, MAX_SUBJECT),
    body: [printable(body), cut].filter((part) => part !== '').join('\n'),
    // A commit that was cut has lost its last paragraph, and so its trailers.
    trailers: cut === '' ? trailers : [],
    ...(flaw !== undefined && { flaw }),
    ...(long !== undefined && { long }),
  };
}

function tooLong(headers: ReadonlyMap<string, readonly string[]>, subject: string): string | undefined {
  if (subject.length > MAX_SUBJECT) return 'a subject';
  const key = STAMPS.find((each) => {
    const [, name = '', email = ''] = STAMP.exec(headers.get(each)?.[0] ?? '') ?? [];
    return name.length > MAX_NAME || email.length > MAX_NAME;
  });
  return key && `a name or an address of its ${key}`;
}

/**
 * Values of each header, in order. A signature continues over lines that begin with a space: such lines have an empty
 * key.
 */
function readHeaders(text: string): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ');
    const key = line.slice(0, space);
    const values = headers.get(key);
    if (values === undefined) headers.set(key, [line.slice(space + 1)]);
    else values.push(line.slice(space + 1));
  }
  return headers;
}

function flawOf(headers: ReadonlyMap<string, readonly string[]>): string | undefined {
  const doubled = ONCE.find((key) => (headers.get(key)?.length ?? 0) > 1);
  if (doubled !== undefined) return `it has two ${doubled} headers`;
  const odd = STAMPS.find((key) => !isPlausible(headers.get(key)?.[0] ?? ''));
  return odd && `its ${odd} has no date between 1970 and 9999`;
}

const STAMPS = ['author', 'committer'] as const;
const ONCE = ['tree', ...STAMPS];
const STAMP = /^(.*?) ?<([^>]*)> (-?\d+) [+-]\d{4}$/;
/** End of the year 9999, the last year that date formats can write. */
const MAX_TIME = 253_402_300_799;

function isPlausible(stamp: string): boolean {
  const time = Number(STAMP.exec(stamp)?.[3] ?? -1);
  return time >= 0 && time <= MAX_TIME;
}

/** Reads a time outside of the calendar as the nearest time in it. */
function parseStamp(text = ''): Stamp {
  const [, name = '', email = '', time = '0'] = STAMP.exec(text) ?? [];
  return {
    name: printableLine(name, MAX_NAME),
    email: printableLine(email, MAX_NAME),
    time: Math.min(Math.max(Number(time), 0), MAX_TIME),
  };
}
