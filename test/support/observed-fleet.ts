// A fleet on a real store: passes of a controller by a clock that the test moves. Runs and observations take five seconds
// and find what the test says.
//
//   await using fleet = await ObservedFleet.open(await ObservedFleet.configured(80));
//   fleet.drifted.add('node-0');
//   await fleet.run(HOUR);
//   expect(fleet.commits).toBe(1);

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { pino } from 'pino';
import type { Observation } from '../../src/api/observation.ts';
import type { Outcome } from '../../src/api/outcome.ts';
import type { ConfigStatus } from '../../src/api/status.ts';
import type { Problem } from '../../src/api/errors.ts';
import { apiRoutes } from '../../src/controller/api.ts';
import { allViews, type NodeView, type Snapshot } from '../../src/controller/config-status.ts';
import { ControllerContext } from '../../src/controller/controller-context.ts';
import { Pass, type PassOptions } from '../../src/controller/pass.ts';
import { PassTrigger } from '../../src/controller/pass-trigger.ts';
import { reportOf, type StatusReport } from '../../src/controller/status-report.ts';
import { uiPages } from '../../src/controller/ui-pages.ts';
import { recordOutcome } from '../../src/history/outcome-branch.ts';
import type { ConfigObject, InventoryNode } from '../../src/mirror/home-port.ts';
import type { RepairLimits } from '../../src/scheduler/drift.ts';
import type { Decision, NodeFacts } from '../../src/scheduler/due.ts';
import type { JobRequest, JobRunner, JobStatus } from '../../src/scheduler/job-port.ts';
import { DEFAULT_POLICY } from '../../src/scheduler/schedule.ts';
import { Batch } from '../../src/store/model/batch.ts';
import type { StoreServer } from '../../src/store/server/serve.ts';
import { Store } from '../../src/store/store.ts';
import { serveStore } from './http.ts';
import { macOf, numberedNode, numberOf } from './numbered-node.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** Duration of a run and of an observation. */
const JOB_MS = 5_000;
const BEGAN = Date.UTC(2026, 0, 1);

export interface ObservedFleetOptions {
  /** False: no observation starts. */
  readonly observes?: boolean;
  readonly drift?: 'repair' | 'report';
}

/** A fleet whose nodes are all configured, as a folder with its store. Each test opens a copy. */
export interface ConfiguredFleet extends AsyncDisposable {
  readonly dir: string;
  readonly count: number;
}

type NewPass = Pick<PassOptions, 'runner' | 'observes'> & { policy?: Partial<PassOptions['policy']> };

interface Started {
  readonly request: JobRequest;
  readonly at: number;
}

export class ObservedFleet implements AsyncDisposable, JobRunner {
  /** Milliseconds since 1970; commits are dated by it. */
  now = BEGAN;
  /** Time between two passes. */
  stepMs = 1_000;
  statusWrites = 0;
  readonly observed: { readonly node: string; readonly at: number }[] = [];
  readonly ran: { readonly node: string; readonly at: number }[] = [];
  /** Real duration of each pass of `run`. */
  readonly passMs: number[] = [];
  /** Nodes whose host differs from its commit. */
  readonly drifted = new Set<string>();
  /** Nodes whose runs fail. */
  readonly failing = new Set<string>();
  /** The list stays the same as long as no node changes, as that of an informer. */
  inventory: readonly InventoryNode[];
  readonly dir: string;
  readonly #options: ObservedFleetOptions;
  readonly #jobs = new Map<string, Started>();
  readonly #forgotten: Started[] = [];
  #config: ConfigObject;
  /** Status of the CR, as the API server keeps it. */
  #status: ConfigStatus | undefined;
  #store!: Store;
  #context!: ControllerContext;
  #pass!: Pass;

  private constructor(dir: string, count: number, options: ObservedFleetOptions) {
    this.dir = dir;
    this.#options = options;
    this.inventory = Array.from({ length: count }, (_, index) => numberedNode(index));
    this.#config = configOf(this.inventory);
  }

