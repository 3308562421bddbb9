// One pass: records ended jobs, mirrors CRs, adopts names, starts due jobs, reports everything. A pass keeps nothing
// that it could not read again: it decides from the home and the store.

import PQueue from 'p-queue';
import { checkpoint } from '../api/checkpoint.ts';
import { DEFAULTS } from '../api/defaults.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import type { Branch } from '../history/node-branch.ts';
import { Outcomes } from '../history/outcome-branch.ts';
import { OUTCOMES, outcomeRef } from '../history/refs.ts';
import type { WantedInterface } from '../network/interface.ts';
import type { ConfigList, ConfigSource, InventoryNode } from '../mirror/home-port.ts';
import type { MirrorReport } from '../mirror/mirror.ts';
import type { NodeFacts } from '../scheduler/due.ts';
import { areSame } from '../scheduler/derived.ts';
import type { JobRunner, JobStatus } from '../scheduler/job-port.ts';
import { DEFAULT_POLICY, planJobs, type Plan, type Policy } from '../scheduler/schedule.ts';
import { adoptNames } from './adoption.ts';
import type { ListedConfig, Snapshot } from './config-status.ts';
import { Confirmations } from './confirmations.ts';
import type { ControllerContext } from './controller-context.ts';
import { OutcomeRecorder } from './outcome-recorder.ts';
import { factsOf } from './facts.ts';
import { HostAddresses } from './host-addresses.ts';
import { NodeErrors } from './node-errors.ts';
import { Observations } from './observations.ts';

export interface PassOptions {
  readonly context: ControllerContext;
  readonly source: ConfigSource;
  readonly runner: JobRunner;
  readonly policy?: Omit<Policy, 'confirmed' | 'repairsConfirmedAt'>;
  /** Time between two observations of a node; 0: only after boots and repairs, and on request. */
  readonly observeIntervalMs?: number;
  /** False: no observation starts, as in a controller that ends when its runs are done. */
  readonly observes?: boolean;
}

export interface PassResult {
  readonly snapshot: Snapshot;
  /** Time of the next pass if nothing happens before, milliseconds since 1970. */
  readonly nextPassAt?: number;
}

/** Number of requests to the home at the same time. */
const STARTS_AT_ONCE = 8;
/** Pause before a node with an error is tried again; each further pause is longer. */
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;

/** Nodes as the scheduler sees them, with the branches after adoption. */
interface Known {
  readonly branches: ReadonlyMap<string, Branch>;
  readonly facts: ReadonlyMap<string, NodeFacts>;
}

/** Facts of a node, and the objects that they were gathered from. */
interface Gathered {
  readonly inputs: readonly unknown[];
  readonly facts: NodeFacts;
}

export class Pass {
  readonly #context: ControllerContext;
  readonly #options: PassOptions;
  readonly #outcomes: Outcomes;
  readonly #recorder: OutcomeRecorder;
  readonly #observations: Observations;
  readonly #confirmations: Confirmations;
  readonly #addresses: HostAddresses;
  /** The newest pass's facts of each node. Where nothing about a node changed, its facts stay the same object. */
  readonly #gathered = new Map<string, Gathered>();
  /** Pause before a node with an error is tried again. */
  #retryMs = FIRST_RETRY_MS;

  constructor(options: PassOptions) {
    const { context, runner } = options;
    this.#context = context;
    this.#options = options;
    this.#outcomes = new Outcomes(context.store.reader);
    this.#recorder = new OutcomeRecorder(context, runner, this.#outcomes);
    const { observeIntervalMs: intervalMs = DEFAULTS.observeMinutes * 60_000, observes = true } = options;
    const outcomes = this.#outcomes;
    this.#observations = new Observations({ context, runner, outcomes, intervalMs, observes });
    this.#confirmations = new Confirmations(context.store);
    this.#addresses = new HostAddresses(context.store.reader);
  }

