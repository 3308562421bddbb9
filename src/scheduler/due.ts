// Decides whether one node needs a run of the agent, and whether it may have one now. Each decision uses only the store
// and the inventory; nothing is remembered between decisions.
import type { DriftMode } from '../api/annotations.ts';
import type { AgentJob } from '../api/job.ts';
import { foundNoStore, isOnHost, type OutcomeRecord } from '../history/outcome-branch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import { areOtherMachines } from '../network/machine-ids.ts';
import type { Oid } from '../store/model/store-port.ts';
import { Derived } from './derived.ts';
import { driftOf, fightsOf } from './drift.ts';
import { nextStamp } from './job-name.ts';

export const MAX_ATTEMPTS = 10;
/**
 * Upper bound on runs of one commit within one boot ID as the runs report it. The inventory may be wrong about the
 * boot, and must not cause Jobs without end.
 */
export const MAX_TRIES = 30;
const FIRST_DELAY_MS = 60_000;
const MAX_DELAY_MS = 3_600_000;

/** One outcome, with the commit of main whose change was tried. */
export interface RunRecord extends OutcomeRecord {
  /** Commit of main that the tried commit comes from; absent: known only while the tried commit is the tip. */
  readonly change?: Oid;
}

/** Results of records that neither changed the host nor found out why it cannot be changed. */
const NO_RUN = ['Requested', 'Superseded', 'Drifted', 'Observed'] as const;

/** A run that read the host. */
export interface EndedRun extends RunRecord {
  readonly result: Exclude<RunRecord['result'], (typeof NO_RUN)[number]>;
}

/** Addresses of one node, without prefixes. */
export interface NodeAddresses {
  /** NICs of the tip. */
  readonly nics: readonly { readonly mac: string; readonly addresses: readonly string[] }[];
  /** Addresses that the CR gives the node. */
  readonly asked: ReadonlySet<string>;
  /** Addresses that the host has by the newest outcome. */
  readonly applied: ReadonlySet<string>;
}

/** Input of the scheduler for one node. */
export interface NodeFacts {
  readonly name: string;
  readonly nodeId: string;
  readonly tip: Oid;
  /** Committer time of the tip, seconds since 1970. */
  readonly tipTime: number;
  /** The tip's managed files. */
  readonly tipTree: Oid;
  /** The tip fails the checks; it reached the store without passing the push policy. */
  readonly invalidTip?: boolean;
  /** The node has an interface in its tip, or had one on the host. */
  readonly wanted: boolean;
  /** Commit on main that the newest spec commit comes from. */
  readonly change?: Oid;
  /** IDs as in the tip's node.yaml: another machine is always another tip. */
  readonly machineId: string;
  readonly systemUUID: string;
  /** As in the inventory. */
  readonly bootID: string;
  readonly ready: boolean;
  /** The inventory has no such node. */
  readonly gone?: true;
  /** Problem of the node's inventory entry, in words for people. */
  readonly problem?: string;
  readonly paused: boolean;
  /** The CR of the node pauses it, by its annotation. */
  readonly pausedByConfig?: true;
  /** Answer to drift: `report` waits for a person. Absent: repair. */
  readonly drift?: DriftMode;
  /** Absent: the node waits for no other node, and none waits for it. */
  readonly addresses?: NodeAddresses;
  /** The node's own way to apply; absent: the policy's. */
  readonly apply?: AgentJob['apply'];
  /** Hosts that must answer after a change on this node. */
  readonly probes?: readonly string[];
  /**
   * Outcomes, newest first. The list reaches back at least to the newest Applied or Pending outcome, and has every
   * outcome of the newest changes that were tried.
   */
  readonly history: readonly RunRecord[];
  /** The record that the newest Diverged outcome reports is a commit of this branch. */
  readonly recordInBranch?: boolean;
  /** The tip has the names that the newest Adopt or Diverged outcome found. Absent: true once the tip has moved. */
  readonly namesAdopted?: boolean;
}

