// Outcome branches: one commit for each attempt on a host, for each person's request, and for each drift. Append-only.

import { concerns } from '../api/errors.ts';
import { isDriftRepairable } from '../api/difference-words.ts';
import { Difference } from '../api/observation.ts';
import type { Outcome } from '../api/outcome.ts';
import type { Result } from '../api/results.ts';
import { rendererOf } from '../network/renderers.ts';
import { parseNode } from '../network/node.ts';
import { managedFiles, NODE_FILE, readTree, treeId } from '../network/tree.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit, Mark, Oid, Person, Reader } from '../store/model/store-port.ts';

import { oidTrailer, subject, trailer, TRAILER, kindOf } from './commit-format.ts';
import { all, KEY, optional, readRecord, type RecordResult } from './outcome-record.ts';
import { outcomeRef } from './refs.ts';
import { factsOf, type AnyReason } from '../api/reasons/reasons.ts';

/** A request of a person. A pause and a resume ask for no run: their commits are for the record. */
export type Request = 'retry' | 'confirm' | 'pause' | 'resume';

/** Results of records that are no run of the agent. */
const NO_RUN = ['Requested', 'Drifted', 'Observed'] as const;

/** One commit of an outcome branch. */
export interface OutcomeRecord {
  readonly oid: Oid;
  /** Seconds since 1970. */
  readonly time: number;
  readonly result: RecordResult;
  /** Commit of main that the tried commit's base came from. */
  readonly change?: Oid;
  readonly reason?: AnyReason;
  readonly message?: string;
  /** The commit that was tried. */
  readonly tried?: Oid;
  /** git tree ID of the managed files of `tried`; absent: an earlier version wrote the record. */
  readonly triedTree?: Oid;
  readonly attempt: number;
  readonly job?: string;
  /** Seconds since 1970, as in the Job's name. */
  readonly stamp?: number;
  readonly machineId?: string;
  /** As in node.yaml of the tried commit. */
  readonly systemUUID?: string;
  readonly bootId?: string;
  /** git tree id of the managed files that are on the host afterwards. */
  readonly tree: Oid;
  readonly missing: readonly string[];
  /** MACs that the run left out, so that another node can take an address; absent: none. */
  readonly leftOut?: readonly string[];
  readonly found: readonly { readonly mac: string; readonly name: string; readonly netplanId?: string }[];
  /** Commit that the host's record names; null: the host has no record. */
  readonly record?: Oid | null;
  readonly request?: Request;
  readonly by?: string;
  /** The run verified the host, so a later difference is drift. */
  readonly baseline?: true;
  /** Digest of a drift: the same for the same drift. */
  readonly digest?: string;
  readonly differences?: readonly Difference[];
  /** The boot that was seen before `bootId`. */
  readonly bootBefore?: string;
  /** The drift was found by the node's first observation. */
  readonly first?: true;
  /** False: no run can repair any difference of the drift. */
  readonly repairable?: false;
}

/** The end of a job, from the scheduler. Without an outcome, the result is Unknown. */
export interface EndedJob {
  readonly node: string;
  readonly job: string;
  readonly stamp: number;
  readonly commit: Oid;
  readonly attempt: number;
  /** IDs from the inventory, for an agent that never reported. */
  readonly machineId?: string;
  readonly bootId?: string;
  readonly outcome?: Outcome;
  readonly message?: string;
}

/** A person's request. */
export interface RunRequest {
  readonly node: string;
  readonly request: Request;
  readonly by: Person;
  readonly principal: string;
  /** The job whose outcome cannot be recorded, if the request replaces that outcome. */
  readonly job?: string;
  readonly stamp?: number;
  readonly message?: string;
}

/** Reads outcome branches, and remembers parsed records. */
export class Outcomes {
  readonly #reader: Reader;
  readonly #known = new Map<string, { tip: Oid; records: readonly OutcomeRecord[] }>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /**
   * The records that the next decision needs, newest first. The list reaches at least the newest record that put the
   * host in its state, and has all records of the newest changes that were tried.
   */
  async recent(node: string, tip: Oid | undefined): Promise<readonly OutcomeRecord[]> {
    if (tip === undefined) return [];
    const known = this.#known.get(node);
    if (known?.tip === tip) return known.records;
    const reading = new Reading();
    for (let next: Oid | undefined = tip; next !== undefined && !reading.isEnough;) {
      if (next === known?.tip) {
        for (const record of known.records) if (!reading.isEnough) reading.add(record);
        break;
      }
      const commit: Commit = await this.#reader.commit(next);
      if (commit.parents.length > 0 && !isForTheRecord(commit)) reading.add(parseOutcome(commit));
      next = commit.parents[0];
    }
    const { records } = reading;
    this.#known.set(node, { tip, records });
    return records;
  }

