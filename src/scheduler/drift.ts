// Reads the drift of a node from its records: drifts that are still there, drifts that come back, and when repairs
// stop. Pure.

import { differenceKey, isRepairable } from '../api/difference-words.ts';
import type { Difference } from '../api/observation.ts';
import { foundNoStore, isOnHost } from '../history/outcome-branch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import { Derived } from './derived.ts';
import type { RunRecord } from './due.ts';

/** Number of repairs of one difference after which the difference is not repaired again. */
export const MAX_REPAIRS = 3;
const FIGHT_SECONDS = 24 * 3600;
const STORM_SECONDS = 3600;
/** Nodes that may drift within an hour, and the share of all nodes. */
const MAX_DRIFTED = 3;
const MAX_DRIFTED_SHARE = 0.1;
/** Number of nodes whose repair failed that stops all repairs. */
const MAX_FAILED_REPAIRS = 3;

/** The drift that the newest record reports; undefined: no drift is known, or a run came later. */
export function driftOf(history: readonly RunRecord[]): RunRecord | undefined {
  const newest = history.find(({ result }) => result !== 'Requested' && result !== 'Superseded');
  return newest?.result === 'Drifted' ? newest : undefined;
}

/**
 * Differences of a drift that came back after each of the last repairs. The repairs lie within one day, or at boots
 * that follow one another.
 */
export function fightsOf(history: readonly RunRecord[], drift: RunRecord): readonly Difference[] {
  const before = repairedDrifts(history);
  return (drift.differences ?? []).filter(isRepairable).filter((difference) => {
    const key = differenceKey(difference);
    const same = before.filter(({ differences = [] }) =>
      differences.some((each) => differenceKey(each) === key),
    );
    const today = same.filter(({ time }) => drift.time - time <= FIGHT_SECONDS);
    return today.length >= MAX_REPAIRS || bootsInARow(same, drift) >= MAX_REPAIRS;
  });
}

/** Drifts that a run repaired, newest first, back to a person's newest request for a run. */
function repairedDrifts(history: readonly RunRecord[]): RunRecord[] {
  const drifts: RunRecord[] = [];
  let repaired = false;
  for (const record of history) {
    if (record.request === 'retry' && record.by !== CONTROLLER.name) break;
    if (isOnHost(record)) repaired = true;
    if (record.result !== 'Drifted') continue;
    if (repaired) drifts.push(record);
    repaired = false;
  }
  return drifts;
}

/** Number of boots before that of `drift`, without a gap, that had one of the drifts. */
function bootsInARow(drifts: readonly RunRecord[], drift: RunRecord): number {
  let boots = 0;
  let { bootBefore } = drift;
  for (const each of drifts) {
    if (bootBefore === undefined || each.bootId !== bootBefore) continue;
    boots += 1;
    ({ bootBefore } = each);
  }
  return boots;
}

/**
 * Runs that repaired a drift, or tried to. They say nothing about the commit, which had been applied before; another
 * commit with the same files counts too, for instance if a machine got another ID.
 */
export function repairRuns(history: readonly RunRecord[]): ReadonlySet<RunRecord> {
  const repairs = new Set<RunRecord>();
  let drift: RunRecord | undefined;
  let applied: RunRecord | undefined;
  for (const record of history.toReversed()) {
    if (record.result === 'Drifted') drift = record;
    else if (drift !== undefined && isRun(record) && isOfCommit(record, drift, applied)) repairs.add(record);
    if (isOnHost(record) || record.result === 'Observed') drift = undefined;
    if (isOnHost(record)) applied = record;
  }
  return repairs;
}

/** Whether a run tried the commit that had been applied before the drift, or another commit with the same files. */
function isOfCommit(run: RunRecord, drift: RunRecord, applied: RunRecord | undefined): boolean {
  if (run.tried === drift.tried) return true;
  return run.triedTree !== undefined && run.triedTree === (applied?.triedTree ?? applied?.tree);
}

function isRun(record: RunRecord): boolean {
  return isOnHost(record) || record.result === 'Failed' || record.result === 'Unknown';
}

/** Time of the newest run if that run repaired a drift, seconds since 1970. */
export function repairedAt(history: readonly RunRecord[]): number | undefined {
  const newest = history.find(({ result }) => result !== 'Requested' && result !== 'Superseded');
  return newest !== undefined && isOnHost(newest) && repairRuns(history).has(newest)
    ? newest.time
    : undefined;
}

/** Counts that stop repairs: the most nodes that drifted within one hour, and the nodes whose last repair failed. */
export interface RepairLimits {
  readonly drifted: number;
  readonly limit: number;
  readonly failed: number;
  readonly stopped: boolean;
}

/**
 * Whether all repairs stop. Many drifted nodes within an hour, or many failed repairs, point to a common cause; a
 * person's confirmation starts repairs again.
 * @param confirmedAt time of the newest confirmation, seconds since 1970
 */
export function limitRepairs(
  nodes: readonly { readonly history: readonly RunRecord[] }[],
  confirmedAt: number,
): RepairLimits {
  const limit = Math.max(MAX_DRIFTED, Math.floor(nodes.length * MAX_DRIFTED_SHARE));
  const drifted = mostInAnHour(nodes, confirmedAt);
  const failed = nodes.filter(({ history }) => hasFailedRepair(history, confirmedAt)).length;
  return { drifted, limit, failed, stopped: drifted > limit || failed >= MAX_FAILED_REPAIRS };
}

/**
 * The largest number of nodes that drifted within one hour. Drifts of a first observation do not count because they may
 * be old, nor do drifts that no run can repair.
 */
function mostInAnHour(
  nodes: readonly { readonly history: readonly RunRecord[] }[],
  confirmedAt: number,
): number {
  const drifts = nodes
    .flatMap(({ history }, node) =>
      repairsOf(history)
        .drifts.filter(({ time }) => time > confirmedAt)
        .map(({ time }) => ({ node, time })),
    )
    .toSorted((a, b) => a.time - b.time);
  const inWindow = new Map<number, number>();
  let most = 0;
  let oldest = 0;
  for (const { node, time } of drifts) {
    inWindow.set(node, (inWindow.get(node) ?? 0) + 1);
    for (; drifts[oldest]!.time <= time - STORM_SECONDS; oldest += 1) {
      const left = inWindow.get(drifts[oldest]!.node)! - 1;
      if (left === 0) inWindow.delete(drifts[oldest]!.node);
      else inWindow.set(drifts[oldest]!.node, left);
    }
    most = Math.max(most, inWindow.size);
  }
  return most;
}

function isForRepair({ result, first, repairable }: RunRecord): boolean {
  return result === 'Drifted' && first !== true && repairable !== false;
}

/** The part of a node's records that the limits of repairs read. */
interface Repairs {
  readonly drifts: readonly RunRecord[];
  /** The newest repair. A run that did not reach the store does not count as one. */
  readonly last: RunRecord | undefined;
}

const repairs = new Derived<readonly RunRecord[], Repairs>();

function repairsOf(history: readonly RunRecord[]): Repairs {
  return repairs.of(history, [], () => ({
    drifts: history.filter(isForRepair),
    // A set keeps the order of insertion, oldest first.
    last: [...repairRuns(history)].findLast((run) => !foundNoStore(run)),
  }));
}

function hasFailedRepair(history: readonly RunRecord[], confirmedAt: number): boolean {
  const { last } = repairsOf(history);
  return last !== undefined && !isOnHost(last) && last.time > confirmedAt;
}
