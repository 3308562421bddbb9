// Decides for all nodes together which Jobs to start and which to withdraw, within the limits of the policy.
import type { DriftMode } from '../api/annotations.ts';
import type { AgentJob } from '../api/job.ts';
import type { Oid } from '../store/model/store-port.ts';
import { Derived } from './derived.ts';
import { limitRepairs, repairRuns, type RepairLimits } from './drift.ts';
import { AddressHolders } from './address-holders.ts';
import { isShared, newAddresses, orderByAddress } from './address-order.ts';
import { decide, hasLeftOut, runs } from './due.ts';
import { foundNoStore } from '../history/outcome-branch.ts';
import type { Decision, Due, IdleReason, NodeFacts, RunRecord } from './due.ts';
import { jobName } from './job-name.ts';
import type { JobRequest, JobStatus } from './job-port.ts';
import { makeRoom, type LateJob } from './late-jobs.ts';
import { DEFAULTS } from '../api/defaults.ts';

export interface Policy {
  /** Maximum number of Jobs that wait or run at the same time. Jobs that start slowly do not count. */
  readonly concurrency: number;
  /** Number of failed nodes that stops a change. */
  readonly stopAfter: number;
  /** Commits of main that a person confirmed: their changes go on in spite of failed nodes. */
  readonly confirmed: ReadonlySet<Oid>;
  /** Time of the newest confirmation that repairs may go on, seconds since 1970. */
  readonly repairsConfirmedAt: number;
  readonly apply: AgentJob['apply'];
  /** Answer to drift; a node may have another one. */
  readonly drift: DriftMode;
  /** Hosts that must answer after a change; a node may name others. */
  readonly probes: readonly string[];
  readonly deadlineSeconds: number;
}

export const DEFAULT_POLICY: Policy = {
  concurrency: DEFAULTS.jobs,
  stopAfter: DEFAULTS.stopAfter,
  confirmed: new Set(),
  repairsConfirmedAt: 0,
  drift: DEFAULTS.drift,
  apply: DEFAULTS.apply,
  probes: DEFAULTS.probes,
  deadlineSeconds: DEFAULTS.deadline,
};

export interface Plan {
  readonly start: readonly JobRequest[];
  /** Names of waiting jobs to withdraw. Their successors are planned once they are gone. */
  readonly withdraw: readonly string[];
  /** Names of late jobs that give way to others, and start again after a pause. */
  readonly postpone?: readonly string[];
  /** Decision for each node, by its name; a decision that is due has its request in `start`. */
  readonly reasons: ReadonlyMap<string, Decision>;
  readonly repairs: RepairLimits;
  /** Latest time of the next plan, milliseconds since 1970. */
  readonly nextPassAt?: number;
}

interface Candidate {
  readonly node: NodeFacts;
  readonly decision: Due;
  /** Time from which a job that was postponed may start again. */
  readonly retryAt?: number;
}

/**
 * Plans jobs. The order of the input makes no difference to the plan.
 * @param now milliseconds since 1970
 * @param holders the addresses that hosts may have
 */
