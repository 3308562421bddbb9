// Observes hosts: starts observations that are due, and records their results. A drift is a commit; an undrifted host
// is only remembered.

import { checkpoint } from '../api/checkpoint.ts';
import { needsRun, type Observation } from '../api/observation.ts';
import { filesOfHost, recordDrift, recordObserved, type Finding } from '../history/drift-record.ts';
import { isOnHost, recordRequest, type OutcomeRecord, type Outcomes } from '../history/outcome-branch.ts';
import { outcomeRef } from '../history/refs.ts';
import type { InventoryNode } from '../mirror/home-port.ts';
import { driftOf, repairedAt } from '../scheduler/drift.ts';
import { Derived } from '../scheduler/derived.ts';
import { expectedRecord, runs, type Decision, type NodeFacts } from '../scheduler/due.ts';
import { jobStamp, observationName } from '../scheduler/job-name.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/job-port.ts';
import {
  isAsked,
  isObservable,
  isOutOfReach,
  Pace,
  planObservations,
  type Look,
  type ObservableNode,
  type ObserveCause,
  type ObservePolicy,
  type Seen,
} from '../scheduler/observe-due.ts';
import type { Policy } from '../scheduler/schedule.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import { retryOnLostRace } from '../store/race.ts';
import type { ControllerContext } from './controller-context.ts';
import type { NodeErrors } from './node-errors.ts';

/** Pause after an observation that met a change. */
const BUSY_MS = 60_000;
/** Pause after an observation whose files were lost on the way: the next one sends them again. */
const FILES_LOST_MS = 5_000;
/** Pause after an observation that learned nothing, doubling up to an hour. */
const FIRST_RETRY_MS = 60_000;
const MAX_RETRY_MS = 3_600_000;

/** State of the observations, for the status and metrics. */
export interface ObservationReport {
  /** The node that waits longest for an observation, if its host can be observed; `at`: milliseconds since 1970. */
  readonly oldest?: { readonly node: string; readonly at: number };
  /** Number of nodes that wait for their observation, by cause. */
  readonly waiting: ReadonlyMap<ObserveCause, number>;
  /** Nodes whose hosts cannot be observed until something else happens. */
  readonly outOfReach?: ReadonlySet<string>;
  readonly nextPassAt?: number;
}

export interface ObservationsOptions {
  readonly context: ControllerContext;
  readonly runner: JobRunner;
  readonly outcomes: Outcomes;
  /** Time between two observations of a node; 0: only after boots and repairs, and on request. */
  readonly intervalMs: number;
  /** False: no observation starts. */
  readonly observes: boolean;
}

/** The nodes of the pass. */
interface Known {
  /** All nodes with a branch, also those that this pass could not read. */
  readonly branches: ReadonlyMap<string, unknown>;
  readonly facts: ReadonlyMap<string, NodeFacts>;
  readonly decisions: ReadonlyMap<string, Decision>;
  readonly inventory: ReadonlyMap<string, InventoryNode>;
  /** Observations of the runner. */
  readonly jobs: readonly JobStatus[];
  readonly policy: Policy;
}

/** Whether each host is out of reach. */
const outOfReach = new Derived<ObservableNode, boolean>();

export class Observations {
  readonly #options: ObservationsOptions;
  readonly #pace = new Pace();
  readonly #policy: ObservePolicy;
  readonly #observables = new Derived<NodeFacts, ObservableNode>();
  /** Boot of each node when this controller began; absent: the memory of earlier ones is not lost. */
  #firstBoots: ReadonlyMap<string, string> | undefined;
  #hasBegun = false;

  constructor(options: ObservationsOptions) {
    this.#options = options;
    this.#policy = { intervalMs: options.intervalMs, began: options.context.now() };
  }