export type IdleReason =
  | 'UpToDate'
  | 'NothingWanted'
  | 'InvalidTip'
  | 'Paused'
  | 'NotReady'
  /** Found names have to be committed first. */
  | 'Adopt'
  /** The host has a state that the store does not know: a person must confirm that it may be overwritten. */
  | 'NeedsConfirm'
  | 'GivenUp'
  /** Too many nodes failed in this change. */
  | 'ChangeStopped'
  /** The host has drifted, and the drift is only reported until a person decides. */
  | 'Drifted'
  /** The same difference comes back after each repair. */
  | 'DriftFight'
  /** Too many nodes drifted at once, or too many repairs failed. */
  | 'RepairsStopped'
  /** This node has a job that has not started, is running, or has ended with an outcome that is not recorded yet. */
  | 'Waiting'
  | 'Running'
  | 'Recording'
  /** A job of an older commit is waiting and must be withdrawn first. */
  | 'Withdrawing'
  /** Due, but enough jobs run. */
  | 'Queued';

export interface Due {
  readonly due: true;
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** Seconds since 1970, for the Job's name. */
  readonly stampSeconds: number;
  readonly expectedRecord: Oid | null;
  /** A person asked for it. */
  readonly requested: boolean;
  /** The only cause of the run is drift. */
  readonly repair?: true;
  /** MACs of NICs whose addresses other nodes still have: the run frees the node's own addresses, and leaves these out. */
  readonly leaveOut?: readonly string[];
}

/** The node's new address may still be on another node's host. */
export interface WaitsForAddress {
  readonly due: false;
  readonly reason: 'WaitsForAddress';
  readonly address: string;
  readonly holder: string;
  /** The holder's tip has the address too. */
  readonly isKept: boolean;
  /** The wait ends only after a person acted, or after a node is back. */
  readonly isStuck: boolean;
}

export type Decision =
  | Due
  | WaitsForAddress
  | { readonly due: false; readonly reason: IdleReason }
  /** `until`: milliseconds since 1970. */
  | { readonly due: false; readonly reason: 'BackingOff'; readonly until: number };

/** Decisions that no clock changes; undefined: the decision depends on the time. */
const lasting = new Derived<NodeFacts, Decision | undefined>();

/**
 * Whether the node needs a run of the agent, and may have one now.
 * @param now milliseconds since 1970
 * @param drift answer to drift of a node that has no answer of its own
 */
export function decide(node: NodeFacts, now: number, drift?: DriftMode): Decision {
  return lasting.of(node, [drift], () => decideForGood(node, drift)) ?? decideFor(node, now);
}

function decideForGood(node: NodeFacts, drift: DriftMode | undefined): Decision | undefined {
  const reason = idleReason(node, node.drift ?? drift);
  if (reason !== undefined) return { due: false, reason };
  return isGivenUp(node, triesOfTip(node)) ? { due: false, reason: 'GivenUp' } : undefined;
}

function decideFor(node: NodeFacts, now: number): Decision {
  const tries = triesOfTip(node);
  const until = pauseAfter(node, tries, now);
  if (until > now) return { due: false, reason: 'BackingOff', until };
  return {
    due: true,
    attempt: attemptsOf(node, tries).length + 1,
    stampSeconds: nextStamp({
      becameDue: [
        node.tipTime,
        until < now ? Math.floor(until / 1000) : 0,
        ...requests(node).map(({ time }) => time),
      ],
      recorded: node.history.map(({ stamp = 0 }) => stamp),
    }),
    expectedRecord: expectedRecord(node),
    requested: requests(node).some(({ by }) => by !== CONTROLLER.name),
    ...(isRepair(node) && { repair: true }),
  };
}

/** The first reason against a run, in this order: nothing to do, not allowed, not reachable, the host's own state. */
function idleReason(node: NodeFacts, answer: DriftMode | undefined): IdleReason | undefined {
  const [newest] = runs(node);
  if (node.invalidTip === true) return 'InvalidTip';
  if (newest === undefined && !node.wanted) return 'NothingWanted';
  const drift = newest && driftWithoutCause(node, newest);
  if (newest !== undefined && !mayDiffer(node, newest) && drift === undefined) return 'UpToDate';
  if (node.paused) return 'Paused';
  if (!node.ready) return 'NotReady';
  if (drift !== undefined) return driftObstacle(node, drift, answer);
  return newest && hostObstacle(node, newest);
}

