// The controller wires the line together over its ports: CRs and nodes in, commits, jobs and status out. It keeps
// nothing that it could not read again: each pass decides from the home and the store.

import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import type { ConfigStatus } from '../api/status.ts';
import { Branches, type Branch } from '../history/branch.ts';
import { adopt, headOf, move } from '../history/change.ts';
import { formatConfigRef, TRAILER } from '../history/message.ts';
import { Outcomes, recordEnding, type OutcomeRecord } from '../history/outcome.ts';
import { MAIN, OUTCOMES, outcomeRef } from '../history/ref.ts';
import { DEFAULT_GUARD, type GuardPolicy } from '../mirror/guard.ts';
import { Mirror, type MirrorReport } from '../mirror/mirror.ts';
import type { ConfigList, ConfigSource, InventoryNode } from '../mirror/port.ts';
import type { NodeFacts } from '../scheduler/due.ts';
import { jobStamp } from '../scheduler/name.ts';
import { DEFAULT_POLICY, planJobs, type Policy } from '../scheduler/plan.ts';
import type { JobRunner, JobStatus } from '../scheduler/port.ts';
import { Batch } from '../store/batch.ts';
import type { Oid } from '../store/port.ts';
import { decideAnew } from '../store/race.ts';
import type { Store } from '../store/store.ts';
import { Commands } from './commands.ts';
import { factsOf } from './facts.ts';
import { newsBetween } from './news.ts';
import type { ControllerEvent, PausableInventory, StatusSink } from './port.ts';
import { configStatuses, type ListedConfig, type Snapshot } from './status.ts';

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