  /** Records ended observations. The runner forgets an observation only after that. */
  async record(jobs: readonly JobStatus[], nodeErrors: NodeErrors): Promise<void> {
    const { context, runner } = this.#options;
    await context.observed.load();
    for (const job of jobs) {
      if (job.phase !== 'finished') continue;
      checkpoint('controller.observation.ended');
      await nodeErrors.of(job.node, async () => {
        await retryOnLostRace(() => this.#record(job));
        checkpoint('controller.observation.recorded');
        const { node, name, observation: { result, warnings } = {} } = job;
        context.log.info({ node, job: name, result, warnings }, 'observation ended');
        await runner.forget(job.name);
        context.hostTrees.drop(job.node);
        checkpoint('controller.observation.forgotten');
      });
    }
  }

  async #record(job: JobStatus): Promise<void> {
    const { context, outcomes } = this.#options;
    const { reader } = context.store;
    const observation = trusted(job);
    const tip = await reader.ref(outcomeRef(job.node));
    if (this.#isOld(job)) return;
    if (observation === undefined || tip === undefined) {
      context.log.warn(
        { node: job.node, job: job.name },
        job.message ?? 'the report is not of this observation',
      );
      return this.#foundNothing(job.node);
    }
    const history = await outcomes.recent(job.node, tip);
    const stamp = jobStamp(job.name) ?? 0;
    const recorded = history.some((record) => record.job === job.name);
    // A run changed the host after this observation, so its result is outdated.
    const overtaken = history.some((record) => (record.stamp ?? 0) > stamp);
    const onHost = history.find(isOnHost);
    if (overtaken || onHost?.tried !== observation.commit) return this.#foundNothing(job.node);
    const finding: Finding = { observation, stamp, tip, onHost };
    switch (observation.result) {
      case 'Busy':
        return this.#later(job.node, BUSY_MS);
      case 'Unclear':
        return this.#unclear(finding, history);
      case 'Observed':
        if (!recorded && driftOf(history) !== undefined) await this.#recordObserved(finding);
        return this.#saw(observation);
      case 'Drifted':
        return this.#drifted(finding, history);
    }
  }

  /**
   * Whether a later observation of the host has already ended. A pod may outlive its Job, and a restarted controller
   * reads its report again.
   */
  #isOld({ node, name }: JobStatus): boolean {
    const { at = 0, begun } = this.#options.context.observed.of(node) ?? {};
    const endOfStamp = ((jobStamp(name) ?? Infinity) + 1) * 1000;
    return begun?.job !== name && endOfStamp <= at;
  }

