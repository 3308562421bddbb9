// Moves many branches for one command: one write for hundreds of branches, each of which moves or is skipped on its
// own.

import { MultinicError } from '../api/errors.ts';
import type { Branch } from '../history/node-branch.ts';
import { move, type Head } from '../history/branch-commits.ts';
import { Batch } from '../store/model/batch.ts';
import type { Mark, Oid } from '../store/model/store-port.ts';
import type { Store } from '../store/store.ts';
import { nodeRef } from '../network/node-ref.ts';

/** A node's new tip. */
export interface Moved {
  readonly node: string;
  readonly commit: Oid;
}

/** Result of a command for several nodes: each node moved, or was skipped for a reason. */
export interface ManyMoved {
  readonly moved: readonly Moved[];
  readonly skipped: readonly { readonly node: string; readonly reason: string }[];
}

/** Adds the new commits of a branch to a batch. @throws MultinicError with the reason why the node is skipped */
export type Build = (batch: Batch) => Head;

/** Number of branches in one write: the files of all of them are in memory. */
const A_WRITE = 500;

/**
 * Moves branches as `decide` says, some hundred in one write.
 * @param again moves one node whose branch another process moved meanwhile
 */
export async function moveMany(
  store: Store,
  branches: readonly Branch[],
  decide: (branch: Branch) => Promise<Build>,
  again: (node: string) => Promise<Moved>,
): Promise<ManyMoved> {
  const moved: Moved[] = [];
  const skipped: { node: string; reason: string }[] = [];
  const skip = (node: string, error: unknown): undefined => {
    if (!(error instanceof MultinicError)) throw error;
    skipped.push({ node, reason: error.message });
  };
  for (let start = 0; start < branches.length; start += A_WRITE) {
    const some = branches.slice(start, start + A_WRITE);
    const batch = new Batch();
    const marks = new Map<Branch, Mark>();
    const builds = await Promise.all(
      some.map((branch) => decide(branch).catch((error: unknown) => skip(branch.name, error))),
    );
    for (const [index, branch] of some.entries()) {
      try {
        const head = batch.whole(() => builds[index]?.(batch));
        if (head === undefined) continue;
        move(batch, branch.name, head, branch.tip.oid);
        marks.set(branch, head.parent as Mark);
      } catch (error) {
        skip(branch.name, error);
      }
    }
    const written = await writeSome(store, batch);
    for (const [{ name }, { mark }] of marks) {
      const commit = written.oids[mark - 1];
      if (commit !== undefined && !written.rejected.has(nodeRef(name))) moved.push({ node: name, commit });
      else
        await again(name).then(
          (one) => moved.push(one),
          (error: unknown) => skip(name, error),
        );
    }
  }
  return { moved, skipped };
}

/**
 * Writes a batch. If the batch as a whole lost a race, the result is empty, and the caller moves its branches one by
 * one.
 */
async function writeSome(
  store: Store,
  batch: Batch,
): Promise<{ readonly oids: readonly Oid[]; readonly rejected: ReadonlySet<string> }> {
  try {
    const { oids, rejected } = await store.writeEach(batch);
    return { oids, rejected: new Set(rejected) };
  } catch (error) {
    if (error instanceof MultinicError && error.code === 'LostRace') return { oids: [], rejected: new Set() };
    throw error;
  }
}