  /** Makes a store with one commit of main, and a commit and an outcome for each node. */
  static async configured(count: number): Promise<ConfiguredFleet> {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-observed-'));
    const fleet = new ObservedFleet(dir, count, { observes: false });
    await fleet.#open({ concurrency: 0 });
    await fleet.#pass.run();
    await fleet.#recordFirstRuns();
    await fleet.#store.close();
    return { dir, count, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
  }

  /** A new controller on a copy of a fleet, after its first pass. */
  static async open(configured: ConfiguredFleet, options: ObservedFleetOptions = {}): Promise<ObservedFleet> {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-observed-'));
    await cp(configured.dir, dir, { recursive: true });
    const fleet = new ObservedFleet(dir, configured.count, options);
    await fleet.#open();
    await fleet.#pass.run();
    if (fleet.configured !== configured.count) throw new Error(`${fleet.configured} nodes are configured`);
    return fleet;
  }

  async #open(policy: Partial<PassOptions['policy']> = {}): Promise<void> {
    this.#store = await Store.open(join(this.dir, 'store.git'), { clock: () => this.now });
    this.#context = this.#newContext();
    this.#pass = this.#newPass(this.#context, { runner: this, policy });
  }

  #newContext(): ControllerContext {
    return new ControllerContext({
      store: this.#store,
      inventory: { list: async () => this.inventory, setPaused: async () => undefined },
      sink: {
        read: async () => this.#status,
        write: async (_, status) => {
          this.statusWrites += 1;
          this.#status = status;
        },
        remove: async () => undefined,
        emit: async () => undefined,
      },
      passTrigger: new PassTrigger(),
      log: pino({ level: 'silent' }),
      // Stops the test's clock during a pass, so that a slow machine changes nothing.
      sliceMs: Infinity,
      now: () => this.now,
    });
  }

  #newPass(context: ControllerContext, { policy, ...options }: NewPass): Pass {
    const { observes = true, drift = 'report' } = this.#options;
    return new Pass({
      context,
      source: { list: async () => ({ configs: [this.#config], doubt: () => undefined }) },
      observes,
      ...options,
      policy: { ...DEFAULT_POLICY, drift, ...policy },
    });
  }

  /** Passes, without a step of the clock, until a pass starts and writes nothing. */
  async settle(): Promise<void> {
    const done = (): string => `${this.ran.length} ${this.observed.length} ${this.commits}`;
    for (let before = ''; before !== done();) {
      before = done();
      await this.#pass.run();
    }
  }

  /** What the newest pass found. */
  get finding(): Finding {
    const { snapshot, statuses } = this.#context.reporter;
    return findingOf(snapshot!, statuses);
  }

  /** What a controller finds that begins now, and has kept nothing of earlier passes. It starts nothing. */
  async findAnew(): Promise<Finding> {
    const context = this.#newContext();
    const idle = { list: () => this.list(), start: refuse, withdraw: refuse, forget: refuse };
    const { snapshot } = await this.#newPass(context, { runner: idle, observes: false }).run();
    return findingOf(snapshot, context.reporter.statuses);
  }

  /** Records an applied run of each node in one write. Passes would need a write for each node. */
  async #recordFirstRuns(): Promise<void> {
    const batch = new Batch();
    const { reader } = this.#store;
    for (const { name, tip, tipTree } of this.#context.reporter.snapshot!.facts.values()) {
      const job = `multinic-agent-${name}-20260101000000`;
      const outcome = { ...this.#outcome(name, job, tip), tree: tipTree };
      const ended = { node: name, job, stamp: BEGAN / 1000, commit: tip, attempt: 1, outcome };
      await recordOutcome(reader, batch, undefined, ended);
    }
    await this.#store.write(batch);
  }

  /** Ends the controller and starts another one. @param lose whether observed.json is lost with the process */
  async restart({ lose = false } = {}): Promise<void> {
    await this.#context.observed.save();
    await this.#store.close();
    if (lose) await rm(join(this.dir, 'observed.json'));
    await this.#open();
  }

  /** Gives the NIC of these nodes another MTU, and that of all others 1500. */
  edit(nodes: readonly string[], mtu: number): void {
    const edited = configOf(this.inventory, (name) => (nodes.includes(name) ? mtu : 1500));
    this.#config = { ...edited, generation: this.#config.generation! + 1 };
  }

  /** Gives the CR these annotations. */
  annotate(annotations: Readonly<Record<string, string>>): void {
    this.#config = { ...this.#config, annotations };
  }

  /** Swaps the addresses of two nodes in the CR. */
  swap(one: string, other: string): void {
    const { nodeConfigs } = this.#config.spec as {
      nodeConfigs: { attachedNodeName: string; interfaces: object[] }[];
    };
    const cidrOf = (name: string): object => {
      const { cidr } = nodeConfigs.find(({ attachedNodeName: each }) => each === name)!.interfaces[0] as {
        cidr: string;
      };
      return { cidr };
    };
    const cidrs = new Map([
      [one, cidrOf(other)],
      [other, cidrOf(one)],
    ]);
    const swapped = nodeConfigs.map((entry) => ({
      ...entry,
      interfaces: entry.interfaces.map((nic) => ({ ...nic, ...cidrs.get(entry.attachedNodeName) })),
    }));
    this.#config = {
      ...this.#config,
      generation: this.#config.generation! + 1,
      spec: { nodeConfigs: swapped },
    };
  }

  get store(): Store {
    return this.#store;
  }

  get commits(): number {
    return this.#store.commitsWritten;
  }

  get configured(): number {
    return this.#context.reporter.statuses.get('multinic.io/multinic-system/cr')!.summary.configuredNodes;
  }

  /** What `multinic status` has since the newest pass. */
  get report(): StatusReport {
    const { snapshot, statuses } = this.#context.reporter;
    return reportOf(snapshot!, statuses);
  }

  /** Branches and the record of pushes, a line each. */
  async refs(): Promise<string> {
    const git = ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/audit'];
    return (await execa('git', git, { cwd: join(this.dir, 'store.git') })).stdout;
  }

  /** Serves the API and the web UI of the fleet to the callers of TOKENS. */
  async serve(): Promise<StoreServer> {
    const routes = apiRoutes(this.#context, { generations: async () => new Map() });
    return serveStore(this.#store, { routes, pages: await uiPages() });
  }

  /** Passes until the time is over. @returns how many observations began @throws if a pass cannot reconcile a node */
  async run(ms: number): Promise<number> {
    const before = this.observed.length;
    for (const end = this.now + ms; this.now < end; this.now += this.stepMs) {
      const began = performance.now();
      const { snapshot } = await this.#pass.run();
      this.passMs.push(performance.now() - began);
      const [trouble] = snapshot.report.problems;
      if (trouble !== undefined) throw new Error(`${trouble[0]}: ${trouble[1].message}`);
    }
    return this.observed.length - before;
  }

  /**
   * Passes until a condition holds.
   * @throws if the condition does not hold within this time of the test's clock
   */
  async runUntil(what: string, so: () => boolean, limitMs: number): Promise<void> {
    for (const end = this.now + limitMs; !so(); await this.run(this.stepMs))
      if (this.now > end) throw new Error(`not within ${limitMs} ms: ${what}`);
  }

  /** Reboots nodes. */
  reboot(bootID: string, nodes: (index: number) => boolean = () => true): void {
    this.inventory = this.inventory.map((node, index) => (nodes(index) ? { ...node, bootID } : node));
  }

  async list(): Promise<readonly JobStatus[]> {
    return [...this.#jobs.values()].map(({ request, at }) => {
      const { name, node, commit, attempt, mode } = request;
      const known = { name, node, commit, attempt, ...(mode !== undefined && { mode }) };
      if (this.now < at + JOB_MS) return { ...known, phase: 'running' };
      return mode === undefined
        ? { ...known, phase: 'finished', outcome: this.#endOf(request) }
        : { ...known, phase: 'finished', observation: this.#observation(request) };
    });
  }

  async start(request: JobRequest): Promise<void> {
    const { name, node, mode } = request;
    // A run waits for no observation, which drops its report then.
    for (const { request: other } of this.#jobs.values())
      if (other.node === node && (mode === 'observe' || other.mode === mode))
        throw new Error(`${node} has two Jobs: ${other.name}, ${name}`);
    this.#jobs.set(name, { request, at: this.now });
    (mode === 'observe' ? this.observed : this.ran).push({ node, at: this.now });
  }

  async withdraw(): Promise<void> {}

  async forget(name: string): Promise<void> {
    const started = this.#jobs.get(name);
    if (started !== undefined) this.#forgotten.push(started);
    this.#jobs.delete(name);
  }

  /**
   * Lists the oldest forgotten Jobs again, because a pod may outlive its Job.
   * @returns their number
   */
  bringBack(count: number): number {
    const old = this.#forgotten.slice(0, count);
    for (const each of old) this.#jobs.set(each.request.name, each);
    return old.length;
  }

  /** Changes a node's fields in the inventory. */
  change(name: string, more: Partial<InventoryNode>): void {
    this.inventory = this.inventory.map((node) => (node.name === name ? { ...node, ...more } : node));
  }

  #endOf({ name, node, commit }: JobRequest): Outcome {
    this.drifted.delete(node);
    const tree = this.#context.reporter.snapshot?.facts.get(node)?.tipTree;
    if (this.failing.has(node)) {
      const message = 'the address is taken';
      return { ...this.#outcome(node, name, commit), result: 'Failed', reason: 'AddressTaken', message };
    }
    return { ...this.#outcome(node, name, commit), ...(tree !== undefined && { tree }) };
  }

  #outcome(node: string, job: string, commit: JobRequest['commit']): Outcome {
    const nothing = { written: [], removed: [], missing: [], found: [] };
    return { ...this.#report(node, job, commit), result: 'Applied', step: 'finish', ...nothing };
  }

  #observation({ name, node, commit }: JobRequest): Observation {
    const report = { ...this.#report(node, name, commit), mode: 'observe', step: 'report' } as const;
    if (!this.drifted.has(node)) return { ...report, result: 'Observed', differences: [] };
    const differences = [{ kind: 'LinkDown', name: 'multinic0', mac: macOf(node) } as const];
    return { ...report, result: 'Drifted', differences, digest: 'd'.repeat(64) };
  }

  #report(node: string, job: string, commit: JobRequest['commit']) {
    const { machineId, bootID: bootId } = this.inventory[numberOf(node)]!;
    const startedAt = new Date(this.now).toISOString();
    return { version: 1, node, job, commit, machineId, bootId, startedAt, durationMs: 1 } as const;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** What a pass found, as far as a later controller has to find the same. */
export interface Finding {
  readonly facts: ReadonlyMap<string, NodeFacts>;
  readonly decisions: ReadonlyMap<string, Decision>;
  readonly views: readonly NodeView[];
  readonly warnings: ReadonlyMap<string, readonly Problem[]>;
  readonly repairs: RepairLimits | undefined;
  readonly statuses: ReadonlyMap<string, ConfigStatus>;
}

function findingOf(snapshot: Snapshot, statuses: ReadonlyMap<string, ConfigStatus>): Finding {
  const { facts, decisions, report, repairs } = snapshot;
  return { facts, decisions, views: allViews(snapshot), warnings: report.warnings, repairs, statuses };
}

const refuse = async (): Promise<void> => {
  throw new Error('a controller that only looks has something to do');
};

/** The largest number of starts within one second. */
export function fullestSecond(started: readonly { readonly at: number }[]): number {
  const seconds = Map.groupBy(started, ({ at }) => Math.floor(at / 1000));
  return Math.max(0, ...[...seconds.values()].map(({ length }) => length));
}

function configOf(
  nodes: readonly InventoryNode[],
  mtuOf: (node: string) => number = () => 1500,
): ConfigObject {
  return {
    ref: { group: 'multinic.io', namespace: 'multinic-system', name: 'cr' },
    uid: 'uid',
    generation: 1,
    annotations: {},
    writer: { name: 'viola', email: 'viola@example.org' },
    spec: {
      nodeConfigs: nodes.map(({ name, systemUUID }, index) => ({
        attachedNodeId: systemUUID,
        attachedNodeName: name,
        interfaces: [
          {
            macAddress: macOf(`node-${index}`),
            cidr: `10.${index >> 8}.${index & 255}.10/24`,
            mtu: mtuOf(name),
          },
        ],
      })),
    },
  };
}
