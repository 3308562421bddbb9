// The scheduler turns tips of node branches into Jobs. Here: does one node need a run of the agent, and may it
// have one now? Decided anew each time from what the store and the inventory say; nothing is remembered.
import type { AgentJob } from '../api/job.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import type { Oid } from '../store/model/store-port.ts';

export const MAX_ATTEMPTS = 10;
/** Of one tip in one boot as its runs tell it: an inventory that is wrong about the boot must not make Jobs without end. */
export const MAX_TRIES = 30;
const FIRST_DELAY_MS = 60_000;
const MAX_DELAY_MS = 3_600_000;

/** What happened on the host, and in which change (commit on main). */
export interface RunRecord extends OutcomeRecord {
  /** Change that the tried commit belonged to; absent: known only while that commit is the tip. */
  readonly change?: Oid;
}

/** What is known of one node. */
export interface NodeFacts {
  readonly name: string;
  readonly nodeId: string;
  readonly tip: Oid;
  /** Committer time of the tip, seconds since 1970. */
  readonly tipTime: number;
  /** The tip's managed files. */
  readonly tipTree: Oid;
  /** The tip came past us and does not pass the checks. */
  readonly invalidTip?: boolean;
  /** Anything is wanted, or was ever applied. */
  readonly wanted: boolean;
  /** Commit on main that the newest spec commit comes from. */
  readonly change?: Oid;
  /** As in the tip's node.yaml: another machine is always another tip. */
  readonly machineID: string;
  /** As in the inventory. */
  readonly bootID: string;
  readonly ready: boolean;
  /** The inventory has no such node. */
  readonly gone?: true;
  /** What is wrong with its inventory entry, for people. */
  readonly problem?: string;
  readonly paused: boolean;
  /** The node's own way to apply; absent: the policy's. */
  readonly apply?: AgentJob['apply'];
  /** Who has to answer after a change on it. */
  readonly probes?: readonly string[];
  /** Newest first, at least back to the newest Applied or Pending one, and all of the newest changes that were tried. */
  readonly history: readonly RunRecord[];
  /** The record that the newest Diverged outcome reports is a commit of this branch. */
  readonly recordInBranch?: boolean;
  /** The tip bears the names that the newest Adopt or Diverged outcome found. Absent: as soon as the tip moved. */
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
  /** The host is in a state that the store knows nothing of; a person has to say that it may be overwritten. */
  | 'NeedsConfirm'
  | 'GivenUp'
  /** Too many nodes failed in this change. */
  | 'ChangeStopped'
  /** A job of this node is on its way: not started, started, or ended with an outcome not yet recorded. */
  | 'Waiting'
  | 'Running'
  | 'Recording'
  /** A waiting job of an older commit has to be gone first. */
  | 'Withdrawing'
  /** Due, but enough jobs run. */
  | 'Queued';

export interface Due {
  readonly due: true;
  /** From 1. */
  readonly attempt: number;
  /** Seconds since 1970, for the Job's name. */
  readonly stampSeconds: number;
  readonly expectedRecord: Oid | null;
  /** A person asked for it. */
  readonly requested: boolean;
}

export type Decision =
  | Due
  | { readonly due: false; readonly reason: IdleReason }
  /** `until`: milliseconds since 1970. */
  | { readonly due: false; readonly reason: 'BackingOff'; readonly until: number };

/** @param now milliseconds since 1970 */
export function decide(node: NodeFacts, now: number): Decision {
  if (node.invalidTip === true) return idle('InvalidTip');
  const [newest] = runs(node);
  if (newest === undefined && !node.wanted) return idle('NothingWanted');
  if (newest !== undefined && !unsettled(node, newest)) return idle('UpToDate');
  if (node.paused) return idle('Paused');
  if (!node.ready) return idle('NotReady');
  const obstacle = newest && hostObstacle(node, newest);
  if (obstacle !== undefined) return idle(obstacle);

  const tries = triesOfTip(node);
  const failures = tries.filter((run) => !rebooted(node, run));
  const sameBoot = tries.filter(({ bootId }) => bootId === tries[0]?.bootId);
  if (failures.length >= MAX_ATTEMPTS || sameBoot.length >= MAX_TRIES) return idle('GivenUp');
  const until = Math.max(backoffEnd(failures, now), rebootEnd(failures, tries, now));
  if (until > now) return { due: false, reason: 'BackingOff', until };
  return {
    due: true,
    attempt: failures.length + 1,
    stampSeconds: Math.max(node.tipTime, ...node.history.map(({ stamp }) => (stamp ?? 0) + 1)),
    expectedRecord: expectedRecord(node),
    requested: requests(node).length > 0,
  };
}

/** Outcomes of runs that looked at the host, newest first: no requests, and not those that were too late. */
export function runs(node: NodeFacts): RunRecord[] {
  return node.history.filter(({ result }) => result !== 'Requested' && result !== 'Superseded');
}

function idle(reason: IdleReason): Decision {
  return { due: false, reason };
}

/** Whether the host may be other than the tip wants it. */
function unsettled(node: NodeFacts, newest: OutcomeRecord): boolean {
  switch (newest.result) {
    case 'Unknown':
    // These two touched nothing, and found a host that is not as the tree before says.
    case 'Adopt':
    case 'Diverged':
      return true;
    case 'Failed':
    case 'Pending':
      // The same files on the host prove nothing when it was this very tip that could not be brought into force.
      if (newest.tried === node.tip || rebooted(node, newest)) return true;
  }
  return newest.tree !== node.tipTree || replaced(node, newest) || asked(node, 'retry');
}

/** Why a run would find again what the newest one found; undefined: it may go on. */
function hostObstacle(node: NodeFacts, newest: OutcomeRecord): IdleReason | undefined {
  if (replaced(node, newest) || asked(node, 'retry')) return undefined;
  if (newest.result === 'Adopt' && !rebooted(node, newest) && namesMissing(node, newest)) return 'Adopt';
  if (newest.result !== 'Diverged' || asked(node, 'confirm') || node.recordInBranch === true)
    return undefined;
  if (!strange(node)) return 'NeedsConfirm';
  return namesMissing(node, newest) ? 'Adopt' : undefined;
}

function namesMissing(node: NodeFacts, outcome: OutcomeRecord): boolean {
  if (outcome.found.length === 0) return false;
  return node.namesAdopted === undefined ? outcome.tried === node.tip : !node.namesAdopted;
}

/** This machine has never been brought into a state by this branch, so its record can contradict nothing. */
function strange(node: NodeFacts): boolean {
  return !runs(node).some(
    (run) => (run.result === 'Applied' || run.result === 'Pending') && !replaced(node, run),
  );
}

/** The commit that the host's record should name: what put this machine in its state. */
function expectedRecord(node: NodeFacts): Oid | null {
  let confirmed = false;
  let newest = true;
  for (const outcome of node.history) {
    if (outcome.result === 'Requested') confirmed ||= outcome.request === 'confirm';
    // What was known of another machine says nothing of this one.
    else if (replaced(node, outcome)) return null;
    else if (outcome.result === 'Applied' || outcome.result === 'Pending') return outcome.tried ?? null;
    else if (outcome.result === 'Diverged') {
      if (confirmed || (newest && (node.recordInBranch === true || strange(node))))
        return outcome.record ?? null;
      newest = false;
    }
  }
  return null;
}

/**
 * Runs that did not get the node to where its tip wants it, newest first: since the tip is what it is, and since the
 * last request. Those of the present boot count against `MAX_ATTEMPTS`.
 */
function triesOfTip(node: NodeFacts): OutcomeRecord[] {
  const tries: OutcomeRecord[] = [];
  for (const outcome of node.history) {
    if (outcome.result === 'Superseded') continue;
    const succeeded = outcome.result === 'Applied' && outcome.tree === node.tipTree;
    if (outcome.result === 'Requested' || outcome.tried !== node.tip || succeeded) break;
    tries.push(outcome);
  }
  return tries;
}

/** Milliseconds since 1970 before which the next attempt must not start. */
function backoffEnd(failures: readonly OutcomeRecord[], now: number): number {
  const [newest, before] = failures;
  if (newest === undefined) return 0;
  // What such a run reports is an answer to go on with, at once. Twice in a row it is a failure like any other.
  if (isQuestion(newest) && !(before !== undefined && isQuestion(before))) return 0;
  return pauseEnd(newest, Math.min(FIRST_DELAY_MS * 2 ** (failures.length - 1), MAX_DELAY_MS), now);
}

/**
 * A run further in the future than the pause is long was dated by a clock that has been put right since. How long ago
 * it was, nobody knows, and its date may be years away: there is no pause then, only the bound on attempts.
 */
function pauseEnd({ time }: OutcomeRecord, delayMs: number, now: number): number {
  const began = time * 1000;
  return began > now + delayMs ? now : began + delayMs;
}

/**
 * After a reboot the next run comes at once. But when two runs in a row told of one boot and the inventory tells of
 * another, it may as well be wrong, and then these runs would chase each other.
 */
function rebootEnd(
  failures: readonly OutcomeRecord[],
  [newest, before]: readonly OutcomeRecord[],
  now: number,
): number {
  if (failures.length > 0 || newest === undefined || newest.bootId !== before?.bootId) return 0;
  return pauseEnd(newest, FIRST_DELAY_MS, now);
}

function isQuestion({ result }: OutcomeRecord): boolean {
  return result === 'Adopt' || result === 'Diverged';
}

/** Requests that no run has answered yet. */
function requests(node: NodeFacts): OutcomeRecord[] {
  const answered = node.history.findIndex(({ result }) => result !== 'Requested' && result !== 'Superseded');
  const since = answered === -1 ? node.history : node.history.slice(0, answered);
  return since.filter(({ result }) => result === 'Requested');
}

function asked(node: NodeFacts, request: 'retry' | 'confirm'): boolean {
  return requests(node).some((outcome) => outcome.request === request);
}

// A run that never reported has neither ID: then nothing says that machine or boot were others.
function replaced(node: NodeFacts, { machineId, tried }: OutcomeRecord): boolean {
  return machineId !== undefined && machineId !== node.machineID && tried !== node.tip;
}

function rebooted(node: NodeFacts, { bootId }: OutcomeRecord): boolean {
  return bootId !== undefined && bootId !== node.bootID;
}
