// Size of the store on its disk, for metrics.

import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

export interface StoreSize {
  /** Bytes of all objects, loose and packed. */
  readonly bytes: number;
  /** Bytes that this process may still write on the disk. */
  readonly freeBytes: number;
}

/** Measures the store. An object that maintenance deletes meanwhile is not counted. */
export async function storeSize(dir: string): Promise<StoreSize> {
  const { bavail, bsize } = await statfs(dir);
  const objects = join(dir, 'objects');
  let bytes = 0;
  for (const entry of await readdir(objects, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
  }
  return { bytes, freeBytes: bavail * bsize };
}

/** Measures at most once in a while, because a scrape may come at any time. */
export function measuredStore(
  dir: string,
  everyMs: number,
  now: () => number = Date.now,
): () => Promise<StoreSize> {
  let known: Promise<StoreSize> | undefined;
  let until = -Infinity;
  return () => {
    if (known === undefined || now() >= until) {
      until = now() + everyMs;
      known = storeSize(dir);
      known.catch(() => (known = undefined));
    }
    return known;
  };
}
