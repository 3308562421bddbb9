// The push policy. A person may push ordinary commits on an existing node's branch that change its managed files, in
// the renderer's own vocabulary; every other push is refused with the reason and the remedy.

import { InvalidInputError, MultinicError } from '../api/errors.ts';
import { rendererOf } from '../network/renderers.ts';
import { MAX_FILE_BYTES, NODE_FILE, readTree } from '../network/tree.ts';
import type { Commit, Listing, Oid, Push, PushPolicy, Reader } from '../store/model/store-port.ts';
import { readBranch, isOurs, type Branch } from './node-branch.ts';
import { nodeOfRef, NODES } from './refs.ts';
import type { Reason } from '../api/reasons/reasons.ts';

const MAX_COMMITS = 100;
const MAX_CLOCK_AHEAD_S = 600;
const NO_COMMIT = /^0+$/;

/** Rules for pushes to `node/*`, which the store asks before it accepts a push. */
export class NodeBranchPolicy implements PushPolicy {
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async check(push: Push, objects: Reader): Promise<void> {
    const name = existingNode(push);
    if (!(await objects.isAncestor(push.old, push.new))) {
      throw refused(
        'NotFastForward',
        'history is append-only: fetch, rebase your change on the branch and push again without --force',
      );
    }
    const commits = await objects.log(push.new, { until: push.old, limit: MAX_COMMITS + 1 });
    if (commits.length > MAX_COMMITS) {
      throw refused(
        'TooManyCommits',
        `more than ${MAX_COMMITS} commits in one push: squash them, or push in parts`,
      );
    }
    const branch = await readBranch(objects, name, push.old);
    for (const commit of commits) {
      this.#checkCommit(commit);
      await checkTree(commit.oid, branch, objects);
    }
  }

  #checkCommit(commit: Commit): void {
    const short = commit.oid.slice(0, 10);
    if (commit.parents.length !== 1)
      throw refused('MergeCommit', `${short} is a merge: rebase your change so that it has one parent`);
    if (isOurs(commit)) {
      throw refused(
        'ReservedCommitter',
        `${short} has the controller's committer address: set your own with git config user.email, then git commit --amend --no-edit`,
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
    throw refused('BranchDelete', `node/${name} is a node's history and is never deleted`);
  if (NO_COMMIT.test(push.old))
    throw refused(
      'BranchCreate',
      `node/${name} does not exist: a branch is born when a MultiNicBizConfig names the node`,
    );
  return name;
}

/** One commit's whole tree: path, mode and text of each file. */
async function checkTree(commit: Oid, branch: Branch, objects: Reader): Promise<void> {
  const short = commit.slice(0, 10);
  const listing = await objects.list(commit);
  const renderer = rendererOf(branch.node.renderer);
  for (const [path, { mode }] of listing) {
    if (path !== NODE_FILE && !renderer.manages(path)) {
      throw refused(
        'UnmanagedPath',
        `${short}: ${path} is not a file that ${renderer.kind} nodes have from us: take it out of the commit`,
      );
    }
    if (mode !== '100644')
      throw refused(
        'FileMode',
        `${short}: ${path} has mode ${mode}: only plain files (100644) are allowed, no links and no executables`,
      );
  }
  await checkNodeFile(commit, listing, branch, objects);
  const files = await objects.files(commit);
  for (const [path, text] of files) {
    if (Buffer.byteLength(text) > MAX_FILE_BYTES)
      throw refused('FileTooLarge', `${short}: ${path} is larger than ${MAX_FILE_BYTES / 1024} KiB`);
  }
  try {
    readTree(files);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError('InvalidTree', `${short} can't be applied`, error.problems);
  }
}

async function checkNodeFile(commit: Oid, listing: Listing, branch: Branch, objects: Reader): Promise<void> {
  const truth = (await objects.list(branch.anchor.oid)).get(NODE_FILE);
  if (listing.get(NODE_FILE)?.oid === truth?.oid) return;
  throw refused(
    'NodeFileChanged',
    `${commit.slice(0, 10)}: ${NODE_FILE} says who the node is and is the controller's: git checkout ${branch.tip.oid.slice(0, 10)} -- ${NODE_FILE}`,
  );
}

function refused(code: Reason, message: string): MultinicError {
  return new MultinicError(code, message);
}
