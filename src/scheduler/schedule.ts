// Which Jobs to start and which to withdraw: all nodes at once, under the limits of the policy.
import type { AgentJob } from '../api/job.ts';
import type { Oid } from '../store/model/store-port.ts';
import { decide, runs } from './due.ts';
import type { Decision, Due, IdleReason, NodeFacts, RunRecord } from './due.ts';
import { jobName } from './job-name.ts';
import type { JobRequest, JobStatus } from './job-port.ts';

export interface Policy {
  /** Jobs that may be on their way at once. */
  readonly concurrency: number;
  /** So many failed nodes stop a change. */
  readonly stopAfter: number;
  /** Changes (commits on main) that go on in spite of failed nodes. */
  readonly confirmed: ReadonlySet<Oid>;
  readonly apply: AgentJob['apply'];
  /** Who has to answer after a change; a node may name others. */
  readonly probes: readonly string[];
  readonly deadlineSeconds: number;
}

export const DEFAULT_POLICY: Policy = {
  concurrency: 10,
  stopAfter: 3,
  confirmed: new Set(),
  apply: 'live',
  probes: [],
  deadlineSeconds: 120,
};

export interface Plan {
  readonly start: readonly JobRequest[];
  /** Names of waiting jobs. What replaces them is planned when they are gone. */
  readonly withdraw: readonly string[];
  /** By node name; a decision that is due has its request in `start`. */
  readonly reasons: ReadonlyMap<string, Decision>;
  /** Milliseconds since 1970: plan again then, if nothing happens before. */
  readonly nextWake?: number;
}

interface Candidate {
  readonly node: NodeFacts;
  readonly decision: Due;
}

/**
 * The same input, in whatever order, gives the same plan.
 * @param now milliseconds since 1970
 */
export function planJobs(
  nodes: readonly NodeFacts[],
  jobs: readonly JobStatus[],
  policy: Policy,
  now: number,
): Plan {
  const reasons = new Map<string, Decision>();
  const withdraw: string[] = [];
  const candidates: Candidate[] = [];
  const active = new Map<string, NodeFacts | undefined>();
  const jobsOf = Map.groupBy(jobs, ({ node }) => node);
  const stopped = stoppedChanges(nodes, policy);

  for (const node of nodes) {
    const decision = holdBack(node, decide(node, now), stopped);
    const work = settleJobs(node, decision, jobsOf.get(node.name) ?? []);
    jobsOf.delete(node.name);
    for (const name of work.withdraw) withdraw.push(name);
    for (const name of work.active) active.set(name, node);
    reasons.set(node.name, work.busy === undefined ? decision : { due: false, reason: work.busy });
    if (decision.due && work.busy === undefined) candidates.push({ node, decision });
  }
  // Nodes that are gone: what has started ends by itself, the rest never starts.
  for (const job of [...jobsOf.values()].flat()) {
    if (job.phase === 'waiting') withdraw.push(job.name);
    if (job.phase !== 'finished') active.set(job.name, undefined);
  }

  const start: JobRequest[] = [];
  const taken = new Set(jobs.map(({ name }) => name));
  for (const { node, decision } of fairOrder(candidates, [...active.values()])) {
    if (active.size >= policy.concurrency) {
      reasons.set(node.name, { due: false, reason: 'Queued' });
      continue;
    }
    const request = requestFor(node, decision, policy, taken);
    taken.add(request.name);
    active.set(request.name, node);
    start.push(request);
  }
  const nextWake = withdraw.length > 0 ? now : earliestEnd(reasons.values());
  return { start, withdraw: withdraw.sort(), reasons, ...(nextWake !== undefined && { nextWake }) };
}

/** Changes that failed on so many nodes that no further node may begin with them. */
function stoppedChanges(nodes: readonly NodeFacts[], policy: Policy): Set<Oid> {
  const failed = new Map<Oid, number>();
  for (const change of nodes.flatMap(failedChanges)) failed.set(change, (failed.get(change) ?? 0) + 1);
  const stopped = [...failed].filter(([change, n]) => n >= policy.stopAfter && !policy.confirmed.has(change));
  return new Set(stopped.map(([change]) => change));
}

