// The controller connects the parts over their ports: CRs and nodes in; commits, jobs and status out. Each pass decides
// from the home and the store; the process holds nothing that it cannot read again.

import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import type { Outcome } from '../api/outcome.ts';
import type { ConfigStatus } from '../api/status.ts';
import { Branches, type Branch } from '../history/node-branch.ts';
import { adopt, headOf, move } from '../history/branch-commits.ts';
import { formatConfigRef, trailer, TRAILER } from '../history/commit-words.ts';
import { Outcomes, recordEnding, recordRequest, type OutcomeRecord } from '../history/outcome-branch.ts';
import { MAIN, nodeRef, OUTCOMES, outcomeRef } from '../history/refs.ts';
import { DEFAULT_GUARD, type GuardPolicy } from '../mirror/guard.ts';
import type { MirrorEvent } from '../mirror/branch-mirror.ts';
import { Mirror, type MirrorReport } from '../mirror/mirror.ts';
import type { ConfigList, ConfigSource, InventoryNode } from '../mirror/home-port.ts';
import type { NodeFacts } from '../scheduler/due.ts';
import { jobStamp } from '../scheduler/job-name.ts';
import { DEFAULT_POLICY, planJobs, type Plan, type Policy } from '../scheduler/schedule.ts';
import type { JobRunner, JobStatus } from '../scheduler/job-port.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit, Oid } from '../store/model/store-port.ts';
import { decideAnew } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import { Commands } from './commands.ts';
import { factsOf } from './facts.ts';
import { newsBetween } from './news.ts';
import type { PausableInventory, StatusSink } from './sink-port.ts';
import { configStatuses, type ListedConfig, type Snapshot } from './config-status.ts';

