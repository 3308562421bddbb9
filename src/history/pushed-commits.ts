// The rules for the refs and commits of a push as one table: a code, and the message where a push breaks the rule. Rules
// of one stage are asked in their order, and the first broken rule refuses the push. The rules for the files of a commit
// are in pushed-files.ts and revert.ts.

import { MultinicError } from '../api/errors.ts';
import { ZERO_OID } from '../api/oid.ts';
import type { Reason } from '../api/reasons/reasons.ts';
import { isControllerAddress } from '../store/model/committer.ts';
import { MAX_NAME, MAX_SUBJECT } from '../store/model/objects.ts';
import type { Commit, ObjectHead, Oid, Push } from '../store/model/store-port.ts';
import { MAX_COMMIT_BYTES } from '../store/model/tree-bounds.ts';
import { isNodeBranch } from './refs.ts';

export const MAX_COMMITS = 100;
export const MAX_CLOCK_AHEAD_S = 600;

interface Rule<Facts> {
  readonly code: Reason;
  /** The message for the pusher; undefined: the push keeps the rule. */
  readonly broken: (facts: Facts) => string | undefined;
}

/** Facts of a pushed ref, known before git has read an object. */
export interface PushedRef extends Pick<Push, 'ref' | 'old' | 'new'> {
  /** The commit that the ref names in the store; undefined: the store has no such ref. */
  readonly tip: Oid | undefined;
}

/** Facts of an object that should be a commit, known before it is read. */
interface PushedObject {
  readonly oid: Oid;
  readonly head: ObjectHead | undefined;
}

/** Facts of a push's history. */
interface PushedHistory {
  /** Number of new commits so far. */
  readonly commits: number;
  /**
   * False: the walk has reached an older commit of the branch, or a first commit without a parent. The pushed history
   * then does not contain the tip.
   */
  readonly containsTip: boolean;
}

interface PushedCommit {
  readonly commit: Commit;
  /** Seconds since 1970. */
  readonly now: number;
}

export const REF_RULES: readonly Rule<PushedRef>[] = [
  {
    code: 'ReservedRef',
    broken: ({ ref }) =>
      isNodeBranch(ref)
        ? undefined
        : 'it belongs to the controller: push to node/* only, and change main through the CR',
  },
  {
    code: 'BranchDelete',
    broken: (push) =>
      push.new === ZERO_OID ? "a node's history is never deleted: take the node out of its CR" : undefined,
  },
  {
    code: 'BranchCreate',
    broken: ({ tip }) =>
      tip === undefined
        ? 'there is no such branch, and no push makes one: it is born when a CR names the node'
        : undefined,
  },
  {
    code: 'LostRace',
    broken: ({ old, tip }) =>
      tip === old
        ? undefined
        : `the branch has moved to ${tip?.slice(0, 10)} meanwhile: git pull --rebase, then push again`,
  },
];

export const OBJECT_RULES: readonly Rule<PushedObject>[] = [
  {
    code: 'NoCommit',
    broken: ({ oid, head }) =>
      head?.type === 'commit' ? undefined : `${short(oid)} is no commit: push a branch that git log shows`,
  },
  {
    code: 'CommitTooLarge',
    broken: ({ oid, head }) =>
      head === undefined || head.size <= MAX_COMMIT_BYTES
        ? undefined
        : `${short(oid)} has ${head.size} bytes beside its files, at most ${MAX_COMMIT_BYTES} are taken: shorten its message with git commit --amend`,
  },
];

export const HISTORY_RULES: readonly Rule<PushedHistory>[] = [
  {
    code: 'NotFastForward',
    broken: ({ containsTip }) =>
      containsTip
        ? undefined
        : 'history is append-only: fetch, rebase your change on the branch and push again without --force',
  },
  {
    code: 'TooManyCommits',
    broken: ({ commits }) =>
      commits > MAX_COMMITS
        ? `more than ${MAX_COMMITS} commits in one push: squash them, or push in parts`
        : undefined,
  },
];

export const COMMIT_RULES: readonly Rule<PushedCommit>[] = [
  {
    code: 'TextTooLong',
    broken: ({ commit: { oid, long } }) =>
      long &&
      `${short(oid)} has ${long} that is too long: at most ${MAX_NAME} characters of a name or an address and ${MAX_SUBJECT} of the first line are taken; git commit --amend changes them`,
  },
  {
    code: 'MergeCommit',
    broken: ({ commit: { oid, parents } }) =>
      parents.length === 1
        ? undefined
        : `${short(oid)} is a merge: rebase your change so that it has one parent`,
  },
  {
    code: 'ReservedCommitter',
    broken: ({ commit: { oid, committer } }) =>
      isControllerAddress(committer.email)
        ? `${short(oid)} has the controller's committer address: set your own with git config user.email, then git commit --amend --no-edit`
        : undefined,
  },
  {
    code: 'InvalidCommit',
    broken: ({ commit: { oid, flaw } }) =>
      flaw &&
      `${short(oid)} is no commit that every git reads alike, ${flaw}: make it anew with git commit --amend --reset-author`,
  },
  {
    code: 'FutureDate',
    broken: ({ commit: { oid, committer }, now }) =>
      committer.time > now + MAX_CLOCK_AHEAD_S
        ? `${short(oid)} has a committer date in the future: set your clock, then git commit --amend --no-edit`
        : undefined,
  },
];

/** The refusal by the first broken rule; undefined: every rule is kept. */
export function judge<Facts>(rules: readonly Rule<Facts>[], facts: Facts): MultinicError | undefined {
  for (const { code, broken } of rules) {
    const message = broken(facts);
    if (message !== undefined) return new MultinicError(code, message);
  }
  return undefined;
}

/** @throws MultinicError by the first broken rule */
export function expectAll<Facts>(rules: readonly Rule<Facts>[], facts: Facts): void {
  const refusal = judge(rules, facts);
  if (refusal !== undefined) throw refusal;
}

function short(oid: Oid): string {
  return oid.slice(0, 10);
}
