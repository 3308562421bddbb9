// The history of all of the fleet, newest first: commits of main and pushes. The search is bounded.

import { isControllerAddress } from '../store/model/committer.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import { pushedBranches } from '../store/push/audit.ts';
import { trailer, TRAILER } from './commit-format.ts';
import { MAIN, nodeOfRef } from './refs.ts';

/** A commit of main, or a push. */
export interface HistoryEntry {
  /** `confirm`: a person let something go on. `push`: somebody pushed to branches of nodes. */
  readonly kind: 'change' | 'confirm' | 'push';
  readonly commit: Oid;
  /** Seconds since 1970. */
  readonly time: number;
  readonly subject: string;
  /** An author is a claim; of a push, only the principal is known. */
  readonly author?: string;
  /** The authenticated account. */
  readonly principal?: string;
  /** `group/namespace/name` */
  readonly config?: string;
  /** Nodes that a push moved. */
  readonly nodes?: readonly string[];
}

export interface HistoryQuery {
  /** Part of an author, an address or an account; upper and lower case are the same. */
  readonly author?: string | undefined;
  /** `group/namespace/name` */
  readonly config?: string | undefined;
  /** Seconds since 1970. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit: number;
}

export interface History {
  readonly entries: readonly HistoryEntry[];
  /** Time down to which everything was searched, seconds since 1970; absent: all of it. */
  readonly searchedTo?: number;
}

/** Number of commits of each branch that one search reads. */
const LOOK_BACK = 5_000;

export async function searchHistory(reader: Reader, query: HistoryQuery): Promise<History> {
  const [main, audit] = await Promise.all([reader.ref(MAIN), reader.ref(AUDIT_REF)]);
  const log = async (tip: Oid | undefined, limit: number): Promise<Commit[]> =>
    tip === undefined ? [] : reader.log(tip, { firstParent: true, limit });
  const narrow = query.author ?? query.config ?? query.since ?? query.until;
  const limit = narrow === undefined ? query.limit + 1 : LOOK_BACK;
  const [changes, pushes] = await Promise.all([log(main, limit), log(audit, limit)]);
  const found = [
    ...changes.filter(({ parents }) => parents.length > 0).map(mainEntry),
    ...pushes.filter(({ parents }) => parents.length > 0).map(pushEntry),
  ].filter((entry) => passes(entry, query));
  const entries = found.toSorted((a, b) => b.time - a.time);
  const ends = [changes, pushes].flatMap((list) =>
    list.length === limit ? (list.at(-1)?.committer.time ?? []) : [],
  );
  const shown = entries.slice(0, query.limit);
  const cut = entries.length > shown.length ? [shown.at(-1)!.time] : [];
  const searchedTo = Math.max(...ends, ...cut);
  return { entries: shown, ...(Number.isFinite(searchedTo) && { searchedTo }) };
}

/** A commit of main. */
export function mainEntry(commit: Commit): HistoryEntry {
  const { oid, author, committer, subject } = commit;
  const config = trailer(commit, TRAILER.config);
  const principal = trailer(commit, TRAILER.by);
  const confirms = trailer(commit, TRAILER.confirms);
  const name = isControllerAddress(author.email) ? author.name : `${author.name} <${author.email}>`;
  return {
    kind: confirms === undefined ? 'change' : 'confirm',
    commit: oid,
    time: committer.time,
    subject,
    author: name,
    ...(principal !== undefined && { principal }),
    ...(config !== undefined && { config }),
  };
}

function pushEntry(record: Commit): HistoryEntry {
  const principal = trailer(record, 'Principal');
  return {
    kind: 'push',
    commit: record.oid,
    time: record.committer.time,
    subject: record.subject,
    ...(principal !== undefined && { principal }),
    nodes: pushedBranches(record).flatMap(({ ref }) => nodeOfRef(ref) ?? []),
  };
}

function passes(entry: HistoryEntry, { author, config, since, until }: HistoryQuery): boolean {
  if (since !== undefined && entry.time < since) return false;
  if (until !== undefined && entry.time > until) return false;
  if (config !== undefined && entry.config !== config) return false;
  if (author === undefined) return true;
  return `${entry.author ?? ''}\n${entry.principal ?? ''}`.toLowerCase().includes(author.toLowerCase());
}