/** After an error the next pass comes by itself; a resync repairs what no event told. */
const RETRY_MS = 5_000;
const RESYNC_MS = 300_000;

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
  #statuses: ReadonlyMap<string, ConfigStatus> = new Map();
  #wake: (() => void) | undefined;
  #triggered = false;
  #resyncedAt = -Infinity;
  /** Message of the failure that was told last; empty after a pass that went through. */
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
    });
  }

  /** What the newest pass saw; undefined before the first. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Status of each CR as last reported. */
  get statuses(): ReadonlyMap<string, ConfigStatus> {
    return this.#statuses;
  }

  /** What keeps passes from going through (a full disk), in words for people; undefined: the newest one went through. */
  get failure(): string | undefined {
    return this.#failure === '' ? undefined : this.#failure;
  }

  get mirror(): Mirror {
    return this.#mirror;
  }

  /** Something may have changed: a pass follows. */
  trigger(): void {
    this.#triggered = true;
    this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /**
   * Passes until stopped. @param after is called after each pass; true ends here
   * @throws MultinicError `Fenced` when another controller took the store over
   */
  async run(after: (snapshot: Snapshot) => Promise<boolean> = async () => false): Promise<void> {
    while (!this.#stopped) {
      this.#triggered = false;
      let pauseMs = RESYNC_MS;
      this.#resyncIfDue();
      try {
        const { snapshot, nextWake } = await this.reconcile();
        this.#failure = '';
        if (await after(snapshot)) return;
        if (nextWake !== undefined) pauseMs = Math.min(pauseMs, Math.max(nextWake - this.#now(), 50));
      } catch (error) {
        if (error instanceof MultinicError && error.code === 'Fenced') throw error;
        await this.#sayFailure(error);
        this.#log.error(
          { err: error, code: error instanceof MultinicError ? error.code : undefined },
          'pass failed: trying again',
        );
        pauseMs = RETRY_MS;
      }
      await this.#pause(pauseMs);
    }
  }

  /** Now and then everything is asked of git again: somebody may have written past us. */
  #resyncIfDue(): void {
    const now = performance.now();
    if (now - this.#resyncedAt < RESYNC_MS) return;
    this.#resyncedAt = now;
    this.#store.refs.forget();
  }

  /** A person hears of what stops every pass, once. */
  async #sayFailure(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (message === this.#failure) return;
    this.#failure = message;
    const reason = error instanceof MultinicError ? error.code : 'PassFailed';
    await this.#options.sink.emit({ type: 'Warning', reason, message });
  }

  /** One pass: what ended is recorded, CRs are mirrored, what is due is started, everything is reported. */
  async reconcile(): Promise<{ snapshot: Snapshot; nextWake?: number }> {
    const { source, inventory, runner } = this.#options;
    await this.#recordEndings(await runner.list());
    const [list, nodes] = await Promise.all([source.list(), inventory.list()]);
    const report = await this.#mirror.pass(list, nodes);
    checkpoint('controller.mirrored');
    const facts = await this.#adoptNames(report, await this.#facts(report, nodes), nodes);
    const jobs = await runner.list();
    const confirmed = await this.#confirmations.read();
    const plan = planJobs(
      [...facts.values()],
      jobs,
      { ...DEFAULT_POLICY, ...this.#options.policy, confirmed },
      this.#now(),
    );
    // No ref moves here to tell a controller that was paused that another has taken over.
    if (plan.withdraw.length + plan.start.length > 0) await this.#store.expectFence();
    for (const name of plan.withdraw) await runner.withdraw(name);
    for (const request of plan.start) {
      checkpoint('controller.start');
      this.#log.info(
        { node: request.node, commit: request.commit, job: request.name, attempt: request.attempt },
        'job started',
      );
      await runner.start(request);
    }
    const started = plan.start.map((request): JobStatus => ({
      name: request.name,
      node: request.node,
      commit: request.commit,
      attempt: request.attempt,
      phase: 'waiting',
    }));
    const snapshot: Snapshot = {
      report,
      facts,
      decisions: plan.reasons,
      jobs: [...jobs, ...started],
      listed: listedOf(list),
    };
    await this.#report(snapshot);
    return { snapshot, ...(plan.nextWake !== undefined && { nextWake: plan.nextWake }) };
  }

  /** A job that ended is one commit on its node's outcome branch; only then may it go. */
  async #recordEndings(jobs: readonly JobStatus[]): Promise<void> {
    for (const job of jobs) {
      if (job.phase !== 'finished') continue;
      checkpoint('controller.ended');
      if (job.outcome?.result !== 'Superseded') await decideAnew(() => this.#recordEnding(job));
      checkpoint('controller.recorded');
      await this.#options.runner.forget(job.name);
      checkpoint('controller.forgotten');
    }
  }

  async #recordEnding(job: JobStatus): Promise<void> {
    const { reader } = this.#store;
    const tip = await reader.ref(outcomeRef(job.node));
    const history = await this.#outcomes.recent(job.node, tip);
    if (history.some((record) => record.job === job.name)) return;
    const trusted = job.outcome?.commit === job.commit && job.outcome.node === job.node;
    const batch = new Batch();
    await recordEnding(reader, batch, tip, {
      node: job.node,
      job: job.name,
      stamp: jobStamp(job.name) ?? Math.floor(this.#now() / 1000),
      commit: job.commit,
      attempt: job.attempt,
      ...(trusted && job.outcome && { outcome: job.outcome }),
      ...(!trusted && (await this.#machineOf(job.node))),
      ...(job.message !== undefined && { message: job.message }),
    });
    await this.#store.write(batch);
    this.#log.info(
      {
        node: job.node,
        commit: job.commit,
        job: job.name,
        result: job.outcome?.result ?? 'Unknown',
        reason: job.outcome?.reason,
      },
      'outcome recorded',
    );
  }

  /** Which machine and boot a lost run was of, as far as the home knows. */
  async #machineOf(name: string): Promise<{ machineId?: string; bootId?: string }> {
    const nodes = await this.#options.inventory.list().catch(() => []);
    const node = nodes.find((each) => each.name === name);
    return {
      ...(node?.machineID && { machineId: node.machineID }),
      ...(node?.bootID && { bootId: node.bootID }),
    };
  }

  async #facts(report: MirrorReport, nodes: readonly InventoryNode[]): Promise<Map<string, NodeFacts>> {
    const inventory = new Map(nodes.map((node) => [node.name, node]));
    const tips = await this.#store.refs.below(OUTCOMES);
    const facts = new Map<string, NodeFacts>();
    for (const [name, branch] of report.branches) {
      const history = await this.#outcomes.recent(name, tips.get(outcomeRef(name)));
      facts.set(name, await this.#factsOf(report, branch, inventory.get(name), history));
    }
    return facts;
  }

  async #factsOf(
    report: MirrorReport,
    branch: Branch,
    listed: InventoryNode | undefined,
    history: readonly OutcomeRecord[],
  ): Promise<NodeFacts> {
    const annotations = report.main.configs.get(formatConfigRef(branch.node.source))?.annotations ?? {};
    return factsOf(this.#store.reader, branch, listed, history, annotations);
  }

  /** NICs that already bear a managed name keep it: the names go into an identity commit, and the agent runs again. */
  async #adoptNames(
    report: MirrorReport,
    facts: Map<string, NodeFacts>,
    nodes: readonly InventoryNode[],
  ): Promise<Map<string, NodeFacts>> {
    const inventory = new Map(nodes.map((node) => [node.name, node]));
    for (const [name, known] of facts) {
      const branch = report.branches.get(name)!;
      const found = known.history.find(({ result }) => result !== 'Requested')?.found ?? [];
      if (known.namesAdopted !== false || branch.invalid !== undefined) continue;
      const batch = new Batch();
      move(batch, name, adopt(batch, headOf(branch), found), branch.tip.oid);
      await this.#store.write(batch);
      checkpoint('controller.adopted');
      this.#log.info({ node: name, found }, 'names of the host adopted');
      const adopted = await this.#branches.get(name);
      (report.branches as Map<string, Branch>).set(name, adopted);
      facts.set(name, await this.#factsOf(report, adopted, inventory.get(name), known.history));
    }
    return facts;
  }

  async #report(snapshot: Snapshot): Promise<void> {
    const { sink } = this.#options;
    const statuses = configStatuses(snapshot, this.#statuses, this.#now());
    for (const [key, status] of statuses) {
      if (JSON.stringify(status) === JSON.stringify(this.#statuses.get(key))) continue;
      await sink.write(snapshot.listed.get(key)!.ref, status);
      checkpoint('controller.status');
    }
    const news: ControllerEvent[] = newsBetween(this.#snapshot, snapshot);
    this.#statuses = statuses;
    this.#snapshot = snapshot;
    for (const event of news) await sink.emit(event);
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

/** The changes that somebody confirmed, read from main once and then as it grows. */
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
      const commits = await this.#store.reader.log(tip, {
        firstParent: true,
        limit: LOOK_BACK,
        ...(this.#seen !== undefined && { until: this.#seen }),
      });
      for (const commit of commits) {
        for (const [key, value] of commit.trailers) if (key === TRAILER.confirms) this.#confirmed.add(value);
      }
      this.#seen = tip;
    }
    return this.#confirmed;
  }
}

/** A change that was confirmed longer ago stops again, which is the safe side. */
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
