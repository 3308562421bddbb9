// The push policy. A person may push ordinary commits on an existing node's branch that change its managed files, in
// the renderer's own vocabulary; every other push is refused with the reason and the remedy.

import type { MultinicError } from '../api/errors.ts';
import { ZERO_OID } from '../api/oid.ts';
import type { Commit, Oid, Push, PushPolicy, Reader } from '../store/model/store-port.ts';
import type { Network } from '../network/interface.ts';
import { linkLocalProblem, partLinkLocals } from '../network/link-local.ts';
import { describeNics, isByController } from './commit-format.ts';

import {
  COMMIT_RULES,
  expectAll,
  HISTORY_RULES,
  judge,
  MAX_COMMITS,
  OBJECT_RULES,
  REF_RULES,
} from './pushed-commits.ts';
import { PushedTrees, readPushedOn } from './pushed-files.ts';
import { nodeOfRef } from './refs.ts';
import { refuseStrayRevert } from './revert.ts';

/** Rules for pushes to `node/*`, which the store asks before it accepts a push. */
export class NodeBranchPolicy implements PushPolicy {
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  judgeRef(push: Push, tip: Oid | undefined): MultinicError | undefined {
    return judge(REF_RULES, { ...push, tip });
  }

  async check(push: Push, objects: Reader): Promise<readonly string[]> {
    expectAll(REF_RULES, { ...push, tip: push.old === ZERO_OID ? undefined : push.old });
    const name = nodeOfRef(push.ref)!;
    const commits = await this.#newCommits(push, objects);
    const branch = await readPushedOn(objects, push.old);
    const trees = new PushedTrees(branch, objects);
    let before = branch.network;
    for (const commit of commits) {
      const network = await trees.check(commit.oid);
      if (before !== undefined) await refuseStrayRevert(objects, name, commit, before, network);
      before = network;
    }
    const { stored } = partLinkLocals(before ?? [], branch.network ?? []);
    const warnings = stored.map(
      (nic) => `warning: ${nic.name} (${nic.mac}): ${linkLocalProblem(nic, '')?.message}`,
    );
    const lines = [
      ...describeNics(branch.network ?? [], before ?? []),
      ...warnings,
      ...unstatedRouting(branch.network ?? [], before ?? []),
    ];
    return lines.map((line) => `node/${name}: ${line}`);
  }

  /**
   * The pushed commits, oldest first. Checks a commit's type and size before reading it, and judges the commit before
   * its parent, because a walk by git itself would read all commits.
   */
  async #newCommits({ old, new: tip }: Push, objects: Reader): Promise<Commit[]> {
    const commits: Commit[] = [];
    const now = this.#now() / 1000;
    for (let next = tip; next !== old;) {
      const count = commits.length + 1;
      expectAll(OBJECT_RULES, { oid: next, head: await objects.head(next) });
      const commit = await objects.commit(next);
      const [parent] = commit.parents;
      if (parent === undefined || isByController(commit) || count > MAX_COMMITS)
        expectAll(HISTORY_RULES, { commits: count, containsTip: await mayContain(commit, old, objects) });
      expectAll(COMMIT_RULES, { commit, now });
      commits.push(commit);
      next = parent ?? old;
    }
    return commits.reverse();
  }
}

/**
 * Whether the history below a pushed commit may still contain the branch's tip. False: the commit has no parent, or the
 * tip already contains the commit.
 */
async function mayContain(commit: Commit, tip: Oid, objects: Reader): Promise<boolean> {
  return commit.parents.length > 0 && !(await objects.isAncestor(commit.oid, tip));
}

/**
 * Warns if a push changes the source routing of a NIC, and neither the file's comment nor the CR states it. A hold does
 * not keep such a setting: the node's next commit resolves it again.
 */
function unstatedRouting(before: Network, after: Network): string[] {
  const old = new Map(before.map((nic) => [nic.mac, nic]));
  return after.flatMap((nic) => {
    const was = old.get(nic.mac);
    const isSwitched = was !== undefined && was.sourceRouting !== nic.sourceRouting;
    if (!isSwitched || nic.statedSourceRouting !== undefined) return [];
    const word = nic.sourceRouting === true ? 'on' : 'off';
    return `warning: ${nic.name} (${nic.mac}): source routing is ${word} and nothing says so: a change of the CR or \`multinic rerender\` decides again; write "# Source routing: ${word}" below the first line of its file to keep it, or sourceRouting into the CR`;
  });
}