  /** Forgets the records of all nodes but these. */
  keep(nodes: { has(node: string): boolean }): void {
    for (const name of this.#known.keys()) if (!nodes.has(name)) this.#known.delete(name);
  }
}

function isForTheRecord(commit: Commit): boolean {
  const request = trailer(commit, KEY.request);
  return request === 'pause' || request === 'resume';
}

/** Limit on the runs that are read to find the run that put the host in its state. */
const LOOK_BACK = 1_000;
/**
 * Limit on the records that are read. A host that drifts and recovers each hour makes 17,000 records a year without a
 * run.
 */
const MAX_RECORDS = 20_000;
/**
 * Number of the newest changes whose runs are read. A node's failure in a change counts for nodes that have not tried
 * the change, also after this node got a rollback or the next change.
 */
const CHANGES_BACK = 3;
/** Bound on the records of these changes: a change may have been edited and rolled back over and over. */
const CHANGES_LOOK_BACK = 100;

/** The records of an outcome branch that are read, newest first, and whether they reach back far enough. */
class Reading {
  readonly records: OutcomeRecord[] = [];
  readonly #changes = new Set<Oid | undefined>();
  #runs = 0;
  #hasApplied = false;

  add(record: OutcomeRecord): void {
    this.records.push(record);
    const { result, change } = record;
    if (result === 'Applied') this.#hasApplied = true;
    if (NO_RUN.some((each) => each === result)) return;
    this.#runs += 1;
    this.#changes.add(change);
  }

