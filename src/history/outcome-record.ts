// Reads a commit of an outcome branch. Apart from the branch's other code, because `multinic log` starts without schemas.

import { parseOid } from '../api/oid.ts';
import { readReason } from '../api/reasons/reasons.ts';
import { RESULTS } from '../api/results.ts';
import type { Commit } from '../store/model/store-port.ts';
import { oidTrailer, trailer, TRAILER } from './commit-format.ts';
import type { OutcomeRecord, Request } from './outcome-branch.ts';

export const KEY = {
  result: 'Result',
  reason: 'Reason',
  attempt: 'Attempt',
  job: 'Job',
  stamp: 'Stamp',
  machine: 'Machine-ID',
  system: 'System-UUID',
  boot: 'Boot-ID',
  duration: 'Duration',
  missing: 'Missing',
  leftOut: 'Left-Out',
  found: 'Found',
  record: 'Record',
  warning: 'Warning',
  request: 'Request',
  by: 'By',
  /**
   * The trailer of a run that verified the host. A difference that an observation finds after this run is drift, and
   * not a state from before the run.
   */
  baseline: 'Baseline',
  /**
   * git tree ID of the managed files of the tried commit. Another commit with the same tree makes no difference to the
   * host.
   */
  triedTree: 'Tried-Tree',
  /** Digest of a drift: the same for the same drift. */
  digest: 'Digest',
  /** One difference of a drift, as JSON. */
  difference: 'Difference',
  /** The boot that was seen before the boot of the drift. */
  bootBefore: 'Boot-Before',
  /** The first observation of the node found the drift, so it is only reported. */
  first: 'First-Observation',
} as const;

/** Results of the commits of an outcome branch. Drifted and Observed come from observations, which are no attempts. */
const RECORD_RESULTS = [...RESULTS, 'Requested', 'Drifted', 'Observed'] as const;
export type RecordResult = (typeof RECORD_RESULTS)[number];

/** Reads one commit of an outcome branch, without the details of a drift. */
export function readRecord(commit: Commit): OutcomeRecord {
  const get = (key: string): string | undefined => trailer(commit, key);
  const result = get(KEY.result);
  const recordText = get(KEY.record);
  const record = recordText === 'none' ? null : parseOid(recordText);
  const seconds = get(KEY.stamp);
  const reason = get(KEY.reason);
  const leftOut = all(commit, KEY.leftOut);
  return {
    oid: commit.oid,
    time: commit.committer.time,
    result: RECORD_RESULTS.find((each) => each === result) ?? 'Unknown',
    attempt: Number(get(KEY.attempt) ?? 0),
    tree: commit.tree,
    missing: all(commit, KEY.missing),
    found: all(commit, KEY.found).map((line) => {
      const [mac = '', name = '', netplanId] = line.split(' ');
      return { mac, name, ...(netplanId !== undefined && { netplanId }) };
    }),
    ...(leftOut.length > 0 && { leftOut }),
    ...(commit.body !== '' && { message: commit.body }),
    ...(record !== undefined && { record }),
    ...(seconds !== undefined && { stamp: Number(seconds) }),
    ...optional('tried', commit.parents[1]),
    ...optional('triedTree', oidTrailer(commit, KEY.triedTree)),
    ...optional('change', oidTrailer(commit, TRAILER.mainCommit)),
    ...optional('reason', reason === undefined ? undefined : readReason(reason)),
    ...optional('job', get(KEY.job)),
    ...optional('machineId', get(KEY.machine)),
    ...optional('systemUUID', get(KEY.system)),
    ...optional('bootId', get(KEY.boot)),
    ...optional('request', get(KEY.request) as Request | undefined),
    ...optional('by', get(KEY.by)),
    ...(get(KEY.baseline) === 'run' && { baseline: true }),
  };
}

/** All values of a trailer. */
export function all(commit: Commit, key: string): string[] {
  return commit.trailers.filter(([name]) => name === key).map(([, value]) => value);
}

/** A field, unless its value is missing. */
export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