export function planJobs(
  nodes: readonly NodeFacts[],
  jobs: readonly JobStatus[],
  policy: Policy,
  now: number,
  holders: Pick<AddressHolders, 'of'> = new AddressHolders(),
): Plan {
  const reasons = new Map<string, Decision>();
  const withdraw: string[] = [];
  const candidates: Candidate[] = [];
  const active = new Map<string, NodeFacts | undefined>();
  const late: LateJob[] = [];
  const jobsOf = Map.groupBy(jobs, ({ node }) => node);
  const repairs = limitRepairs(nodes, policy.repairsConfirmedAt);
  const decisions = decideAll(nodes, jobsOf, policy, now, holders, repairs.stopped);

  for (const node of nodes) {
    const decision = decisions.get(node.name)!;
    const work = weighJobs(node, decision, jobsOf.get(node.name) ?? [], now);
    jobsOf.delete(node.name);
    for (const name of work.withdraw) withdraw.push(name);
    for (const name of work.active) active.set(name, node);
    if (work.late !== undefined) late.push({ ...work.late, node });
    reasons.set(node.name, work.busy === undefined ? decision : { due: false, reason: work.busy });
    if (decision.due && work.busy === undefined) candidates.push({ node, decision, ...work.again });
  }
  // Jobs of nodes that left the inventory: a running agent ends by itself, a waiting one is withdrawn.
  for (const job of [...jobsOf.values()].flat()) {
    if (job.phase === 'waiting') withdraw.push(job.name);
    if (job.phase !== 'finished') active.set(job.name, undefined);
  }

  const places = policy.concurrency;
  const room = makeRoom(late, { active: active.size, wanted: candidates.length, places });
  // The agent of a job that is being withdrawn may have started meanwhile, so the job still holds its place.
  for (const { name, node } of room.postpone) active.set(name, node);
  const start = startJobs(candidates, {
    jobs,
    active,
    places: places - room.stuck,
    policy,
    reasons,
  });
  const isTakingBack = withdraw.length + room.postpone.length > 0;
  const nextPassAt = isTakingBack ? now : earliestEnd(reasons.values());
  return {
    start,
    withdraw: withdraw.sort(),
    ...(room.postpone.length > 0 && { postpone: room.postpone.map(({ name }) => name).sort() }),
    reasons,
    repairs,
    ...(nextPassAt !== undefined && { nextPassAt }),
  };
}

interface StartLimits {
  readonly jobs: readonly JobStatus[];
  /** Jobs that take a place. */
  readonly active: Map<string, NodeFacts | undefined>;
  readonly places: number;
  readonly policy: Policy;
  /** Filled with the reason of each candidate that does not start. */
  readonly reasons: Map<string, Decision>;
}

/** Starts jobs while there are places. Jobs that were postponed come last, and keep their reason while they wait. */
function startJobs(
  candidates: readonly Candidate[],
  { jobs, active, places, policy, reasons }: StartLimits,
): JobRequest[] {
  const start: JobRequest[] = [];
  // A job that was postponed starts again under its own name.
  const taken = new Set(jobs.flatMap(({ name, retryAt }) => (retryAt === undefined ? name : [])));
  const taking = new TakenAddresses();
  for (const { node, decision, retryAt } of fairOrder(candidates, [...active.values()])) {
    const rival = taking.conflict(node);
    if (active.size >= places || rival !== undefined) {
      const reason = retryAt === undefined ? 'Queued' : 'Waiting';
      reasons.set(node.name, rival ?? { due: false, reason });
      continue;
    }
    taking.add(node);
    const request = requestFor(node, decision, policy, taken);
    taken.add(request.name);
    active.set(request.name, node);
    start.push(request);
  }
  return start;
}

/** Decides for each node, first alone, then in the order in which nodes pass addresses on. */
function decideAll(
  nodes: readonly NodeFacts[],
  jobsOf: ReadonlyMap<string, readonly JobStatus[]>,
  policy: Policy,
  now: number,
  holders: Pick<AddressHolders, 'of'>,
  repairsStopped: boolean,
): ReadonlyMap<string, Decision> {
  const stopped = stoppedChanges(nodes, policy);
  const decisions = new Map(
    nodes.map((node) => {
      const wanted = decide(node, now, policy.drift);
      return [node.name, holdBack(node, wanted, stopped, repairsStopped)];
    }),
  );
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const busy = new Set(
    [...jobsOf].flatMap(([name, jobs]) => {
      const node = byName.get(name);
      return node !== undefined && atWork(node, jobs) !== undefined ? [name] : [];
    }),
  );
  for (const [name, decision] of orderByAddress({ nodes: byName, decisions, busy, holders }))
    decisions.set(name, decision);
  return decisions;
}

/** New addresses of the nodes that start in one plan. No host has these addresses yet, so no index has them. */
class TakenAddresses {
  readonly #nodes = new Map<string, NodeFacts[]>();

  add(node: NodeFacts): void {
    for (const { address } of newAddresses(node))
      this.#nodes.set(address, [...(this.#nodes.get(address) ?? []), node]);
  }

  conflict(node: NodeFacts): Decision | undefined {
    for (const { address } of newAddresses(node)) {
      const rival = this.#nodes.get(address)?.find((other) => !isShared(node, other, address));
      if (rival === undefined) continue;
      const { name: holder } = rival;
      return { due: false, reason: 'WaitsForAddress', address, holder, isKept: true, isStuck: false };
    }
    return undefined;
  }
}