  get isEnough(): boolean {
    const { length } = this.records;
    if (this.#runs >= LOOK_BACK || length >= MAX_RECORDS) return true;
    return this.#hasApplied && (length >= CHANGES_LOOK_BACK || this.#changes.size > CHANGES_BACK);
  }
}

/** Reads one commit of an outcome branch. */
export function parseOutcome(commit: Commit): OutcomeRecord {
  const record = readRecord(commit);
  return { ...record, ...(record.result === 'Drifted' && parseDrift(commit)) };
}

type Drift = Pick<OutcomeRecord, 'digest' | 'differences' | 'bootBefore' | 'first' | 'repairable'>;

function parseDrift(commit: Commit): Drift {
  const differences = all(commit, KEY.difference).flatMap((text) => {
    try {
      return Difference.safeParse(JSON.parse(text)).data ?? [];
    } catch {
      return [];
    }
  });
  return {
    differences,
    ...optional('digest', trailer(commit, KEY.digest)),
    ...optional('bootBefore', trailer(commit, KEY.bootBefore)),
    ...(trailer(commit, KEY.first) === 'true' && { first: true }),
    ...(differences.length > 0 && !isDriftRepairable(differences) && { repairable: false }),
  };
}

/**
 * Adds the commit that records the end of a job to the batch. The result is Unknown if the agent reports the commit as
 * applied and the host's files have another tree than the commit.
 */
export async function recordOutcome(
  reader: Reader,
  batch: Batch,
  tip: Oid | undefined,
  ended: EndedJob,
): Promise<void> {
  const { outcome } = ended;
  const parent = tip ?? root(batch, ended.node);
  const before = tip === undefined ? new Map<string, string>() : await reader.files(tip);
  const after =
    outcome !== undefined && isOnHost(outcome)
      ? await expectedFiles(reader, ended.commit, [...outcome.missing, ...(outcome.leftOut ?? [])])
      : undefined;
  const mismatch = after !== undefined && outcome?.tree !== treeId(after);
  const result: Result = mismatch ? 'Unknown' : (outcome?.result ?? 'Unknown');
  const reason = mismatch ? 'TreeMismatch' : outcome === undefined ? 'OutcomeLost' : outcome.reason;
  const change = await changeAt(reader, ended.commit);
  const systemUUID = await systemAt(reader, ended.commit);
  const seconds = outcome === undefined ? undefined : (outcome.durationMs / 1000).toFixed(2);
  const commit = batch.commit({
    parents: [parent, ended.commit],
    replace: true,
    files: after !== undefined && !mismatch ? after : before,
    author: CONTROLLER,
    subject: subject(ended.node, headline(result, reason, ended, seconds)),
    ...optional('body', outcome?.message ?? ended.message),
    trailers: [
      [KEY.result, result],
      ...line(KEY.reason, reason),
      [KEY.attempt, String(ended.attempt)],
      [KEY.job, ended.job],
      [KEY.stamp, String(ended.stamp)],
      [KEY.triedTree, treeId(await expectedFiles(reader, ended.commit, []))],
      ...line(TRAILER.mainCommit, change),
      ...line(KEY.machine, outcome?.machineId || ended.machineId),
      ...line(KEY.system, systemUUID),
      ...line(KEY.boot, outcome?.bootId || ended.bootId),
      ...line(KEY.duration, seconds && `${seconds}s`),
      ...(isOnHost({ result }) ? [[KEY.baseline, 'run'] as const] : []),
      ...(outcome?.missing ?? []).map((mac) => [KEY.missing, mac] as const),
      ...(outcome?.leftOut ?? []).map((mac) => [KEY.leftOut, mac] as const),
      ...(outcome?.found ?? []).map(
        ({ mac, name, netplanId }) => [KEY.found, [mac, name, netplanId ?? []].flat().join(' ')] as const,
      ),
      ...(outcome?.warnings ?? []).map((code) => [KEY.warning, code] as const),
      ...(outcome?.record === undefined ? [] : [[KEY.record, outcome.record ?? 'none'] as const]),
    ],
  });
  batch.move(outcomeRef(ended.node), commit, tip ?? null);
}

/** Adds a request to the outcome branch. The tree stays the same; the scheduler decides again. */
export function recordRequest(batch: Batch, tip: Oid | undefined, runRequest: RunRequest): Mark {
  const { node, request, by, principal, job, stamp, message } = runRequest;
  const commit = batch.commit({
    parents: [tip ?? root(batch, node)],
    files: new Map(),
    author: by,
    subject: subject(node, `${request} requested by ${by.name}`),
    ...optional('body', message),
    trailers: [
      [KEY.result, 'Requested'],
      [KEY.request, request],
      ...line(KEY.job, job),
      ...line(KEY.stamp, stamp?.toString()),
      [KEY.by, principal],
    ],
  });
  batch.move(outcomeRef(node), commit, tip ?? null);
  return commit;
}

/** The commit of main that the base of a node's commit comes from. */
async function changeAt(reader: Reader, commit: Oid): Promise<Oid | undefined> {
  for (let next: Oid | undefined = commit; next !== undefined;) {
    const at: Commit = await reader.commit(next);
    if (kindOf(at) === 'spec') return oidTrailer(at, TRAILER.mainCommit);
    next = at.parents[0];
  }
  return undefined;
}

/**
 * The system UUID in the tried commit's node.yaml; undefined: unknown. The tip's UUID has the same source, so the two
 * differ only if the machine does.
 */
export async function systemAt(reader: Reader, commit: Oid): Promise<string | undefined> {
  const text = (await reader.files(commit)).get(NODE_FILE);
  try {
    return text === undefined ? undefined : parseNode(text).systemUUID || undefined;
  } catch (error) {
    if (!concerns(error, 'tip')) throw error;
    return undefined;
  }
}

/** Whether a run could not reach the store. Such a run tried nothing, so it is neither a failure nor an attempt. */
export function foundNoStore({ reason }: Pick<OutcomeRecord, 'reason'>): boolean {
  return factsOf(reason)?.concerns === 'access';
}

/** Whether the host has the files of the tried commit after such a record. */
export function isOnHost({ result }: Pick<OutcomeRecord, 'result'>): boolean {
  return result === 'Applied' || result === 'Pending';
}

/** @param absent MACs of NICs without files on the host */
export async function expectedFiles(
  reader: Reader,
  commit: Oid,
  absent: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const files = await reader.files(commit);
  // An earlier version may have applied a tree that is refused today. The record still names the files on the host.
  if (absent.length === 0) return managedFiles(files);
  const { node, network } = readTree(files);
  const gone = network
    .filter((nic) => absent.includes(nic.mac))
    .flatMap((nic) => [...rendererOf(node.renderer).render(nic).keys()]);
  return new Map([...managedFiles(files)].filter(([path]) => !gone.includes(path)));
}

export function root(batch: Batch, node: string): Mark {
  return batch.commit({
    parents: [],
    files: new Map(),
    replace: true,
    author: CONTROLLER,
    subject: subject(node, 'nothing applied yet'),
    trailers: [],
  });
}

function headline(
  result: Result,
  reason: AnyReason | undefined,
  ended: EndedJob,
  seconds: string | undefined,
): string {
  const details = [reason, `attempt ${ended.attempt}`, seconds && `${seconds} s`].filter(Boolean).join(', ');
  return `${result} ${ended.commit.slice(0, 10)} (${details})`;
}

export function line(key: string, value: string | undefined): (readonly [string, string])[] {
  return value === undefined ? [] : [[key, value]];
}
