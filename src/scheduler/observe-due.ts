// Decides when the host of a node is observed, and which hosts are observed now. Pure.

import { areOtherMachines } from '../network/machine-ids.ts';
import type { Oid } from '../store/model/store-port.ts';
import type { Decision, IdleReason } from './due.ts';
import type { JobStatus } from './job-port.ts';

/** IDs of a machine and of its boot. An empty ID is unknown, and no difference. */
export interface HostIds {
  readonly bootID: string;
  readonly machineId: string;
  readonly systemUUID: string;
}

/** Results of observations that learned the host's state. */
export const LOOK_RESULTS = ['Observed', 'Drifted', 'Unclear'] as const;
export type LookResult = (typeof LOOK_RESULTS)[number];

/** Memory of the observations of one node. Times are milliseconds since 1970. */
export interface Seen extends Partial<HostIds> {
  /** End of the newest observation that learned the host's state; absent: no observation did. */
  readonly at?: number;
  /** Result of that observation; absent: the memory comes from an earlier version. */
  readonly result?: LookResult;
  /** With Unclear: the code. */
  readonly reason?: string;
  /** The boot before `bootID`, as far as one was seen. */
  readonly bootBefore?: string;
  /** Fingerprint of the machine's file at the last observation or run. Only a folder home has one. */
  readonly print?: string;
  /** The newest run when `print` was taken. */
  readonly run?: string;
  /** Time at which a person asked for an observation. */
  readonly asked?: number;
  /** The newest observation learned nothing, and is repeated at this time. */
  readonly retryAt?: number;
  /** Number of consecutive observations that learned nothing. */
  readonly failures?: number;
  /** The host's state in the inventory when the running observation began. */
  readonly begun?: HostIds & { readonly at?: number; readonly print?: string; readonly job?: string };
  /** An observation found the host equal to its commit. */
  readonly baseline?: true;
}

/** Input for one node. */
export interface ObservableNode extends HostIds {
  readonly name: string;
  /** The commit that the host's record should name; null: the host has nothing to compare with. */
  readonly against: Oid | null;
  /** Whether the node may have a run now. */
  readonly decision: Decision;
  readonly print?: string;
  readonly seen?: Seen;
  /** The newest run; `at`: milliseconds since 1970. */
  readonly run?: Partial<HostIds> & { readonly at: number };
  /** End of the newest run if that run repaired the host, milliseconds since 1970. */
  readonly repairedAt?: number;
  /** An earlier controller may have seen this boot, and what it saw is lost. */
  readonly isOldBoot?: true;
}

export interface ObservePolicy {
  /** Time between two observations of a node; 0: only boots, repairs and requests. */
  readonly intervalMs: number;
  /** Start of this controller, milliseconds since 1970. */
  readonly began: number;
}

/** Causes of an observation, the most urgent first. */
export const OBSERVE_CAUSES = ['Asked', 'Boot', 'Edited', 'Repaired', 'Again', 'Interval'] as const;
export type ObserveCause = (typeof OBSERVE_CAUSES)[number];

export type ObserveDecision =
  | { readonly due: true; readonly cause: ObserveCause; readonly since: number }
  /** `at`: time at which the observation becomes due, milliseconds since 1970; absent: no time is known. */
  | { readonly due: false; readonly at?: number };

/** Times after a repair at which the host is observed again. */
const AFTER_REPAIR_MS = [60_000, 300_000, 900_000] as const;
/** Time after which a repair no longer causes observations. An observation that was missed by then is left out. */
const REPAIR_OVER_MS = 3_600_000;
const JITTER = 0.2;

/** Whether the host is observed although its node may have no run for this reason. */
const OBSERVED_WHILE: Readonly<Record<IdleReason, boolean>> = {
  UpToDate: true,
  Paused: true,
  InvalidTip: true,
  ChangeStopped: true,
  Drifted: true,
  DriftFight: true,
  RepairsStopped: true,
  // A missing NIC may be there by now.
  GivenUp: true,
  // Reasons with no host to observe, or no agent to ask.
  NothingWanted: false,
  NotReady: false,
  // A run follows, which finds out more.
  Waiting: false,
  Running: false,
  Recording: false,
  Withdrawing: false,
  Queued: false,
  // The host is known to be another one than the store says.
  Adopt: false,
  NeedsConfirm: false,
};

/**
 * Whether the host of a node is observed now.
 * @param now milliseconds since 1970
 */
