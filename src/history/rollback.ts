// Finds the commit that a rollback returns to.

import { MultinicError } from '../api/errors.ts';
import { sameNetwork, type Network } from '../network/interface.ts';
import { readTree } from '../network/tree.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import type { Branch } from './node-branch.ts';

export interface RollbackTarget {
  readonly commit: Oid;
  readonly network: Network;
}

/**
 * The newest first-parent ancestor whose network differs from the tip's, or the given commit of the branch.
 * @param known.onBranch true if the given commit is known to be on the branch
 * @throws MultinicError `NothingToRollBack`, `NotInBranch`, `InvalidTree`, `InvalidTip`
 */
export async function rollbackTarget(
  reader: Reader,
  branch: Branch,
  to?: Oid,
  { onBranch = false } = {},
): Promise<RollbackTarget> {
  if (to !== undefined) {
    if (!onBranch && !(await reader.isAncestor(to, branch.tip.oid))) {
      throw new MultinicError(
        'NotInBranch',
        `${to} is no commit of node/${branch.name}: choose one of multinic log ${branch.name}`,
        { data: { node: branch.name, commit: to } },
      );
    }
    return { commit: to, network: readTree(await reader.files(to)).network };
  }
  if (branch.invalid !== undefined) {
    throw new MultinicError(
      'InvalidTip',
      `the tip of node/${branch.name} says nothing that could be gone back from: multinic release ${branch.name}, or name a commit with --to`,
      { data: { node: branch.name, tip: branch.tip.oid } },
    );
  }
  // Walk commit by commit: the target is nearly always near, and a list of a long branch takes a process and its time.
  for (let next: Oid | undefined = branch.tip.oid; next !== undefined;) {
    const network = await networkOf(reader, next);
    if (network !== undefined && !sameNetwork(network, branch.network, 'host'))
      return { commit: next, network };
    const commit: Commit = await reader.commit(next);
    next = commit.parents[0];
  }
  throw new MultinicError(
    'NothingToRollBack',
    `node/${branch.name} never had another network: there is nothing to go back to`,
    { data: { node: branch.name } },
  );
}

/** Network of a possible target; undefined for an invalid tree, which came past the push policy and is skipped. */
async function networkOf(reader: Reader, commit: Oid): Promise<Network | undefined> {
  try {
    return readTree(await reader.files(commit)).network;
  } catch {
    return undefined;
  }
}
