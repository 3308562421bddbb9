// Keeps the store fast and small.

import { hasCode } from '../../api/errors.ts';
import { git } from '../git/git.ts';
import { runLocked } from '../git/store-lock.ts';
import { expectRoom } from '../git/repository.ts';
import type { Store } from '../store.ts';

/** Six loose files a commit: after 500 commits 3,000 files, and a second of work. */
const MAINTENANCE_EVERY = 500;
const LOOSE_PER_COMMIT = 6;
/** A larger store takes too long to pack anew, and nobody could push meanwhile. Its few unreferenced objects stay. */
const MAX_PRUNED_BYTES = 64 * 1024 * 1024;

/** Decides when maintenance is due: after some hundred commits, or when the process before left as many. */
export class Maintenance {
  readonly #store: Store;
  readonly #every: number;
  #maintainedAt: number | undefined;

  constructor(store: Store, every = MAINTENANCE_EVERY) {
    this.#store = store;
    this.#every = every;
  }

  async due(): Promise<boolean> {
    const written = this.#store.commitsWritten;
    if (this.#maintainedAt === undefined) {
      const { objects } = await countObjects(this.#store.dir);
      this.#maintainedAt = objects < this.#every * LOOSE_PER_COMMIT ? written : -Infinity;
    }
    return written - this.#maintainedAt >= this.#every;
  }

  /** @returns whether there was something to do */
  async runIfDue(): Promise<boolean> {
    if (!(await this.due())) return false;
    const written = this.#store.commitsWritten;
    await maintain(this.#store);
    this.#maintainedAt = written;
    return true;
  }
}

/**
 * Packs refs between two writes, then objects beside them: geometric packs, so that the work is in proportion to
 * what is new, and a commit graph for walks.
 *
 * @throws MultinicError `DiskFull` when there is no room for a pack of what is loose; else as git failed
 */
export async function maintain(store: Store): Promise<void> {
  const { dir } = store;
  try {
    await packRefs(store);
    if (store.hasUnreferenced) await prune(store);
    await expectRoom(dir, (await countObjects(dir)).bytes);
    const quietly = ['nice', '-n', '10', 'git'];
    const repack = ['repack', '-d', '--geometric=2', '--write-midx', '--quiet'];
    await runLocked(dir, 'shared', [...quietly, ...repack]);
    const graph = ['commit-graph', 'write', '--reachable', '--split', '--no-progress'];
    await runLocked(dir, 'shared', [...quietly, ...graph]);
    await store.syncRefs([]);
  } catch (error) {
    await store.clearLeftovers();
    throw error;
  }
}

/** Takes no part in a queue for the lock: behind a push that waits for its audit, all would wait for each other. */
async function packRefs(store: Store): Promise<void> {
  await store.inTurn(async () => {
    try {
      await runLocked(store.dir, 'exclusive', ['git', 'pack-refs', '--all'], { waitSeconds: 0 });
    } catch (error) {
      if (!hasCode(error, 'Locked')) throw error;
    }
  });
}

/**
 * Takes away what no ref reaches: commits of writes that lost. While the lock is held exclusively nothing is being written, so
 * that nothing is on its way to a ref: no push, and no write of ours. What a client was told of stays, since no ref ever
 * goes back. Where somebody writes, the next maintenance does it.
 */
async function prune(store: Store): Promise<void> {
  const { dir } = store;
  const { bytes, packed } = await countObjects(dir);
  if (packed > MAX_PRUNED_BYTES) return;
  const quietly = ['sh', '-ec', 'nice -n 10 git repack -a -d --quiet; nice -n 10 git prune --expire=now'];
  try {
    await expectRoom(dir, bytes + packed);
    await store.pruning(async () => {
      await runLocked(dir, 'exclusive', quietly, { waitSeconds: 0 });
    });
  } catch (error) {
    if (!hasCode(error, 'DiskFull', 'Locked')) throw error;
  }
}

interface ObjectCount {
  /** Loose objects. */
  readonly objects: number;
  /** Bytes of the loose objects on disk. */
  readonly bytes: number;
  /** Bytes of the packs on disk. */
  readonly packed: number;
}

async function countObjects(dir: string): Promise<ObjectCount> {
  const text = await git(dir, ['count-objects', '-v']);
  const value = (key: string): number => Number(new RegExp(`^${key}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { objects: value('count'), bytes: value('size') * 1024, packed: value('size-pack') * 1024 };
}