  async run(): Promise<PassResult> {
    const { store, log, mirror, reporter, inventory, now } = this.#context;
    const { source, runner } = this.#options;
    // A pass that finds nothing to write must still notice that the store was restored meanwhile.
    await store.expectFence();
    const nodeErrors = new NodeErrors(store, log);
    const ended = Map.groupBy(await runner.list(), ({ mode = 'run' }) => mode);
    await this.#recorder.record(ended.get('run') ?? [], nodeErrors);
    await this.#observations.record(ended.get('observe') ?? [], nodeErrors);
    const { configs } = await mirror.main();
    const [list, nodes] = await Promise.all([source.list(configs), inventory.list()]);
    const mirrored = await mirror.pass(list, nodes);
    const events = reporter.keep(mirrored.events);
    checkpoint('controller.mirrored');
    const listed = Map.groupBy(await runner.list(), ({ mode = 'run' }) => mode);
    const jobs = listed.get('run') ?? [];
    const { branches, facts } = await this.#gatherFacts(mirrored, nodes, jobs, nodeErrors);
    const { holders } = this.#addresses;
    const policy = await this.#policy();
    const plan = planJobs([...facts.values()], jobs, policy, now(), holders);
    const started = await this.#runJobs(plan, nodeErrors);
    const observing = await this.#observations.look(
      {
        branches,
        facts,
        decisions: plan.reasons,
        inventory: new Map(nodes.map((node) => [node.name, node])),
        jobs: listed.get('observe') ?? [],
        policy,
      },
      nodeErrors,
    );
    const problems = new Map([...mirrored.problems, ...nodeErrors.byNode]);
    const snapshot: Snapshot = {
      report: { ...mirrored, branches, events, problems },
      mainTime: (await store.reader.commit(mirrored.main.commit)).committer.time,
      facts,
      decisions: plan.reasons,
      jobs: [...jobs, ...started],
      holders,
      listed: listedOf(list),
      repairs: plan.repairs,
      observing,
      // Reads the branches again, because the pass itself may have recorded outcomes.
      happened: await store.refs.below(OUTCOMES),
    };
    // A problem of the mirror's reading may come from a store that was restored meanwhile.
    await store.expectFence();
    await reporter.report(snapshot);
    const goOn = mirrored.behind.size > 0 ? now() : Infinity;
    const nextPassAt = Math.min(
      plan.nextPassAt ?? Infinity,
      observing.nextPassAt ?? Infinity,
      this.#retryAt(nodeErrors),
      goOn,
    );
    return { snapshot, ...(nextPassAt < Infinity && { nextPassAt }) };
  }

  /** A node's trouble may end by itself, so the pass tries again, each time after a longer pause. */
  #retryAt(nodeErrors: NodeErrors): number {
    const pauseMs = this.#retryMs;
    this.#retryMs = nodeErrors.byNode.size === 0 ? FIRST_RETRY_MS : Math.min(2 * pauseMs, MAX_RETRY_MS);
    return nodeErrors.byNode.size === 0 ? Infinity : this.#context.now() + pauseMs;
  }

  async #policy(): Promise<Policy> {
    return { ...DEFAULT_POLICY, ...this.#options.policy, ...(await this.#confirmations.read()) };
  }

  /** Adopts names that hosts have already, then gathers the scheduler's input for each node. */
  async #gatherFacts(
    report: MirrorReport,
    nodes: readonly InventoryNode[],
    jobs: readonly JobStatus[],
    nodeErrors: NodeErrors,
  ): Promise<Known> {
    const { store } = this.#context;
    const inventory = new Map(nodes.map((node) => [node.name, node]));
    const tips = await store.refs.below(OUTCOMES);
    const branches = new Map(report.branches);
    const facts = new Map<string, NodeFacts>();
    const jobsOf = Map.groupBy(jobs, ({ node }) => node);
    for (const [name, mirrored] of report.branches) {
      const tip = tips.get(outcomeRef(name));
      const listed = inventory.get(name);
      const source = formatConfigRef(mirrored.node.source);
      const annotations = report.main.configs.get(source)?.annotations ?? NO_ANNOTATIONS;
      const asked = askedOf(report, mirrored);
      const own = jobsOf.get(name) ?? NO_JOBS;
      const inputs = [mirrored, tip, listed, annotations, asked, own];
      const known = this.#gathered.get(name);
      if (known !== undefined && areSame(known.inputs, inputs)) {
        facts.set(name, known.facts);
        continue;
      }
      this.#gathered.delete(name);
      await nodeErrors.of(name, async () => {
        const history = await this.#outcomes.recent(name, tip);
        const branch = await adoptNames(this.#context, mirrored, history);
        branches.set(name, branch);
        const addresses = await this.#addresses.read(branch, history, own, askedOf(report, branch));
        const fresh = await factsOf(store.reader, branch, listed, history, annotations, addresses);
        facts.set(name, fresh);
        if (branch === mirrored) this.#gathered.set(name, { inputs, facts: fresh });
      });
    }
    // A node that this pass cannot read keeps its addresses.
    this.#addresses.keep(branches);
    for (const name of this.#gathered.keys()) if (!branches.has(name)) this.#gathered.delete(name);
    return { branches, facts };
  }

  async #runJobs({ withdraw, postpone = [], start }: Plan, nodeErrors: NodeErrors): Promise<JobStatus[]> {
    const { store, log } = this.#context;
    const { runner } = this.#options;
    // Starting jobs moves no ref, so ask the fence: this process may have been suspended and replaced.
    if (withdraw.length + postpone.length + start.length > 0) await store.expectFence();
    for (const name of withdraw) await runner.withdraw(name);
    for (const name of postpone) await runner.withdraw(name, { again: true });
    const started: JobStatus[] = [];
    const queue = new PQueue({ concurrency: STARTS_AT_ONCE });
    const starts = start.map((request) => async () => {
      checkpoint('controller.start');
      const { node, commit, attempt, name } = request;
      log.info({ node, commit, job: name, attempt }, 'job started');
      await nodeErrors
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
}

const NOTHING: readonly WantedInterface[] = [];
const NO_JOBS: readonly JobStatus[] = [];
const NO_ANNOTATIONS: Readonly<Record<string, string>> = {};

/** Interfaces that the CR gives a node. The base stands for an entry that is bad or ambiguous. */
function askedOf({ claims }: MirrorReport, { name, base }: Branch): readonly WantedInterface[] {
  const claim = claims.byNode.get(name);
  if (claim === undefined && !claims.unclear.has(name)) return NOTHING;
  return claim?.entry.wanted ?? base.network;
}

function listedOf(list: ConfigList): Map<string, ListedConfig> {
  return new Map(
    list.configs.map(({ ref, generation, spec }) => {
      const hash =
        typeof spec === 'object' && spec !== null && 'specHash' in spec ? spec.specHash : undefined;
      return [formatConfigRef(ref), { ref, generation, ...(typeof hash === 'string' && { specHash: hash }) }];
    }),
  );
}
