// Raw git objects to values.

import { parseMessage } from './commit-message.ts';
import type { Commit, Oid, Stamp } from './store-port.ts';

export interface TreeItem {
  readonly mode: string;
  readonly name: string;
  readonly oid: Oid;
}

export const TREE_MODE = '040000';

export function isOid(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

export function parseTree(data: Buffer): TreeItem[] {
  const items: TreeItem[] = [];
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const end = data.indexOf(0, space);
    items.push({
      mode: data.toString('latin1', at, space).padStart(6, '0'),
      name: data.toString('utf8', space + 1, end),
      oid: data.toString('hex', end + 1, end + 21),
    });
    at = end + 21;
  }
  return items;
}

export function parseCommit(oid: Oid, data: Buffer): Commit {
  const text = data.toString('utf8');
  const end = text.indexOf('\n\n');
  const parents: Oid[] = [];
  let tree = '';
  let author = parseStamp('');
  let committer = author;
  for (const line of text.slice(0, end === -1 ? text.length : end).split('\n')) {
    const space = line.indexOf(' ');
    const value = line.slice(space + 1);
    // A signature goes on over lines that begin with a space: their key is empty, so they are passed over.
    switch (line.slice(0, space)) {
      case 'tree':
        tree = value;
        break;
      case 'parent':
        parents.push(value);
        break;
      case 'author':
        author = parseStamp(value);
        break;
      case 'committer':
        committer = parseStamp(value);
        break;
      default:
    }
  }
  return { oid, tree, parents, author, committer, ...parseMessage(end === -1 ? '' : text.slice(end + 2)) };
}

function parseStamp(text: string): Stamp {
  const match = /^(.*?) ?<([^>]*)> (-?\d+) [+-]\d{4}$/.exec(text);
  return { name: match?.[1] ?? '', email: match?.[2] ?? '', time: Number(match?.[3] ?? 0) };
}