export function decideObservation(node: ObservableNode, policy: ObservePolicy, now: number): ObserveDecision {
  if (node.against === null || !isObservable(node.decision, node.seen)) return { due: false };
  const { retryAt = 0 } = node.seen ?? {};
  if (retryAt > now) return { due: false, at: retryAt };
  const urgent = urgentCause(node, policy);
  if (urgent !== undefined) return { due: true, ...urgent };
  const planned = plannedCauses(node, policy, now);
  const due = planned.find(({ since }) => since <= now);
  if (due !== undefined) return { due: true, ...due };
  return planned.length === 0
    ? { due: false }
    : { due: false, at: Math.min(...planned.map((each) => each.since)) };
}

/**
 * Whether the host may be observed while its node has this decision. A run may start an hour later, so an observation
 * that a person asked for goes first.
 */
export function isObservable(decision: Decision, seen: Seen | undefined): boolean {
  if (decision.due) return false;
  if (decision.reason === 'BackingOff' || decision.reason === 'WaitsForAddress') return isAsked(seen);
  return OBSERVED_WHILE[decision.reason];
}

/** Whether a person's request for an observation is still unanswered. */
export function isAsked({ asked = 0, at = 0 }: Seen = {}): boolean {
  return asked > at;
}

/** Reasons that end within a run, after which the host can be observed. */
const SOON: ReadonlySet<string> = new Set<IdleReason>([
  'Waiting',
  'Running',
  'Recording',
  'Withdrawing',
  'Queued',
]);

/**
 * Whether no observation can begin until something else happens: the node comes back, a person acts, or a run succeeds
 * for the first time.
 */
export function isOutOfReach({ against, decision, seen }: ObservableNode): boolean {
  if (decision.due || SOON.has(decision.reason)) return false;
  return against === null || !isObservable(decision, { ...seen, asked: Infinity });
}

/** A decision against an observation, and the time from which it holds. */
interface NotYet {
  readonly policy: ObservePolicy;
  readonly since: number;
  readonly decision: ObserveDecision & { readonly due: false };
}

const notYet = new WeakMap<ObservableNode, NotYet>();

/** Decides as `decideObservation`, and repeats a decision against an observation until the observation becomes due. */
function decideAgain(node: ObservableNode, policy: ObservePolicy, now: number): ObserveDecision {
  const known = notYet.get(node);
  if (known?.policy === policy && known.since <= now && now < (known.decision.at ?? Infinity))
    return known.decision;
  const decision = decideObservation(node, policy, now);
  if (!decision.due) notYet.set(node, { policy, since: now, decision });
  return decision;
}

interface Cause {
  readonly cause: ObserveCause;
  readonly since: number;
}

function urgentCause(node: ObservableNode, policy: ObservePolicy): Cause | undefined {
  const { seen = {} } = node;
  const { asked = 0, at = 0 } = seen;
  if (isAsked(seen)) return { cause: 'Asked', since: asked };
  if (isNewBoot(node, policy) || isNewMachine(node)) return { cause: 'Boot', since: at };
  if (differ(node.print, seen.print)) return { cause: 'Edited', since: at };
  if (seen.retryAt !== undefined) return { cause: 'Again', since: seen.retryAt };
  return undefined;
}

/**
 * Whether the boot is one that neither an observation nor a run has seen. A boot that may be old waits for its turn within
 * the interval: else all hosts are due at once when the memory is lost, and hosts that boot then wait behind them.
 */
function isNewBoot(
  { seen = {}, run, bootID, isOldBoot }: ObservableNode,
  { intervalMs }: ObservePolicy,
): boolean {
  if (isOldBoot === true && seen.bootID === undefined && intervalMs > 0) return false;
  const boots = [seen, run ?? {}].flatMap((known) => known.bootID || []);
  return boots.length > 0 && boots.every((boot) => differ(bootID, boot));
}

/** Whether the machine is one that neither an observation nor a run has seen. */
function isNewMachine({ seen = {}, run, ...node }: ObservableNode): boolean {
  const machines = [seen, run ?? {}].filter(
    ({ machineId, systemUUID }) => Boolean(machineId) || Boolean(systemUUID),
  );
  return machines.length > 0 && machines.every((each) => areOtherMachines(node, each));
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return Boolean(a) && Boolean(b) && a !== b;
}

/** Times at which the host is observed again, whatever happens until then. */
function plannedCauses(node: ObservableNode, policy: ObservePolicy, now: number): Cause[] {
  const causes: Cause[] = [];
  const repair = afterRepair(node, now);
  if (repair !== undefined) causes.push({ cause: 'Repaired', since: repair });
  if (policy.intervalMs > 0) causes.push({ cause: 'Interval', since: afterInterval(node, policy) });
  return causes;
}