  /** Records a drift, unless the same drift is recorded already. */
  async #drifted(finding: Finding, history: readonly OutcomeRecord[]): Promise<void> {
    const { context } = this.#options;
    const { observation } = finding;
    const { node, job, tree, digest } = observation;
    const known = driftOf(history);
    const same = known !== undefined && known.digest === digest;
    if (same && (tree === undefined || tree === known.tree)) return this.#saw(observation);
    const host = tree === undefined ? undefined : context.hostTrees.of(node, job);
    if (tree !== undefined && host === undefined) return this.#foundNothing(node, FILES_LOST_MS);
    const { reader } = context.store;
    const files = await filesOfHost(reader, { onHost: finding.onHost, ...(host && { host }) });
    if (files === undefined) return this.#later(node, BUSY_MS);
    const seen = context.observed.of(node);
    const bootBefore = bootBeforeOf(observation, seen, history);
    const first = isFirst(history, seen);
    const batch = new Batch();
    await recordDrift(
      reader,
      batch,
      { ...finding, first, ...(bootBefore !== undefined && { bootBefore }) },
      files,
    );
    await context.store.write(batch);
    context.log.warn(
      { node, job, commit: observation.commit, differences: observation.differences },
      'drift recorded',
    );
    this.#saw(observation);
  }

  async #recordObserved(finding: Finding): Promise<void> {
    const { store, log } = this.#options.context;
    const batch = new Batch();
    await recordObserved(store.reader, batch, finding);
    await store.write(batch);
    log.info({ node: finding.observation.node, job: finding.observation.job }, 'the drift is gone');
  }

  /** Asks for a run if only a run can find out what has to be done. */
  async #unclear({ observation, tip, stamp }: Finding, history: readonly OutcomeRecord[]): Promise<void> {
    const { context } = this.#options;
    const { node, job, reason, message = '' } = observation;
    context.log.warn({ node, job, reason }, message);
    if (!needsRun(reason)) return this.#foundNothing(node);
    const asked = history[0]?.request === 'retry';
    // A known drift may wait for a person. A first observation only reports its findings, so that installing a version
    // changes no host.
    if (!asked && driftOf(history) === undefined && !isFirst(history, context.observed.of(node))) {
      const batch = new Batch();
      recordRequest(batch, tip, {
        node,
        request: 'retry',
        by: CONTROLLER,
        principal: CONTROLLER.name,
        job,
        stamp,
        message: `an observation asks for a run (${reason}): ${message}`,
      });
      await context.store.write(batch);
    }
    this.#saw(observation);
  }

  /** Remembers the observation of a host. */
  #saw({ node, result, ...reported }: Observation): void {
    const { observed, now } = this.#options.context;
    const { begun, retryAt: _, failures: __, reason: ___, ...seen } = observed.of(node) ?? {};
    // An earlier controller started the observation, so a later request is still unanswered.
    const stampMs = (jobStamp(reported.job) ?? Infinity) * 1000;
    const isOwn = begun !== undefined && (begun.job ?? reported.job) === reported.job;
    const { at = Math.min(stampMs, now()), job: ____, ...ids } = isOwn ? begun : hostOf(reported);
    const bootBefore = ids.bootID === seen.bootID ? seen.bootBefore : seen.bootID;
    observed.set(node, {
      ...seen,
      ...(begun !== undefined && !isOwn && { begun }),
      ...ids,
      at,
      ...(result !== 'Busy' && { result }),
      ...(result === 'Unclear' && reported.reason !== undefined && { reason: reported.reason }),
      ...(bootBefore !== undefined && { bootBefore }),
      ...(result === 'Observed' && { baseline: true }),
    });
  }

  #foundNothing(node: string, firstMs = FIRST_RETRY_MS): void {
    const { observed } = this.#options.context;
    const failures = (observed.of(node)?.failures ?? 0) + 1;
    this.#later(node, Math.min(firstMs * 2 ** (failures - 1), MAX_RETRY_MS), failures);
  }

  #later(node: string, ms: number, failures = 0): void {
    const { observed, now } = this.#options.context;
    const { begun, retryAt: _, ...seen } = observed.of(node) ?? {};
    // A person asked for an observation after this one had begun, so the host is observed again now.
    const isAskedSince = isAsked(seen) && (begun?.at ?? 0) < seen.asked!;
    observed.set(node, { ...seen, ...(!isAskedSince && { retryAt: now() + ms }), failures });
  }

  /** Starts as many due observations as there is room for. */
  async look(known: Known, nodeErrors: NodeErrors): Promise<ObservationReport> {
    const { context, outcomes, observes } = this.#options;
    const { observed, store, now } = context;
    outcomes.keep(known.branches);
    if (!observes) return { waiting: new Map() };
    await this.#withdraw(known);
    observed.keep(known.branches);
    this.#noteFirstBoots(known);
    const nodes = [...known.facts.values()].map((facts) => this.#observable(facts, known));
    const plan = planObservations(nodes, known.jobs, this.#pace.allowedAt(now()), this.#policy, now());
    this.#pace.took(plan.start.length);
    // Starting jobs moves no ref, so ask the fence: this process may have been suspended and replaced.
    if (plan.start.length > 0) await store.expectFence();
    for (const look of plan.start) {
      checkpoint('controller.observation.start');
      await nodeErrors.of(look.node.name, () => this.#start(look, known));
    }
    await observed.saveIfDue();
    const oldest = oldestOf(nodes.filter(({ name }) => known.facts.get(name)?.ready === true));
    return {
      waiting: plan.waiting,
      outOfReach: new Set(
        nodes.filter((node) => outOfReach.of(node, [], () => isOutOfReach(node))).map(({ name }) => name),
      ),
      ...(oldest !== undefined && { oldest }),
      ...(plan.nextPassAt !== undefined && { nextPassAt: plan.nextPassAt }),
    };
  }

  /** Notes the boots that earlier controllers may have seen. A later boot is certainly new. */
  #noteFirstBoots({ facts }: Known): void {
    if (!this.#hasBegun && this.#options.context.observed.lost)
      this.#firstBoots = new Map([...facts].map(([name, { bootID }]) => [name, bootID]));
    this.#hasBegun = true;
  }

  async #start({ node, cause }: Look, { facts, policy }: Known): Promise<void> {
    const { context, runner } = this.#options;
    const { nodeId, apply = policy.apply, history } = facts.get(node.name)!;
    const at = context.now();
    // The newest record is older than the observation, also where stamps run ahead of the clock.
    const stamp = Math.max(Math.floor(at / 1000), (history[0]?.stamp ?? 0) + 1);
    const request: JobRequest = {
      mode: 'observe',
      name: observationName(nodeId, stamp),
      node: node.name,
      nodeId,
      commit: node.against!,
      expectedRecord: node.against,
      attempt: 1,
      apply,
      deadlineSeconds: policy.deadlineSeconds,
    };
    const { bootID, machineId, systemUUID, print } = node;
    const begun = {
      job: request.name,
      at,
      bootID,
      machineId,
      systemUUID,
      ...(print !== undefined && { print }),
    };
    context.observed.set(node.name, { ...context.observed.of(node.name), begun });
    await runner.start(request);
    context.log.info(
      { node: node.name, commit: request.commit, job: request.name, cause },
      'observation started',
    );
  }

  /** Withdraws observations that have not begun, because a run is due on the node or the pod does not start. */
  async #withdraw({ jobs, facts, decisions }: Known): Promise<void> {
    const { context, runner } = this.#options;
    for (const { name, node, phase, late } of jobs) {
      const decision = facts.has(node) ? decisions.get(node) : undefined;
      if (phase !== 'waiting') continue;
      if (late === true) this.#foundNothing(node);
      if (late === true || decision === undefined || !isObservable(decision, context.observed.of(node)))
        await runner.withdraw(name);
    }
  }

  #observable(facts: NodeFacts, { decisions, inventory }: Known): ObservableNode {
    const { name, bootID } = facts;
    const decision = decisions.get(name)!;
    const listed = inventory.get(name);
    if (listed?.print !== undefined) this.#notePrint(name, listed.print, runs(facts)[0]?.oid ?? '');
    const seen = this.#options.context.observed.of(name);
    const isOldBoot = this.#firstBoots?.get(name) === bootID;
    return this.#observables.of(facts, [decision, listed, seen, isOldBoot], () =>
      observableOf(facts, { decision, listed, seen, isOldBoot }),
    );
  }

  /**
   * Takes the machine's file after a run, or at the first sight, as correct. Only a later edit of the file causes an
   * observation.
   */
  #notePrint(node: string, print: string, run: string): void {
    const { observed } = this.#options.context;
    const seen = observed.of(node);
    if (seen?.print === undefined || seen.run !== run) observed.set(node, { ...seen, print, run });
  }
}

