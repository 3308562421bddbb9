// The ids that git gives to objects, computed without git.

import { createHash } from 'node:crypto';

/** Computes the id of an object, as 20 bytes. */
export function hashObject(type: 'blob' | 'tree' | 'commit', content: Buffer): Buffer {
  return createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest();
}

/** One entry of a folder. */
export interface FolderItem {
  /** `100644`, `40000`. */
  readonly mode: string;
  readonly name: string;
  /** 20 bytes. */
  readonly oid: Buffer;
}

/** Computes the id of a tree object, as 20 bytes. */
export function hashTree(items: readonly FolderItem[]): Buffer {
  const sorted = items
    .map(({ mode, name, oid }) => ({
      // git compares bytes, a folder's name as if it ended in a slash.
      sort: Buffer.from(mode === FOLDER ? `${name}/` : name),
      line: Buffer.concat([Buffer.from(`${mode} ${name}\0`), oid]),
    }))
    .sort((a, b) => Buffer.compare(a.sort, b.sort));
  return hashObject('tree', Buffer.concat(sorted.map(({ line }) => line)));
}

/** Mode of a folder, as a tree object has it. */
export const FOLDER = '40000';