/** The drift of a host that needs a run for no other reason. */
function driftWithoutCause(node: NodeFacts, newest: OutcomeRecord): RunRecord | undefined {
  return mayDiffer(node, newest) ? undefined : driftOf(node.history);
}

function isRepair(node: NodeFacts): boolean {
  const [newest] = runs(node);
  return newest !== undefined && driftWithoutCause(node, newest) !== undefined;
}

/** The reason why a drift is not repaired automatically. */
function driftObstacle(
  node: NodeFacts,
  drift: RunRecord,
  answer: DriftMode | undefined,
): IdleReason | undefined {
  if (drift.first === true || drift.repairable === false || answer === 'report') return 'Drifted';
  return fightsOf(node.history, drift).length > 0 ? 'DriftFight' : undefined;
}

/** Outcomes of runs that read the host, newest first. Requests, superseded runs and observations are left out. */
export function runs(node: Pick<NodeFacts, 'history'>): EndedRun[] {
  return node.history.filter(isEndedRun);
}

function isEndedRun(record: RunRecord): record is EndedRun {
  return NO_RUN.every((result) => result !== record.result);
}

/** Whether the host may differ from the tip. */
function mayDiffer(node: NodeFacts, newest: OutcomeRecord): boolean {
  switch (newest.result) {
    case 'Unknown':
    // Adopt and Diverged touched nothing, and found a host that differs from the newest outcome's tree.
    case 'Adopt':
    case 'Diverged':
      return true;
    case 'Failed':
    case 'Pending':
      // Equal files prove nothing if the run of this very tip failed: the files may be there without being in force.
      if (newest.tried === node.tip || rebooted(node, newest)) return true;
  }
  return newest.tree !== node.tipTree || replaced(node, newest) || isAsked(node, 'retry');
}

/** The reason why another run would end as the newest one did; undefined: another run may succeed. */
function hostObstacle(node: NodeFacts, newest: OutcomeRecord): IdleReason | undefined {
  if (replaced(node, newest) || isAsked(node, 'retry')) return undefined;
  if (newest.result === 'Adopt' && !rebooted(node, newest) && namesMissing(node, newest)) return 'Adopt';
  if (newest.result !== 'Diverged' || isAsked(node, 'confirm') || node.recordInBranch === true)
    return undefined;
  if (!neverApplied(node)) return 'NeedsConfirm';
  return namesMissing(node, newest) ? 'Adopt' : undefined;
}

function namesMissing(node: NodeFacts, outcome: OutcomeRecord): boolean {
  if (outcome.found.length === 0) return false;
  return node.namesAdopted === undefined ? outcome.tried === node.tip : !node.namesAdopted;
}

/** This branch has never been applied on this machine, so the host's record cannot contradict it. */
function neverApplied(node: NodeFacts): boolean {
  return !runs(node).some((run) => isOnHost(run) && !replaced(node, run));
}

/** The commit that the host's record should name: the one that was last applied on this machine. */
export function expectedRecord(node: NodeFacts): Oid | null {
  let confirmed = false;
  let newest = true;
  for (const outcome of node.history) {
    if (outcome.result === 'Requested') confirmed ||= outcome.request === 'confirm';
    // Older outcomes are those of a replaced machine, and say nothing about the present one.
    else if (replaced(node, outcome)) return null;
    else if (isOnHost(outcome)) return outcome.tried ?? null;
    else if (outcome.result === 'Diverged') {
      if (confirmed || (newest && (node.recordInBranch === true || neverApplied(node))))
        return outcome.record ?? null;
      newest = false;
    }
  }
  return null;
}

/** Runs of the present tip since its last success or request, newest first. */
function triesOfTip(node: NodeFacts): OutcomeRecord[] {
  const tries: OutcomeRecord[] = [];
  for (const outcome of node.history) {
    if (outcome.result === 'Superseded' || hasLeftOut(outcome)) continue;
    // A host that drifted begins a new series.
    if (outcome.result === 'Drifted' || outcome.result === 'Observed') break;
    const succeeded = outcome.result === 'Applied' && outcome.tree === node.tipTree;
    if (outcome.result === 'Requested' || outcome.tried !== node.tip || succeeded) break;
    tries.push(outcome);
  }
  return tries;
}

