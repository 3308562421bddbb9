// A node's history for people: commits of both branches in one timeline.

import { pushedBranches } from '../store/push/audit.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import { noSuchNode } from './no-such-node.ts';
import { oidTrailer, trailer, TRAILER, type Kind, kindOf } from './commit-format.ts';
import type { OutcomeRecord } from './outcome-branch.ts';
import { readRecord } from './outcome-record.ts';
import { outcomeRef } from './refs.ts';
import type { AnyReason } from '../api/reasons/reasons.ts';
import { nodeRef } from '../network/node-ref.ts';

/** One commit of either branch of a node. */
export interface TimelineEntry {
  readonly commit: Oid;
  /** Seconds since 1970. */
  readonly time: number;
  /** `edit`: a person's commit, pushed. */
  readonly kind: Kind | 'edit' | 'outcome' | 'request';
  readonly subject: string;
  readonly author: string;
  /** The authenticated account behind a push or a command. An author is a claim. */
  readonly principal?: string;
  readonly result?: OutcomeRecord['result'];
  readonly reason?: AnyReason;
  /** The outcome's message for people. */
  readonly message?: string;
  /** The commit that was tried. */
  readonly tried?: Oid;
  readonly mainCommit?: Oid;
  readonly endsHold?: Oid;
}

/** Newest first. @throws MultinicError `NoSuchNode` */
export async function timeline(reader: Reader, node: string, limit: number): Promise<TimelineEntry[]> {
  const [tip, outcome] = await Promise.all([tipOf(reader, node), reader.ref(outcomeRef(node))]);
  const [desired, outcomes] = await Promise.all([
    reader.log(tip, { firstParent: true, limit }),
    outcome === undefined ? [] : reader.log(outcome, { firstParent: true, limit }),
  ]);
  const happened = outcomes.filter((commit) => commit.parents.length > 0).map(outcomeEntry);
  const pushers = await pushersOf(reader, node, desired);
  const wanted = desired.map((commit) => ({
    ...desiredEntry(commit),
    ...principalOf(kindOf(commit) === undefined ? pushers.get(commit.oid) : trailer(commit, TRAILER.by)),
  }));
  return merge(happened, wanted).slice(0, limit);
}

function principalOf(principal: string | undefined): Pick<TimelineEntry, 'principal'> {
  return principal === undefined ? {} : { principal };
}

/** The principals who pushed commits of a node's branch, as far as the newest records of pushes go. */
async function pushersOf(
  reader: Reader,
  node: string,
  commits: readonly Commit[],
): Promise<ReadonlyMap<Oid, string>> {
  const pushers = new Map<Oid, string>();
  const tip = commits.some((commit) => kindOf(commit) === undefined)
    ? await reader.ref(AUDIT_REF)
    : undefined;
  if (tip === undefined) return pushers;
  const age = new Map(commits.map(({ oid }, index) => [oid, index]));
  for (const record of await reader.log(tip, { firstParent: true, limit: PUSHES_LOOK_BACK })) {
    const push = pushedBranches(record).find(({ ref }) => ref === nodeRef(node));
    const newest = push && age.get(push.new);
    if (newest === undefined) continue;
    const pushed = commits.slice(newest, (push && age.get(push.old)) ?? commits.length);
    for (const { oid } of pushed) pushers.set(oid, trailer(record, 'Principal') ?? '');
  }
  return pushers;
}

/**
 * Merges two lists, newest first. Times are whole seconds, so equal times are ordered by meaning: an outcome comes
 * after the commit that it tried, and before the next commit.
 */
function merge(outcomes: readonly TimelineEntry[], desired: readonly TimelineEntry[]): TimelineEntry[] {
  const age = new Map(desired.map(({ commit }, index) => [commit, index]));
  const merged: TimelineEntry[] = [];
  let next = 0;
  for (const outcome of outcomes) {
    const tried = outcome.tried === undefined ? undefined : age.get(outcome.tried);
    for (
      let entry = desired[next];
      entry !== undefined && entry.time >= outcome.time;
      entry = desired[++next]
    ) {
      if (next === tried || (entry.time === outcome.time && tried === undefined)) break;
      merged.push(entry);
    }
    merged.push(outcome);
  }
  return [...merged, ...desired.slice(next)];
}

function desiredEntry(commit: Commit): TimelineEntry {
  const kind = kindOf(commit);
  const mainCommit = kind && oidTrailer(commit, TRAILER.mainCommit);
  const endsHold = kind && oidTrailer(commit, TRAILER.endsHold);
  return {
    ...entryOf(commit),
    kind: kind ?? 'edit',
    ...(mainCommit !== undefined && { mainCommit }),
    ...(endsHold !== undefined && { endsHold }),
  };
}

function outcomeEntry(commit: Commit): TimelineEntry {
  const { result, reason, message, tried, request, by } = readRecord(commit);
  return {
    ...entryOf(commit),
    kind: request === undefined ? 'outcome' : 'request',
    result,
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    ...(tried !== undefined && { tried }),
    ...principalOf(by),
  };
}

function entryOf({
  oid,
  committer,
  subject,
  author,
}: Commit): Pick<TimelineEntry, 'commit' | 'time' | 'subject' | 'author'> {
  return { commit: oid, time: committer.time, subject, author: `${author.name} <${author.email}>` };
}

export const PUSHES_LOOK_BACK = 500;

/** @throws MultinicError `NoSuchNode` */
export async function tipOf(reader: Reader, node: string): Promise<Oid> {
  const tip = await reader.ref(nodeRef(node));
  if (tip !== undefined) return tip;
  throw noSuchNode(node);
}
