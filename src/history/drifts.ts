// Drifts of hosts for people, and the edit that accepts a drift.

import { MultinicError } from '../api/errors.ts';
import type { Difference } from '../api/observation.ts';
import { managedFiles, treeId } from '../network/tree.ts';
import type { Network } from '../network/interface.ts';
import type { Commit, Oid, Reader, TreeEntry } from '../store/model/store-port.ts';
import type { Branch } from './node-branch.ts';
import { noSuchNode } from './no-such-node.ts';
import { isOnHost, parseOutcome, type OutcomeRecord } from './outcome-branch.ts';
import { PushedTrees, readPushedOn } from './pushed-files.ts';
import { nodeOfRef, OUTCOMES, outcomeRef } from './refs.ts';

/** A node whose host has drifted. */
export interface DriftEntry {
  readonly node: string;
  /** Commit of the drift; `git diff` from the applied commit to it shows what somebody did by hand. */
  readonly commit: Oid;
  /** Seconds since 1970. */
  readonly since: number;
  readonly applied?: Oid;
  readonly differences: readonly Difference[];
  /** The first observation of the node found it. */
  readonly first: boolean;
}

/**
 * Drifts that are still there.
 * @throws MultinicError `NoSuchNode`
 */
export async function listDrifts(reader: Reader, node?: string): Promise<DriftEntry[]> {
  const tips =
    node === undefined
      ? await reader.refs(OUTCOMES)
      : new Map([[outcomeRef(node), (await reader.ref(outcomeRef(node))) ?? noTip(node)]]);
  const drifts = await Promise.all(
    [...tips].map(async ([ref, tip]) => {
      const drift = await newestDrift(reader, tip);
      return drift === undefined ? [] : [entryOf(nodeOfRef(ref) ?? '', drift)];
    }),
  );
  return drifts.flat().toSorted((a, b) => (a.node < b.node ? -1 : 1));
}

function noTip(node: string): never {
  throw noSuchNode(node);
}

function entryOf(node: string, drift: OutcomeRecord): DriftEntry {
  return {
    node,
    commit: drift.oid,
    since: drift.time,
    ...(drift.tried !== undefined && { applied: drift.tried }),
    differences: drift.differences ?? [],
    first: drift.first === true,
  };
}

/** The drift that the newest record of an outcome branch reports; requests are skipped. */
export async function newestDrift(reader: Reader, tip: Oid): Promise<OutcomeRecord | undefined> {
  for (let next: Oid | undefined = tip; next !== undefined;) {
    const commit: Commit = await reader.commit(next);
    const record = parseOutcome(commit);
    if (record.result === 'Drifted') return record;
    if (record.result !== 'Requested' && record.result !== 'Superseded') return undefined;
    next = commit.parents[0];
  }
  return undefined;
}

/** The edit of the node's branch that accepts a drift. */
export interface AcceptedDrift {
  readonly files: ReadonlyMap<string, string>;
  readonly network: Network;
}

/**
 * The files of a branch with the changes that somebody made on the host, judged like a push.
 * @param shown the drift that the person has seen; absent: a client of an earlier version does not send it
 * @throws MultinicError `NothingToAccept`, `DriftOutdated`, and as a push is refused
 */
export async function acceptDrift(
  reader: Reader,
  branch: Branch,
  drift: OutcomeRecord | undefined,
  shown?: string,
): Promise<AcceptedDrift> {
  const { name } = branch;
  if (drift?.tried === undefined)
    throw refused('NothingToAccept', `${name} has not drifted: multinic drift lists the nodes that have`);
  if (shown !== undefined && shown !== drift.oid)
    throw refused(
      'DriftOutdated',
      `${name} has drifted otherwise since ${shown.slice(0, 10)}: multinic drift ${name} shows how, then accept that`,
    );
  const own = await reader.files(branch.tip.oid);
  const applied = managedFiles(await reader.files(drift.tried));
  if (branch.invalid !== undefined || treeId(managedFiles(own)) !== treeId(applied))
    throw refused(
      'DriftOutdated',
      `node/${name} moved on since ${drift.tried.slice(0, 10)}, which the host was compared with: edit the branch instead, multinic diff ${name} --host shows what the host has`,
    );
  const { files, listing } = await merge(reader, branch.tip.oid, drift, applied);
  if (treeId(files) === treeId(own))
    throw refused(
      'NothingToAccept',
      `no file of ${name} differs, and only files can be kept: multinic retry ${name} repairs the host`,
    );
  const trees = new PushedTrees(await readPushedOn(reader, branch.tip.oid), reader, {
    unmanaged: `multinic retry ${name} takes it away`,
    tooLarge: 'shorten its comments on the host',
  });
  return { files, network: await trees.judge(drift.oid.slice(0, 10), listing, files) };
}

/** The branch's files with the changes that the host has since the run. */
async function merge(
  reader: Reader,
  tip: Oid,
  drift: OutcomeRecord,
  applied: ReadonlyMap<string, string>,
): Promise<{ files: Map<string, string>; listing: Map<string, TreeEntry> }> {
  const [files, listing] = await Promise.all([reader.files(tip), reader.list(tip)]);
  const [host, hostListing] = await Promise.all([reader.files(drift.oid), reader.list(drift.oid)]);
  const before = await filesBefore(reader, drift, applied);
  const merged = { files: new Map(files), listing: new Map(listing) };
  for (const path of new Set([...before.keys(), ...host.keys()])) {
    const text = host.get(path);
    if (text === before.get(path)) continue;
    const entry = hostListing.get(path);
    if (text === undefined || entry === undefined) {
      merged.files.delete(path);
      merged.listing.delete(path);
    } else {
      merged.files.set(path, text);
      merged.listing.set(path, entry);
    }
  }
  return merged;
}

/** The files that the host had before it drifted, without the files of NICs that were missing. */
async function filesBefore(
  reader: Reader,
  drift: OutcomeRecord,
  applied: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  for (let next: Oid | undefined = drift.oid; next !== undefined;) {
    const commit: Commit = await reader.commit(next);
    const record = parseOutcome(commit);
    if (isOnHost(record) && record.tried === drift.tried) return reader.files(next);
    next = commit.parents[0];
  }
  return applied;
}

function refused(code: 'NothingToAccept' | 'DriftOutdated', message: string): MultinicError {
  return new MultinicError(code, message);
}