/** Whether a run left NICs out. Such a run did all that it was to do: it is neither a failure nor an attempt. */
export function hasLeftOut({ leftOut }: OutcomeRecord): boolean {
  return leftOut !== undefined;
}

/** Tries of the present boot that count against `MAX_ATTEMPTS`. */
function attemptsOf(node: NodeFacts, tries: readonly OutcomeRecord[]): OutcomeRecord[] {
  return tries.filter((run) => !rebooted(node, run) && !foundNoStore(run));
}

function isGivenUp(node: NodeFacts, tries: readonly OutcomeRecord[]): boolean {
  const sameBoot = tries.filter((run) => run.bootId === tries[0]?.bootId && !foundNoStore(run));
  return attemptsOf(node, tries).length >= MAX_ATTEMPTS || sameBoot.length >= MAX_TRIES;
}

/** End of the pause before the next try, milliseconds since 1970. */
function pauseAfter(node: NodeFacts, tries: readonly OutcomeRecord[], now: number): number {
  const sinceBoot = tries.filter((run) => !rebooted(node, run));
  return sinceBoot.length > 0 ? backoffEnd(sinceBoot, now) : rebootEnd(tries, now);
}

/** Milliseconds since 1970 before which the next attempt must not start. */
function backoffEnd(failures: readonly OutcomeRecord[], now: number): number {
  const [newest, before] = failures;
  if (newest === undefined) return 0;
  // Adopt and Diverged are questions that the controller answers, so the next run may start at once. Two of them in a
  // row count as a failure.
  if (isQuestion(newest) && !(before !== undefined && isQuestion(before))) return 0;
  return pauseEnd(newest, delayAfter(failures.length), now);
}

/**
 * End of the pause after a run. A run that lies further in the future than the pause is long was dated by a wrong
 * clock, so it gets no pause, and only the bound on attempts counts.
 */
function pauseEnd({ time }: OutcomeRecord, delayMs: number, now: number): number {
  const began = time * 1000;
  return began > now + delayMs ? now : began + delayMs;
}

/**
 * End of the pause after a reboot: none, so that the next run starts at once. If two runs in a row report one boot ID
 * and the inventory another, the usual pause stays, because the inventory may be wrong and runs without a pause would
 * never end.
 */
function rebootEnd(tries: readonly OutcomeRecord[], now: number): number {
  const [newest, before] = tries;
  if (newest === undefined || newest.bootId !== before?.bootId) return 0;
  const away = tries.findIndex((run) => !foundNoStore(run));
  return pauseEnd(newest, delayAfter(away === -1 ? tries.length : Math.max(away, 1)), now);
}

/** Pause after so many tries in a row, in milliseconds. */
function delayAfter(tries: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), MAX_DELAY_MS);
}

function isQuestion({ result }: OutcomeRecord): boolean {
  return result === 'Adopt' || result === 'Diverged';
}

/** Requests that no run has answered yet. */
function requests(node: NodeFacts): OutcomeRecord[] {
  const answered = node.history.findIndex(isEndedRun);
  const since = answered === -1 ? node.history : node.history.slice(0, answered);
  return since.filter(({ result }) => result === 'Requested');
}

export function isAsked(node: NodeFacts, request: 'retry' | 'confirm'): boolean {
  return requests(node).some((outcome) => outcome.request === request);
}

/** A run whose IDs are not known counts as a run of the present machine. */
function replaced(node: NodeFacts, { machineId, systemUUID, tried }: OutcomeRecord): boolean {
  return tried !== node.tip && areOtherMachines(node, { machineId, systemUUID });
}

// A run that never reported has no boot ID, and counts as a run of the present boot.
function rebooted(node: NodeFacts, { bootId }: OutcomeRecord): boolean {
  return bootId !== undefined && bootId !== node.bootID;
}