/** The changes that each node failed with, by its facts. */
const failures = new Derived<NodeFacts, readonly Oid[]>();

/** Commits of main that failed on as many nodes as the policy allows: no further node may begin with them. */
function stoppedChanges(nodes: readonly NodeFacts[], policy: Policy): Set<Oid> {
  const failed = new Map<Oid, number>();
  for (const node of nodes)
    for (const change of failures.of(node, [], () => failedChanges(node)))
      failed.set(change, (failed.get(change) ?? 0) + 1);
  const stopped = [...failed].filter(([change, n]) => n >= policy.stopAfter && !policy.confirmed.has(change));
  return new Set(stopped.map(([change]) => change));
}

/**
 * Commits of main that this node failed with. Only a later successful run of the same commit takes a failure back: a
 * rollback, an edit or the next change mends this node, and proves nothing for nodes that have not tried the commit.
 */
function failedChanges(node: NodeFacts): Oid[] {
  const changes = new Set<Oid>();
  const judged = new Set<Oid>();
  const repairs = repairRuns(node.history);
  for (const run of runs(node)) {
    // A repair tries a commit that was applied before: its failure says nothing about the change.
    if (repairs.has(run)) continue;
    // These runs say nothing about the change: they found an unexpected host, did not reach the store, or tried a part.
    if (run.result === 'Adopt' || run.result === 'Diverged' || foundNoStore(run) || hasLeftOut(run)) continue;
    const change = changeOf(node, run);
    if (run.tried === undefined || change === undefined || judged.has(run.tried)) continue;
    judged.add(run.tried);
    // Unknown counts as a failure, because the change may be the reason why an agent never reports. Pending does not:
    // the machine lacks a NIC, whatever the change.
    if (run.result === 'Failed' || run.result === 'Unknown') changes.add(change);
  }
  return [...changes];
}

function changeOf(node: NodeFacts, run: RunRecord): Oid | undefined {
  return run.change ?? (run.tried === node.tip ? node.change : undefined);
}

/**
 * Holds back a repair while repairs are stopped, and a node that has not tried a stopped change. Retries of the change,
 * and runs that a person asked for, go on.
 */
function holdBack(
  node: NodeFacts,
  decision: Decision,
  stopped: ReadonlySet<Oid>,
  repairsStopped: boolean,
): Decision {
  if (decision.due && decision.repair === true && repairsStopped)
    return { due: false, reason: 'RepairsStopped' };
  if (!decision.due || decision.requested || node.change === undefined || !stopped.has(node.change))
    return decision;
  const tried = runs(node).some((run) => changeOf(node, run) === node.change);
  return tried ? decision : { due: false, reason: 'ChangeStopped' };
}

interface Work {
  /** The reason why no job of this node may start now. */
  readonly busy?: IdleReason;
  readonly withdraw: readonly string[];
  /** Jobs that take a place. Jobs that are being withdrawn count, because their agents may have started meanwhile. */
  readonly active: readonly string[];
  /** The kept job, if it has not started for so long that other nodes go first. */
  readonly late?: JobStatus;
  /** The kept job was postponed, and may start again. */
  readonly again?: Pick<Candidate, 'retryAt'>;
}

const NO_WORK: Work = { withdraw: [], active: [] };

function recordedJobs({ history }: NodeFacts): ReadonlySet<string | undefined> {
  return new Set(history.map(({ job }) => job));
}

/** Whether an agent of the node runs, or has ended with an outcome that is not recorded yet. */
function atWork(node: NodeFacts, jobs: readonly JobStatus[]): 'Running' | 'Recording' | undefined {
  if (jobs.some(({ phase }) => phase === 'running')) return 'Running';
  const recorded = recordedJobs(node);
  return jobs.some(({ phase, name }) => phase === 'finished' && !recorded.has(name))
    ? 'Recording'
    : undefined;
}