interface SeenNode {
  readonly decision: Decision;
  readonly listed: InventoryNode | undefined;
  readonly seen: Seen | undefined;
  readonly isOldBoot: boolean;
}

function observableOf(facts: NodeFacts, { decision, listed, seen, isOldBoot }: SeenNode): ObservableNode {
  const { name, bootID, machineId, systemUUID, history } = facts;
  const [newest] = runs(facts);
  const repaired = repairedAt(history);
  return {
    name,
    bootID,
    machineId: listed?.machineId ?? machineId,
    systemUUID,
    // If the newest run left NICs out, the host rightly differs from the commit. An observation of this host has
    // nothing to compare with.
    against: history.find(isOnHost)?.leftOut === undefined ? expectedRecord(facts) : null,
    decision,
    ...(listed?.print !== undefined && { print: listed.print }),
    ...(seen !== undefined && { seen }),
    ...(newest !== undefined && { run: runOf(newest) }),
    ...(repaired !== undefined && { repairedAt: repaired * 1000 }),
    ...(isOldBoot && { isOldBoot: true as const }),
  };
}

/** The host's state as an observation reported it. */
function hostOf({
  bootId,
  machineId,
  systemUUID = '',
}: Pick<Observation, 'bootId' | 'machineId' | 'systemUUID'>): NonNullable<Seen['begun']> {
  return { bootID: bootId, machineId, systemUUID };
}

/** The report of an observation, if it is about this job. */
function trusted({ name, node, commit, observation }: JobStatus): Observation | undefined {
  const own = observation?.job === name && observation.node === node && observation.commit === commit;
  return own ? observation : undefined;
}

/**
 * Whether a drift may be older than this version. True: neither a run nor an observation of this version has found the
 * host equal to its commit.
 */
function isFirst(history: readonly OutcomeRecord[], seen: Seen | undefined): boolean {
  if (seen?.baseline === true) return false;
  return !history.some(
    ({ baseline, result, first }) =>
      baseline === true || result === 'Observed' || (result === 'Drifted' && first !== true),
  );
}

/** The last boot before the boot of the observation. */
function bootBeforeOf(
  { bootId }: Observation,
  seen: Seen | undefined,
  history: readonly OutcomeRecord[],
): string | undefined {
  if (seen?.bootID === bootId) return seen.bootBefore;
  return (
    seen?.bootID ?? history.find((record) => record.bootId !== undefined && record.bootId !== bootId)?.bootId
  );
}

function runOf({ time, bootId, machineId, systemUUID }: OutcomeRecord): NonNullable<ObservableNode['run']> {
  return {
    at: time * 1000,
    ...(bootId !== undefined && { bootID: bootId }),
    ...(machineId !== undefined && { machineId }),
    ...(systemUUID !== undefined && { systemUUID }),
  };
}

function oldestOf(nodes: readonly ObservableNode[]): ObservationReport['oldest'] {
  let oldest: { node: string; at: number } | undefined;
  for (const { name, against, decision, seen, run } of nodes) {
    if (against === null || !isObservable(decision, seen)) continue;
    const at = Math.max(seen?.at ?? 0, run?.at ?? 0);
    if (oldest === undefined || at < oldest.at) oldest = { node: name, at };
  }
  return oldest;
}
