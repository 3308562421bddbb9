// The push policy. A person may push ordinary commits on an existing node's branch that change its managed files, in
// the renderer's own vocabulary; every other push is refused with the reason and the remedy.

import { MultinicError } from '../api/errors.ts';
import { isControllerAddress } from '../store/model/committer.ts';
import { MAX_NAME, MAX_SUBJECT } from '../store/model/objects.ts';
import type { Commit, Oid, Push, PushPolicy, Reader } from '../store/model/store-port.ts';
import { MAX_COMMIT_BYTES } from '../store/model/tree-bounds.ts';
import { describeNics } from './commit-format.ts';
import { isByController } from './node-branch.ts';
import { PushedTrees, readPushedOn } from './pushed-tree.ts';
import type { Reason } from '../api/reasons/reasons.ts';
import { nodeOfRef } from './refs.ts';
import { refuseStrayRevert } from './revert.ts';
import { NODES } from '../network/node-ref.ts';

export const MAX_COMMITS = 100;
export const MAX_CLOCK_AHEAD_S = 600;
const NO_COMMIT = /^0+$/;

/** Rules for pushes to `node/*`, which the store asks before it accepts a push. */
export class NodeBranchPolicy implements PushPolicy {
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async check(push: Push, objects: Reader): Promise<readonly string[]> {
    const name = existingNode(push);
    const commits = await this.#newCommits(push, objects);
    const branch = await readPushedOn(objects, push.old);
    const trees = new PushedTrees(branch, objects);
    let before = branch.network;
    for (const commit of commits) {
      const network = await trees.check(commit.oid);
      if (before !== undefined) await refuseStrayRevert(objects, name, commit, before, network);
      before = network;
    }
    return describeNics(branch.network ?? [], before ?? []).map((line) => `node/${name}: ${line}`);
  }

  /**
   * The pushed commits, oldest first. Checks a commit's type and size before reading it, and judges the commit before
   * its parent, because a walk by git itself would read all commits.
   */
  async #newCommits({ old, new: tip }: Push, objects: Reader): Promise<Commit[]> {
    const commits: Commit[] = [];
    for (let next = tip; next !== old;) {
      if (commits.length === MAX_COMMITS) throw await this.#tooMany(next, old, objects);
      const commit = await readSmall(next, objects);
      const [parent] = commit.parents;
      if (parent === undefined || isByController(commit)) await refuseOtherHistory(next, old, objects);
      this.#checkCommit(commit);
      commits.push(commit);
      next = parent ?? old;
    }
    return commits.reverse();
  }

  async #tooMany(next: Oid, old: Oid, objects: Reader): Promise<MultinicError> {
    await readSmall(next, objects);
    await refuseOtherHistory(next, old, objects);
    return refused(
      'TooManyCommits',
      `more than ${MAX_COMMITS} commits in one push: squash them, or push in parts`,
    );
  }

  #checkCommit(commit: Commit): void {
    const short = commit.oid.slice(0, 10);
    if (commit.parents.length !== 1)
      throw refused('MergeCommit', `${short} is a merge: rebase your change so that it has one parent`);
    if (isControllerAddress(commit.committer.email)) {
      throw refused(
        'ReservedCommitter',
        `${short} has the controller's committer address: set your own with git config user.email, then git commit --amend --no-edit`,
      );
    }
    if (commit.flaw !== undefined) {
      throw refused(
        'InvalidCommit',
        `${short} is no commit that every git reads alike, ${commit.flaw}: make it anew with git commit --amend --reset-author`,
      );
    }
    const latest = this.#now() / 1000 + MAX_CLOCK_AHEAD_S;
    if (commit.committer.time > latest) {
      throw refused(
        'FutureDate',
        `${short} has a committer date in the future: set your clock, then git commit --amend --no-edit`,
      );
    }
  }
}

function existingNode(push: Push): string {
  const name = push.ref.startsWith(NODES) ? nodeOfRef(push.ref) : undefined;
  if (name === undefined)
    throw refused('ReservedRef', `${push.ref} belongs to the controller: only node/* branches take pushes`);
  if (NO_COMMIT.test(push.new))
    throw refused(
      'BranchDelete',
      `node/${name} is a node's history and is never deleted: take the node out of its CR`,
    );
  if (NO_COMMIT.test(push.old))
    throw refused(
      'BranchCreate',
      `node/${name} does not exist: a branch is born when a MultiNicBizConfig names the node`,
    );
  return name;
}

async function readSmall(oid: Oid, objects: Reader): Promise<Commit> {
  const head = await objects.head(oid);
  const short = oid.slice(0, 10);
  if (head?.type !== 'commit')
    throw refused('NoCommit', `${short} is no commit: push a branch that git log shows`);
  if (head.size > MAX_COMMIT_BYTES) {
    throw refused(
      'CommitTooLarge',
      `${short} has ${head.size} bytes beside its files, at most ${MAX_COMMIT_BYTES} are taken: shorten its message with git commit --amend`,
    );
  }
  const commit = await objects.commit(oid);
  if (commit.long === undefined) return commit;
  throw refused(
    'TextTooLong',
    `${short} has ${commit.long} that is too long: at most ${MAX_NAME} characters of a name or an address and ${MAX_SUBJECT} of the first line are taken; git commit --amend changes them`,
  );
}

/** Refuses a push that does not contain the tip: its history joins the branch below the tip, or not at all. */
async function refuseOtherHistory(commit: Oid, tip: Oid, objects: Reader): Promise<void> {
  const { parents } = await objects.commit(commit);
  if (parents.length > 0 && !(await objects.isAncestor(commit, tip))) return;
  throw refused(
    'NotFastForward',
    'history is append-only: fetch, rebase your change on the branch and push again without --force',
  );
}

function refused(code: Reason, message: string): MultinicError {
  return new MultinicError(code, message);
}