export interface ControllerOptions {
  readonly store: Store;
  readonly source: ConfigSource;
  readonly inventory: PausableInventory;
  readonly runner: JobRunner;
  readonly sink: StatusSink;
  readonly log: Logger;
  readonly guard?: GuardPolicy;
  readonly policy?: Omit<Policy, 'confirmed'>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Pause before the pass after an error, and before a resync, which repairs the effect of lost events. */
const RETRY_MS = 5_000;
const RESYNC_MS = 300_000;
/** Number of requests to the home at the same time. */
const STARTS_AT_ONCE = 8;
/**
 * Longest pause after a pass. Each pass is followed by a pause as long as itself, because a pass that finds everything
 * in memory lets no timer and no answer run: the Lease, agents and pushes get half of the process.
 */
const MAX_REST_MS = 1_000;

export class Controller {
  readonly commands: Commands;
  readonly #options: ControllerOptions;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #branches: Branches;
  readonly #outcomes: Outcomes;
  readonly #mirror: Mirror;
  readonly #confirmations: Confirmations;
  #snapshot: Snapshot | undefined;
  #statuses = new Map<string, ConfigStatus>();
  /** Events of the mirror that no completed pass has reported yet. */
  readonly #untold: MirrorEvent[] = [];
  #wake: (() => void) | undefined;
  /** Pause before nodes with trouble are tried again. A pass without trouble sets half of the first pause. */
  #retryMs = RETRY_MS / 2;
  #triggered = false;
  #resyncedAt = -Infinity;
  /** Message of the failure that was logged last; empty after a pass that succeeded. */
  #failure = '';
  #stopped = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#branches = new Branches(options.store.reader);
    this.#outcomes = new Outcomes(options.store.reader);
    this.#mirror = new Mirror(options.store, this.#branches, {
      guard: options.guard ?? DEFAULT_GUARD,
      log: options.log,
    });
    this.#confirmations = new Confirmations(options.store);
    this.commands = new Commands({
      store: options.store,
      branches: this.#branches,
      mirror: this.#mirror,
      inventory: options.inventory,
      waiting: () =>
        this.#snapshot && {
          main: this.#snapshot.report.main.commit,
          nodes: this.#snapshot.report.stopped,
        },
    });
  }

  /** Findings of the newest pass; undefined before the first. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Status of each CR as last reported. */
  get statuses(): ReadonlyMap<string, ConfigStatus> {
    return this.#statuses;
  }

  /** Failure of the newest pass (a full disk), in words for people; undefined if the pass succeeded. */
  get failure(): string | undefined {
    return this.#failure === '' ? undefined : this.#failure;
  }

  get mirror(): Mirror {
    return this.#mirror;
  }

  /** Wakes the loop for another pass, because something may have changed. */
  trigger(): void {
    this.#triggered = true;
    this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /**
   * Passes until stopped.
   * @param after is called after each pass, with its duration in milliseconds; true ends here
   * @param failed is called after each pass that failed; true ends here, with its error
   * @throws MultinicError `Fenced` when another controller took the store over
   */
  async run(
    after: (snapshot: Snapshot, ms: number) => Promise<boolean> = async () => false,
    failed: (error: unknown) => boolean = () => false,
  ): Promise<void> {
    while (!this.#stopped) {
      this.#triggered = false;
      let pauseMs = RESYNC_MS;
      this.#resyncIfDue();
      const began = performance.now();
      try {
        const { snapshot, nextWake } = await this.reconcile();
        this.#failure = '';
        if (await after(snapshot, performance.now() - began)) return;
        if (nextWake !== undefined) pauseMs = Math.min(pauseMs, Math.max(nextWake - this.#now(), 50));
        await sleep(Math.min(performance.now() - began, MAX_REST_MS));
      } catch (error) {
        await this.#throwIfFenced();
        await this.#sayFailure(error);
        this.#log.error(
          { err: error, code: error instanceof MultinicError ? error.code : undefined },
          'pass failed: trying again',
        );
        if (failed(error)) throw error;
        pauseMs = RETRY_MS;
      }
      await this.#pause(pauseMs);
    }
  }

  /** Checks the fence: in a replaced store the pass's own failure means nothing. @throws MultinicError `Fenced` */
  async #throwIfFenced(): Promise<void> {
    await this.#store.expectFence().catch((error: unknown) => {
      // An unreadable store is the failure of the pass, which is reported elsewhere.
      if (error instanceof MultinicError && error.code === 'Fenced') throw error;
    });
  }

  /** Forgets remembered refs from time to time: somebody may have written to the repository without the controller. */
  #resyncIfDue(): void {
    const now = performance.now();
    if (now - this.#resyncedAt < RESYNC_MS) return;
    this.#resyncedAt = now;
    this.#store.refs.forget();
  }

  /** Logs the failure of a pass once, until it changes or ends. */
  async #sayFailure(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.#failure) return;
    this.#failure = message;
    const reason = error instanceof MultinicError ? error.code : 'PassFailed';
    await this.#options.sink.emit({ type: 'Warning', reason, message });
  }

  /** One pass: record ended jobs, mirror the CRs, start due jobs, write every status. */
  async reconcile(): Promise<{ snapshot: Snapshot; nextWake?: number }> {
    const { source, inventory, runner } = this.#options;
    // A pass that finds nothing to write must still notice that the store was restored meanwhile.
    await this.#store.expectFence();
    const troubles = new Troubles(this.#store, this.#log);
    await this.#recordEndings(await runner.list(), troubles);
    const { configs } = await this.#mirror.main();
    const [list, nodes] = await Promise.all([source.list(configs), inventory.list()]);
    const mirrored = await this.#mirror.pass(list, nodes);
    // Events are reported only after a pass that succeeded; until then they exist only here.
    this.#untold.push(...mirrored.events);
    checkpoint('controller.mirrored');
    const branches = new Map(mirrored.branches);
    const facts = await this.#facts({ ...mirrored, branches }, nodes, troubles);
    const jobs = await runner.list();
    const plan = planJobs([...facts.values()], jobs, await this.#policy(), this.#now());
    const started = await this.#runJobs(plan, troubles);
    const snapshot: Snapshot = {
      report: {
        ...mirrored,
        branches,
        events: [...this.#untold],
        problems: new Map([...mirrored.problems, ...troubles.byNode]),
      },
      mainTime: (await this.#store.reader.commit(mirrored.main.commit)).committer.time,
      facts,
      decisions: plan.reasons,
      jobs: [...jobs, ...started],
      listed: listedOf(list),
    };
    // A problem of the mirror's reading may come from a store that was restored meanwhile.
    await this.#store.expectFence();
    await this.#report(snapshot);
    // A node's trouble may end by itself, so the pass tries again, each time after a longer pause.
    this.#retryMs = troubles.byNode.size > 0 ? Math.min(2 * this.#retryMs, RESYNC_MS) : RETRY_MS / 2;
    const retryAt = troubles.byNode.size > 0 ? this.#now() + this.#retryMs : Infinity;
    const nextWake = Math.min(plan.nextWake ?? Infinity, retryAt);
    return { snapshot, ...(nextWake < Infinity && { nextWake }) };
  }

  async #policy(): Promise<Policy> {
    return { ...DEFAULT_POLICY, ...this.#options.policy, confirmed: await this.#confirmations.read() };
  }

  async #runJobs({ withdraw, start }: Plan, troubles: Troubles): Promise<JobStatus[]> {
    const { runner } = this.#options;
    // Starting jobs moves no ref, so ask the fence: this process may have been suspended and replaced.
    if (withdraw.length + start.length > 0) await this.#store.expectFence();
    for (const name of withdraw) await runner.withdraw(name);
    const started: JobStatus[] = [];
    const queue = new PQueue({ concurrency: STARTS_AT_ONCE });
    const starts = start.map((request) => async () => {
      checkpoint('controller.start');
      const { node, commit, attempt, name } = request;
      this.#log.info({ node, commit, job: name, attempt }, 'job started');
      await troubles
        .of(node, async () => {
          await runner.start(request);
          started.push({ name, node, commit, attempt, phase: 'waiting' });
        })
        .catch((error: unknown) => {
          // After an error that ends the pass, no further request begins.
          queue.clear();
          throw error;
        });
    });
    await queue.addAll(starts).finally(() => queue.onIdle());
    return started;
  }

  /** Records an ended job as one commit on its node's outcome branch, and only then forgets the job. */
  async #recordEndings(jobs: readonly JobStatus[], troubles: Troubles): Promise<void> {
    for (const job of jobs) {
      if (job.phase !== 'finished') continue;
      checkpoint('controller.ended');
      await troubles.of(job.node, async () => {
        await decideAnew(() => this.#recordEnding(job));
        checkpoint('controller.recorded');
        await this.#options.runner.forget(job.name);
        checkpoint('controller.forgotten');
      });
    }
  }

  async #recordEnding(job: JobStatus): Promise<void> {
    const { reader } = this.#store;
    const outcome = await this.#believed(job);
    if (outcome?.result === 'Superseded') return;
    const tip = await reader.ref(outcomeRef(job.node));
    const history = await this.#outcomes.recent(job.node, tip);
    const stamp = jobStamp(job.name) ?? Math.floor(this.#now() / 1000);
    // Stamps of a node rise, so a job with an older stamp than the newest record was recorded before.
    if (history.some((record) => record.job === job.name || (record.stamp ?? 0) > stamp)) return;
    if (!(await this.#has(job.commit))) return this.#askAgain(job, tip, stamp);
    const batch = new Batch();
    await recordEnding(reader, batch, tip, {
      node: job.node,
      job: job.name,
      stamp,
      commit: job.commit,
      attempt: job.attempt,
      ...(outcome === undefined ? await this.#machineOf(job.node) : { outcome }),
      ...(job.message !== undefined && { message: job.message }),
    });
    await this.#store.write(batch);
    const { result = 'Unknown', reason } = outcome ?? {};
    this.#log.info({ node: job.node, commit: job.commit, job: job.name, result, reason }, 'outcome recorded');
  }

  /** Whether the store has the commit that a job names; anybody may have edited the job. */
  async #has(commit: string): Promise<boolean> {
    try {
      await this.#store.reader.commit(commit);
      return true;
    } catch (error) {
      if (error instanceof MultinicError && error.code === 'NotFound') return false;
      throw error;
    }
  }

  /**
   * Requests a run in place of an outcome whose commit the store lacks, because the store was restored from an older
   * backup. The host may have that commit all the same, and only a run can tell.
   */
  async #askAgain({ node, commit, name }: JobStatus, tip: Oid | undefined, stamp: number): Promise<void> {
    this.#log.warn({ node, commit, job: name }, 'a job of a commit that is gone');
    // A node without a branch has no outcomes; it gets a run as soon as it has a branch.
    if ((await this.#store.reader.ref(nodeRef(node))) === undefined) return;
    const batch = new Batch();
    recordRequest(batch, tip, {
      node,
      request: 'retry',
      by: CONTROLLER,
      principal: CONTROLLER.name,
      job: name,
      stamp,
      message: `${name} was of a commit that the store does not have: the host may have it`,
    });
    await this.#store.write(batch);
  }

  /**
   * The job's report, if it is about this job. `Superseded` counts only if the tip moved in git too: Superseded is no
   * attempt, so a wrong one would make the same job again without end.
   */
  async #believed({ outcome, commit, node }: JobStatus): Promise<Outcome | undefined> {
    if (outcome?.commit !== commit || outcome.node !== node) return undefined;
    if (outcome.result !== 'Superseded') return outcome;
    this.#store.refs.forget();
    return (await this.#store.reader.ref(nodeRef(node))) === commit ? undefined : outcome;
  }

  /** Machine and boot of a run that ended without a report, as far as the home knows. */
  async #machineOf(name: string): Promise<{ machineId?: string; bootId?: string }> {
    const nodes = await this.#options.inventory.list().catch(() => []);
    const node = nodes.find((each) => each.name === name);
    return {
      ...(node?.machineID && { machineId: node.machineID }),
      ...(node?.bootID && { bootId: node.bootID }),
    };
  }

  /** Input of the scheduler for each node. Names that a host's NICs already have are adopted first. */
  async #facts(
    report: MirrorReport & { readonly branches: Map<string, Branch> },
    nodes: readonly InventoryNode[],
    troubles: Troubles,
  ): Promise<Map<string, NodeFacts>> {
    const inventory = new Map(nodes.map((node) => [node.name, node]));
    const tips = await this.#store.refs.below(OUTCOMES);
    const facts = new Map<string, NodeFacts>();
    for (const [name, branch] of report.branches) {
      await troubles.of(name, async () => {
        const history = await this.#outcomes.recent(name, tips.get(outcomeRef(name)));
        const annotations = report.main.configs.get(formatConfigRef(branch.node.source))?.annotations ?? {};
        const read = (at: Branch): Promise<NodeFacts> =>
          factsOf(this.#store.reader, at, inventory.get(name), history, annotations);
        const known = await read(branch);
        const adopted = await this.#adoptNames(branch, known);
        if (adopted !== undefined) report.branches.set(name, adopted);
        facts.set(name, adopted === undefined ? known : await read(adopted));
      });
    }
    return facts;
  }

  /** Adopts managed names that a host's NICs already have: an identity commit takes them, and the agent runs again. */
  async #adoptNames(branch: Branch, { namesAdopted, history }: NodeFacts): Promise<Branch | undefined> {
    if (namesAdopted !== false || branch.invalid !== undefined) return undefined;
    if (adoptionsInARow(history) > MAX_ADOPTIONS) return undefined;
    const found = history.find(({ result }) => result !== 'Requested')?.found ?? [];
    const batch = new Batch();
    const head = adopt(batch, headOf(branch), found);
    if (head.tree === branch.tree) return undefined;
    move(batch, branch.name, head, branch.tip.oid);
    await this.#store.write(batch);
    checkpoint('controller.adopted');
    this.#log.info({ node: branch.name, found }, 'names of the host adopted');
    return this.#branches.get(branch.name);
  }

  async #report(snapshot: Snapshot): Promise<void> {
    const { sink } = this.#options;
    for (const [key, { ref }] of snapshot.listed) {
      const written = this.#statuses.has(key) ? undefined : await sink.read(ref);
      if (written !== undefined) this.#statuses.set(key, written);
    }
    const statuses = configStatuses(snapshot, this.#statuses, this.#now());
    for (const [key, status] of statuses) {
      if (isDeepStrictEqual(status, this.#statuses.get(key))) continue;
      await sink.write(snapshot.listed.get(key)!.ref, status);
      checkpoint('controller.status');
    }
    for (const [key, { ref }] of this.#snapshot?.listed ?? []) {
      if (!statuses.has(key) && !snapshot.report.doubts.has(key)) await sink.remove(ref);
    }
    const news = newsBetween(this.#snapshot, snapshot);
    this.#statuses = statuses;
    this.#snapshot = snapshot;
    for (const event of news) await sink.emit(event);
    this.#untold.length = 0;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#triggered || this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
  }
}

/** Limit of adoptions in a row: a host with other names each time would cause a commit and a job at every pass. */
const MAX_ADOPTIONS = 5;

function adoptionsInARow(history: readonly OutcomeRecord[]): number {
  const runs = history.filter(({ result }) => result !== 'Requested');
  const end = runs.findIndex(({ result }) => result !== 'Adopt');
  return end === -1 ? runs.length : end;
}

/** Errors of single nodes. Such an error stops its node and no other. */
class Troubles {
  readonly byNode = new Map<string, MultinicError>();
  readonly #store: Store;
  readonly #log: Logger;

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** @throws errors that concern the whole store */
  async of(node: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (error instanceof MultinicError && OF_THE_STORE.has(error.code)) throw error;
      // A restore during a pass: one git process still reads the old store, and another reads the new one.
      await this.#store.expectFence();
      this.#log.error({ node, err: error }, 'this node has to wait');
      const message = error instanceof Error ? error.message : String(error);
      const known = error instanceof MultinicError ? error : undefined;
      this.byNode.set(
        node,
        known ?? new MultinicError('NodeTrouble', `${message}: see the controller's log`, { cause: error }),
      );
    }
  }
}

const OF_THE_STORE: ReadonlySet<string> = new Set([
  'Fenced',
  'LostRace',
  'DiskFull',
  'Locked',
  'StoreUnreadable',
  'StoreClosed',
]);

/** Commits of main that a person confirmed. main is read once, and then only its new commits. */
class Confirmations {
  readonly #store: Store;
  readonly #confirmed = new Set<Oid>();
  #seen: Oid | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async read(): Promise<ReadonlySet<Oid>> {
    const tip = await this.#store.refs.at(MAIN);
    if (tip !== undefined && tip !== this.#seen) {
      for (const commit of await this.#since(tip)) {
        const change = trailer(commit, TRAILER.confirms);
        if (change !== undefined && trailer(commit, TRAILER.means) !== 'removals')
          this.#confirmed.add(change);
      }
      this.#seen = tip;
    }
    return this.#confirmed;
  }

  /** Commits of main after the last one seen. A few are read one by one, which takes no git of its own. */
  async #since(tip: Oid): Promise<readonly Commit[]> {
    const { reader } = this.#store;
    const few: Commit[] = [];
    for (let at: Oid | undefined = tip; at !== undefined && few.length < 8; at = few.at(-1)?.parents[0]) {
      if (at === this.#seen) return few;
      few.push(await reader.commit(at));
    }
    return reader.log(tip, {
      firstParent: true,
      limit: LOOK_BACK,
      ...(this.#seen !== undefined && { until: this.#seen }),
    });
  }
}

/** Number of remembered confirmations. A change whose confirmation is older stops again, which is safe. */
const LOOK_BACK = 2_000;

function listedOf(list: ConfigList): Map<string, ListedConfig> {
  return new Map(
    list.configs.map(({ ref, generation, spec }) => {
      const hash =
        typeof spec === 'object' && spec !== null && 'specHash' in spec ? spec.specHash : undefined;
      return [formatConfigRef(ref), { ref, generation, ...(typeof hash === 'string' && { specHash: hash }) }];
    }),
  );
}