function afterRepair({ repairedAt, seen }: ObservableNode, now: number): number | undefined {
  if (repairedAt === undefined || now > repairedAt + REPAIR_OVER_MS) return undefined;
  return AFTER_REPAIR_MS.map((ms) => repairedAt + ms).find((time) => time > (seen?.at ?? 0));
}

/**
 * Time of the next regular observation: one interval after the last one, shifted by up to a fifth so that hosts spread
 * out; the shift is the same each time. If no observation is known, the hosts are spread over one interval from the
 * controller's start.
 */
function afterInterval({ name, seen, run }: ObservableNode, { intervalMs, began }: ObservePolicy): number {
  const looked = Math.max(seen?.at ?? 0, run?.at ?? 0);
  if (seen?.at === undefined && looked < began) return began + fractionOf(`${name} ${began}`) * intervalMs;
  return looked + intervalMs * (1 - JITTER + 2 * JITTER * fractionOf(`${name} ${looked}`));
}

/**
 * A number from 0 to 1 that depends on the text alone. The hash is FNV-1a, which is fast enough for every node in every
 * pass.
 */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  // The last characters change the low bits most, so these are mixed into the high ones.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) >>> 0) / 0x1_0000_0000;
}

export interface Look {
  readonly node: ObservableNode;
  readonly cause: ObserveCause;
}

export interface ObservePlan {
  /** Nodes whose observation starts now. */
  readonly start: readonly Look[];
  /** Number of due nodes that wait for a place, by cause. */
  readonly waiting: ReadonlyMap<ObserveCause, number>;
  /** Latest time of the next plan, milliseconds since 1970. */
  readonly nextPassAt?: number;
}

/** Jobs of observations a second. */
export const OBSERVATIONS_A_SECOND = 2;
const LEAST_AT_ONCE = 5;
/** One observation at once for so many nodes. */
const NODES_AN_OBSERVATION = 250;

/** Number of observations at the same time. */
export function observationsAtOnce(nodes: number): number {
  return Math.max(LEAST_AT_ONCE, Math.floor(nodes / NODES_AN_OBSERVATION));
}

/**
 * Plans observations: the most urgent cause first, then the longest wait.
 * @param jobs observations that have not ended; one whose outcome is recorded blocks its own node and takes no place
 * @param allowed number of Jobs that may start now (`Pace`)
 * @param now milliseconds since 1970
 */
export function planObservations(
  nodes: readonly ObservableNode[],
  jobs: readonly Pick<JobStatus, 'node' | 'recorded'>[],
  allowed: number,
  policy: ObservePolicy,
  now: number,
): ObservePlan {
  const blocked = new Set(jobs.map(({ node }) => node));
  const active = new Set(jobs.flatMap(({ node, recorded }) => (recorded === true ? [] : [node])));
  const due: (Look & Cause)[] = [];
  let nextPassAt = Infinity;
  for (const node of nodes) {
    if (blocked.has(node.name)) continue;
    const decision = decideAgain(node, policy, now);
    if (decision.due) due.push({ node, ...decision });
    else nextPassAt = Math.min(nextPassAt, decision.at ?? Infinity);
  }
  const free = Math.max(0, observationsAtOnce(nodes.length) - active.size);
  const start = due.toSorted(byUrgency).slice(0, Math.min(free, allowed));
  const rest = due.filter((each) => !start.includes(each));
  // The end of an observation wakes the controller, so only the pace is waited for.
  if (rest.length > 0 && start.length < free)
    nextPassAt = Math.min(nextPassAt, now + 1000 / OBSERVATIONS_A_SECOND);
  const waiting = new Map(
    [...Map.groupBy(rest, ({ cause }) => cause)].map(([cause, { length }]) => [cause, length]),
  );
  return { start, waiting, ...(nextPassAt < Infinity && { nextPassAt }) };
}

function byUrgency(a: Look & Cause, b: Look & Cause): number {
  return (
    OBSERVE_CAUSES.indexOf(a.cause) - OBSERVE_CAUSES.indexOf(b.cause) ||
    a.since - b.since ||
    (a.node.name < b.node.name ? -1 : 1)
  );
}

/** Allows a number of Jobs a second, and saves up at most one second's worth. */
export class Pace {
  #allowed = OBSERVATIONS_A_SECOND;
  #at = -Infinity;

  /** Number of Jobs that may start at this time, milliseconds since 1970. */
  allowedAt(now: number): number {
    // A clock that went back adds nothing.
    const passed = Math.max(0, now - this.#at) / 1000;
    this.#allowed = Math.min(OBSERVATIONS_A_SECOND, this.#allowed + passed * OBSERVATIONS_A_SECOND);
    this.#at = now;
    return Math.floor(this.#allowed);
  }

  took(count: number): void {
    this.#allowed -= count;
  }
}