/** Weighs a node's jobs: a node has one job at a time, the newest commit wins, and a running agent is never stopped. */
function weighJobs(node: NodeFacts, decision: Decision, jobs: readonly JobStatus[], now: number): Work {
  if (jobs.length === 0) return NO_WORK;
  const recorded = recordedJobs(node);
  const work = atWork(node, jobs);
  const waiting = jobs.filter(({ phase }) => phase === 'waiting');
  // A pod that outlives its recorded outcome is on a node that is down. The pod blocks its own node and holds no slot.
  const stillDue = decision.due || decision.reason === 'BackingOff';
  const ofTip = stillDue && work === undefined ? waiting.filter(({ commit }) => commit === node.tip) : [];
  const keep = ofTip.find(({ retryAt }) => retryAt === undefined) ?? ofTip[0];
  const active = jobs
    .filter((job) => job.phase !== 'finished' && !recorded.has(job.name) && !(job === keep && isBehind(job)))
    .map(({ name }) => name);
  const withdraw = waiting.filter((job) => job !== keep).map(({ name }) => name);
  if (work !== undefined) return { busy: work, withdraw, active };
  const { retryAt } = keep ?? {};
  if (retryAt !== undefined && retryAt <= now && decision.due && withdraw.length === 0)
    return { withdraw, active, again: { retryAt } };
  if (keep !== undefined)
    return { busy: 'Waiting', withdraw, active, ...(keep.late && retryAt === undefined && { late: keep }) };
  // The next job waits until the withdrawn one is gone: the agent may start before it is withdrawn, and both would run.
  if (withdraw.length > 0 && decision.due) return { busy: 'Withdrawing', withdraw, active };
  return { withdraw, active };
}

/** Whether a kept job takes no place: its start is late, or its agent cannot begin. */
function isBehind({ late, retryAt }: JobStatus): boolean {
  return late === true || retryAt !== undefined;
}

/**
 * Order of the due nodes: people's requests first, then changes by turns, so that the one node of a small change does
 * not wait for the thousands of a large one. Within a change, first attempts precede retries, and older tips precede
 * newer ones. Jobs that were postponed come after all other changes, by turns.
 */
function fairOrder(
  candidates: readonly Candidate[],
  active: readonly (NodeFacts | undefined)[],
): readonly Candidate[] {
  const turns = new Map<string, number>();
  for (const node of active) if (node !== undefined) takeTurn(turns, node);
  return candidates
    .toSorted((a, b) => a.decision.attempt - b.decision.attempt || byAge(a.node, b.node))
    .map((candidate) => ({ candidate, turn: takeTurn(turns, candidate.node) }))
    .toSorted(
      (a, b) =>
        Number(b.candidate.decision.requested) - Number(a.candidate.decision.requested) ||
        (a.candidate.retryAt ?? 0) - (b.candidate.retryAt ?? 0) ||
        a.turn - b.turn ||
        byAge(a.candidate.node, b.candidate.node),
    )
    .map(({ candidate }) => candidate);
}

function takeTurn(turns: Map<string, number>, node: NodeFacts): number {
  const key = node.change ?? '';
  const turn = turns.get(key) ?? 0;
  turns.set(key, turn + 1);
  return turn;
}

function byAge(a: NodeFacts, b: NodeFacts): number {
  return a.tipTime - b.tipTime || (a.name < b.name ? -1 : Number(a.name > b.name));
}

/** The request for a run. Two commits of one second would share a Job name, so the later Job takes the next stamp. */
function requestFor(node: NodeFacts, decision: Due, policy: Policy, taken: ReadonlySet<string>): JobRequest {
  let stamp = decision.stampSeconds;
  while (taken.has(jobName(node.nodeId, stamp))) stamp += 1;
  const { probes = policy.probes } = node;
  return {
    name: jobName(node.nodeId, stamp),
    node: node.name,
    nodeId: node.nodeId,
    commit: node.tip,
    ...(decision.leaveOut !== undefined && { leaveOut: [...decision.leaveOut] }),
    expectedRecord: decision.expectedRecord,
    attempt: decision.attempt,
    apply: node.apply ?? policy.apply,
    ...(probes.length > 0 && { probes: [...probes] }),
    deadlineSeconds: policy.deadlineSeconds,
  };
}

function earliestEnd(decisions: Iterable<Decision>): number | undefined {
  let earliest: number | undefined;
  for (const decision of decisions) {
    if (decision.due || decision.reason !== 'BackingOff') continue;
    earliest = Math.min(earliest ?? decision.until, decision.until);
  }
  return earliest;
}
