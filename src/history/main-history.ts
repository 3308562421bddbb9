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
  /** Author of a commit. A push has none here, because only the principal of a push is known. */
  readonly author?: string;
  /** The authenticated account. */
  readonly principal?: string;
  /** `group/namespace/name` */
  readonly config?: string;
  /** Some of the nodes that a push moved. */
  readonly nodes?: readonly string[];
  /** Number of nodes that a push moved. */
  readonly nodeCount?: number;
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
const LOOK_BACK = 2_000;
/** Number of commits that are read at a time. */
const PAGE = 100;
/** Number of nodes that the entry of a push lists. */
const NAMED_NODES = 20;

export async function searchHistory(reader: Reader, query: HistoryQuery): Promise<History> {
  const [main, audit] = await Promise.all([reader.ref(MAIN), reader.ref(AUDIT_REF)]);
  const changes = await searchBranch(reader, main, changeEntry, query);
  const pushes = await searchBranch(reader, audit, pushEntry, query);
  const found = [...changes.found, ...pushes.found].toSorted((a, b) => b.time - a.time);
  const entries = found.slice(0, query.limit);
  const ends = [changes.searchedTo, pushes.searchedTo].flatMap((time) => time ?? []);
  if (found.length > entries.length) ends.push(entries.at(-1)!.time);
  return { entries, ...(ends.length > 0 && { searchedTo: Math.max(...ends) }) };
}

/** Entries of a branch, newest first: as many as are asked for, or those among the newest commits. */
async function searchBranch(
  reader: Reader,
  tip: Oid | undefined,
  entryOf: (commit: Commit) => HistoryEntry | undefined,
  query: HistoryQuery,
): Promise<{ readonly found: readonly HistoryEntry[]; readonly searchedTo?: number }> {
  const found: HistoryEntry[] = [];
  let next = tip;
  let oldest = 0;
  for (let read = 0; next !== undefined && read < LOOK_BACK; read += PAGE) {
    const page: Commit[] = await reader.log(next, { firstParent: true, limit: PAGE });
    for (const commit of page) {
      oldest = commit.committer.time;
      // Commit times never go back, so all further commits are older.
      if (query.since !== undefined && oldest < query.since) return { found };
      const entry = entryOf(commit);
      if (entry === undefined || !passes(entry, query)) continue;
      if (found.length === query.limit) return { found, searchedTo: found.at(-1)!.time };
      found.push(entry);
    }
    next = page.at(-1)?.parents[0];
  }
  return { found, ...(next !== undefined && { searchedTo: oldest }) };
}

/** @returns undefined for the first commit of main, which is empty */
function changeEntry(commit: Commit): HistoryEntry | undefined {
  return commit.parents.length === 0 ? undefined : mainEntry(commit);
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
  const nodes = pushedBranches(record).flatMap(({ ref }) => nodeOfRef(ref) ?? []);
  return {
    kind: 'push',
    commit: record.oid,
    time: record.committer.time,
    subject: record.subject,
    ...(principal !== undefined && { principal }),
    nodes: nodes.slice(0, NAMED_NODES),
    nodeCount: nodes.length,
  };
}

function passes(entry: HistoryEntry, { author, config, until }: HistoryQuery): boolean {
  if (until !== undefined && entry.time > until) return false;
  if (config !== undefined && entry.config !== config) return false;
  if (author === undefined) return true;
  return `${entry.author ?? ''}\n${entry.principal ?? ''}`.toLowerCase().includes(author.toLowerCase());
}