/**
 * Changes that this node failed with. Only a later run of the same commit takes that back: a rollback, an edit or the
 * next change gets the node out of trouble, and proves nothing for the nodes that have the change before them.
 */
function failedChanges(node: NodeFacts): Oid[] {
  const changes = new Set<Oid>();
  const judged = new Set<Oid>();
  for (const run of runs(node)) {
    // They found another host than was expected, or no store, and tried nothing.
    if (run.result === 'Adopt' || run.result === 'Diverged' || run.reason === 'StoreUnreachable') continue;
    const change = changeOf(node, run);
    if (run.tried === undefined || change === undefined || judged.has(run.tried)) continue;
    judged.add(run.tried);
    // Unknown counts: an agent that never reports may be what this change does to a node. Pending does not: it tells
    // of the machine.
    if (run.result === 'Failed' || run.result === 'Unknown') changes.add(change);
  }
  return [...changes];
}

function changeOf(node: NodeFacts, run: RunRecord): Oid | undefined {
  return run.change ?? (run.tried === node.tip ? node.change : undefined);
}

/** A node that was tried in the change is no further node: its own retries go on. */
function holdBack(node: NodeFacts, decision: Decision, stopped: ReadonlySet<Oid>): Decision {
  if (!decision.due || node.change === undefined || !stopped.has(node.change)) return decision;
  const tried = runs(node).some((run) => changeOf(node, run) === node.change);
  return tried ? decision : { due: false, reason: 'ChangeStopped' };
}

interface Work {
  /** Why no job of this node may start now. */
  readonly busy?: IdleReason;
  readonly withdraw: readonly string[];
  /** Jobs on their way that hold a slot, those to be withdrawn too: they may have started meanwhile. */
  readonly active: readonly string[];
}

/** What the jobs of one node mean for it: one at a time, the newest commit wins, a running agent is left alone. */
function settleJobs(node: NodeFacts, decision: Decision, jobs: readonly JobStatus[]): Work {
  const recorded = new Set(node.history.map(({ job }) => job));
  const running = jobs.some(({ phase }) => phase === 'running');
  const waiting = jobs.filter(({ phase }) => phase === 'waiting');
  const unrecorded = jobs.some(({ phase, name }) => phase === 'finished' && !recorded.has(name));
  // A pod that outlives its recorded outcome is one of a node that is down: it keeps its own node, not a slot of others.
  const active = jobs
    .filter(({ phase, name }) => phase !== 'finished' && !recorded.has(name))
    .map(({ name }) => name);

  const stillDue = decision.due || decision.reason === 'BackingOff';
  const keep =
    stillDue && !running && !unrecorded ? waiting.find(({ commit }) => commit === node.tip) : undefined;
  const withdraw = waiting.filter((job) => job !== keep).map(({ name }) => name);
  if (running) return { busy: 'Running', withdraw, active };
  if (unrecorded) return { busy: 'Recording', withdraw, active };
  if (keep !== undefined) return { busy: 'Waiting', withdraw, active };
  // Were the next one started at once, both could run: a withdrawal can lose against the agent's start.
  if (withdraw.length > 0 && decision.due) return { busy: 'Withdrawing', withdraw, active };
  return { withdraw, active };
}

/**
 * People's requests first; then every change gets its turn, so that one node of a small change need not wait for
 * the five thousand of a large one. Within a change, first attempts go before retries, older tips before newer.
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

/** Two commits of one second would share a name: the later job steps past all names that are in use. */
function requestFor(node: NodeFacts, decision: Due, policy: Policy, taken: ReadonlySet<string>): JobRequest {
  let stamp = decision.stampSeconds;
  while (taken.has(jobName(node.nodeId, stamp))) stamp += 1;
  const { probes = policy.probes } = node;
  return {
    name: jobName(node.nodeId, stamp),
    node: node.name,
    nodeId: node.nodeId,
    commit: node.tip,
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
