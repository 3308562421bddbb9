// A fleet on a real store whose hosts are looked at for hours, by a clock that the test moves: what observations write.
// OBSERVED_NODES=5000 takes a fleet of that size.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Observation } from '../src/api/observation.ts';
import type { Outcome } from '../src/api/outcome.ts';
import { ControllerContext } from '../src/controller/controller-context.ts';
import { Pass } from '../src/controller/pass.ts';
import { PassTrigger } from '../src/controller/pass-trigger.ts';
import type { ConfigObject, InventoryNode } from '../src/mirror/home-port.ts';
import type { JobRequest, JobRunner, JobStatus } from '../src/scheduler/job-port.ts';
import { DEFAULT_POLICY } from '../src/scheduler/schedule.ts';
import { Store } from '../src/store/store.ts';

const NODES = Number(process.env['OBSERVED_NODES'] ?? 80);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const IS_LARGE = NODES > 1_000;
/** Time between two passes. */
const STEP_MS = IS_LARGE ? 1_000 : 30_000;
const MAC = '02:00:00:00:00:00';

const two = (value: number): string => value.toString(16).padStart(2, '0');
const nodes: InventoryNode[] = Array.from({ length: NODES }, (_, index) => ({
  name: `node-${index}`,
  systemUUID: `0c497169-a104-4448-afde-5ed12000${two(index >> 8)}${two(index & 255)}`,
  machineId: `machine-${index}`,
  bootID: 'boot',
  osImage: 'Ubuntu 22.04.4 LTS',
  ready: true,
  paused: false,
  annotations: {},
}));
const config: ConfigObject = {
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
          macAddress: `02:00:00:00:${two(index >> 8)}:${two(index & 255)}`,
          cidr: `10.${index >> 8}.${index & 255}.10/24`,
          mtu: 1500,
        },
      ],
    })),
  },
};

/** A controller's passes on a store; runs and observations end at once. */
class Controller implements AsyncDisposable, JobRunner {
  /** Milliseconds since 1970; commits are dated by it. */
  now = Date.UTC(2026, 0, 1);
  statusWrites = 0;
  readonly observed: { readonly node: string; readonly at: number }[] = [];
  /** Nodes whose host differs from its commit. */
  readonly drifted = new Set<string>();
  readonly #dir: string;
  readonly #observes: boolean;
  readonly #ended = new Map<string, JobRequest>();
  #store!: Store;
  #context!: ControllerContext;
  #pass!: Pass;

  private constructor(dir: string, observes: boolean) {
    this.#dir = dir;
    this.#observes = observes;
  }

  /** All nodes are configured. */
  static async start({ observes = true } = {}): Promise<Controller> {
    const controller = new Controller(await mkdtemp(join(tmpdir(), 'multinic-observe-')), observes);
    await controller.#open();
    for (let pass = 0; pass < 3; pass += 1) await controller.#pass.run();
    if (controller.configured !== NODES) throw new Error(`${controller.configured} nodes are configured`);
    return controller;
  }

