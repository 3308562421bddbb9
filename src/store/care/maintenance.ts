// Keeps the store fast and small.

import { hasCode } from '../../api/errors.ts';
import { git } from '../git/git.ts';
import { runLocked } from '../git/store-lock.ts';
import { expectRoom } from '../git/repository.ts';
import type { Store } from '../store.ts';

/**
 * Commits between two maintenances. A commit makes six loose files, so 500 commits make 3,000 files and cost a second
 * of work.
 */
const MAINTENANCE_EVERY = 500;
const LOOSE_PER_COMMIT = 6;
/**
 * Largest store that is pruned. A larger one takes too long to repack while nobody can push, and its few unreferenced
 * objects stay.
 */
const MAX_PRUNED_BYTES = 64 * 1024 * 1024;

/** Decides when maintenance is due: after some hundred commits, or if the previous process left as many unpacked. */
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
 * Packs refs between two writes, then objects while writes go on. Geometric packs keep the work in proportion to the
 * new objects, and a commit graph makes walks fast.
 *
 * @throws MultinicError `DiskFull` when there is no room for a pack of the loose objects; otherwise as git failed
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
    store.reader.renew();
  } catch (error) {
    await store.clearLeftovers();
    throw error;
  }
}

/** Packs refs if the lock is free. A wait behind a push that waits for its own audit would be a deadlock. */
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
 * Deletes objects that no ref reaches: commits of writes that lost a race. Runs under the exclusive lock, when no
 * object is on its way to a ref, or not at all if another process writes; commits that a client knows stay, because no
 * ref ever goes back.
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