  async #open(): Promise<void> {
    this.#store = await Store.open(join(this.#dir, 'store.git'), { clock: () => this.now });
    this.#context = new ControllerContext({
      store: this.#store,
      inventory: { list: async () => nodes, setPaused: async () => undefined },
      sink: {
        read: async () => undefined,
        write: async () => {
          this.statusWrites += 1;
        },
        remove: async () => undefined,
        emit: async () => undefined,
      },
      passTrigger: new PassTrigger(),
      log: pino({ level: 'silent' }),
      now: () => this.now,
    });
    this.#pass = new Pass({
      context: this.#context,
      source: { list: async () => ({ configs: [config], doubt: () => undefined }) },
      runner: this,
      policy: { ...DEFAULT_POLICY, drift: 'report', concurrency: NODES },
      observes: this.#observes,
    });
  }

  /** @param lose whether observed.json is lost with the process */
  async restart({ lose = false } = {}): Promise<void> {
    await this.#context.observed.save();
    await this.#store.close();
    if (lose) await rm(join(this.#dir, 'observed.json'));
    await this.#open();
  }

  get commits(): number {
    return this.#store.commitsWritten;
  }

  get configured(): number {
    return this.#context.reporter.statuses.get('multinic.io/multinic-system/cr')!.summary.configuredNodes;
  }

  /** @returns how many observations began */
  async run(ms: number): Promise<number> {
    const before = this.observed.length;
    for (const end = this.now + ms; this.now < end; this.now += STEP_MS) await this.#pass.run();
    return this.observed.length - before;
  }

  async list(): Promise<readonly JobStatus[]> {
    return [...this.#ended.values()].map((request) => {
      const { name, node, commit, attempt, mode } = request;
      const known = { name, node, commit, attempt, phase: 'finished' } as const;
      return mode === undefined
        ? { ...known, outcome: this.#outcome(request) }
        : { ...known, mode, observation: this.#observation(request) };
    });
  }

  async start(request: JobRequest): Promise<void> {
    this.#ended.set(request.name, request);
    if (request.mode === 'observe') this.observed.push({ node: request.node, at: this.now });
  }

  async withdraw(): Promise<void> {}

  async forget(name: string): Promise<void> {
    this.#ended.delete(name);
  }

  #outcome({ name, node, commit }: JobRequest): Outcome {
    const tree = this.#context.reporter.snapshot?.facts.get(node)?.tipTree;
    return {
      ...this.#report(name, node, commit),
      result: 'Applied',
      step: 'finish',
      ...(tree !== undefined && { tree }),
      written: [],
      removed: [],
      missing: [],
      found: [],
    };
  }

  #observation({ name, node, commit }: JobRequest): Observation {
    const report = { ...this.#report(name, node, commit), mode: 'observe', step: 'report' } as const;
    if (!this.drifted.has(node)) return { ...report, result: 'Observed', differences: [] };
    const differences = [{ kind: 'LinkDown', name: 'multinic0', mac: MAC } as const];
    return { ...report, result: 'Drifted', differences, digest: 'd'.repeat(64) };
  }

  #report(job: string, node: string, commit: JobRequest['commit']) {
    const { machineId, bootID: bootId } = nodes.find(({ name }) => name === node)!;
    const startedAt = new Date(this.now).toISOString();
    return { version: 1, node, job, commit, machineId, bootId, startedAt, durationMs: 1 } as const;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store.close();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

test('hours of observations make no commit and no status write while nothing drifts', async () => {
  await using looks = await Controller.start();
  await using blind = await Controller.start({ observes: false });
  // A large fleet is looked at for the minute in which the first intervals end: the passes of hours would take hours.
  const [skippedMs, spanMs, least] = IS_LARGE ? [0.9 * HOUR, MINUTE, 100] : [0, 2 * HOUR, NODES];
  const before = [looks, blind].map(({ commits, statusWrites }) => ({ commits, statusWrites }));
  for (const each of [looks, blind]) each.now += skippedMs;
  const began = performance.now();
  const count = await looks.run(spanMs);
  const took = performance.now() - began;
  expect(await blind.run(spanMs)).toBe(0);
  console.log(
    `${NODES} nodes: ${count} observations in ${spanMs / MINUTE} minutes, ${took.toFixed(0)} ms of ${spanMs / STEP_MS} passes`,
  );
  // An interval is an hour, a fifth longer or shorter.
  expect(count).toBeGreaterThanOrEqual(least);
  expect([looks, blind].map(({ commits, statusWrites }) => ({ commits, statusWrites }))).toEqual(before);
}, 600_000);

test('a restart makes no storm, with or without observed.json', async () => {
  await using fleet = await Controller.start();
  const minutes = IS_LARGE ? 1 : 30;
  if (IS_LARGE) fleet.now += HOUR;
  await fleet.run(IS_LARGE ? MINUTE : HOUR);
  const fair = NODES * (minutes / 60);
  for (const lose of [false, true]) {
    await fleet.restart({ lose });
    const { commits, statusWrites } = fleet;
    expect(await fleet.run(minutes * MINUTE)).toBeLessThan(fair * 1.5 + 20);
    expect(fleet.commits).toBe(commits);
    // A new process writes what it finds once.
    expect(fleet.statusWrites - statusWrites).toBeLessThanOrEqual(1);
  }
  const perSecond = Map.groupBy(fleet.observed, ({ at }) => Math.floor(at / 1000));
  for (const began of perSecond.values()) expect(began.length).toBeLessThanOrEqual(2);
}, 600_000);

test.skipIf(IS_LARGE)(
  'a drift is one commit, however often it is seen, and its end is another',
  async () => {
    await using fleet = await Controller.start();
    await fleet.run(2 * HOUR);
    const { commits, statusWrites } = fleet;
    fleet.drifted.add('node-0');
    await fleet.run(3 * HOUR);
    expect(fleet.observed.filter(({ node }) => node === 'node-0').length).toBeGreaterThan(3);
    expect(fleet.commits).toBe(commits + 1);
    expect(fleet.configured).toBe(NODES - 1);
    const told = fleet.statusWrites;
    expect(told - statusWrites).toBeLessThanOrEqual(2);
    fleet.drifted.clear();
    await fleet.run(1.5 * HOUR);
    expect(fleet.commits).toBe(commits + 2);
    expect(fleet.configured).toBe(NODES);
    expect(fleet.statusWrites - told).toBeLessThanOrEqual(2);
  },
  600_000,
);
