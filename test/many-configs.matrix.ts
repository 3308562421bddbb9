// The first pass over 500 CRs of one node each: Jobs start and outcomes are recorded while the CRs are mirrored.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ControllerContext } from '../src/controller/controller-context.ts';
import { PassTrigger } from '../src/controller/pass-trigger.ts';
import { Pass } from '../src/controller/pass.ts';
import { OUTCOMES } from '../src/history/refs.ts';
import type { ConfigObject, InventoryNode } from '../src/mirror/home-port.ts';
import type { JobRequest, JobRunner, JobStatus } from '../src/scheduler/job-port.ts';
import { Store } from '../src/store/store.ts';
import { crowding } from './support/crowding.ts';
import { inventoryNode } from './support/fleet.ts';

const COUNT = 500;
/** Longest pass in milliseconds on a machine of its own. */
const LIMIT_MS = 5_000;
const SLICE_MS = 1_000;

/** Ends every Job at once. The agents never report, so each outcome is Unknown. */
class EndingJobs implements JobRunner {
  readonly started: JobRequest[] = [];
  readonly #forgotten = new Set<string>();
  async list(): Promise<readonly JobStatus[]> {
    return this.started
      .filter(({ name }) => !this.#forgotten.has(name))
      .map(({ name, node, commit, attempt }) => ({ name, node, commit, attempt, phase: 'finished' }));
  }
  async start(request: JobRequest): Promise<void> {
    this.started.push(request);
  }
  async withdraw(): Promise<void> {}
  async forget(name: string): Promise<void> {
    this.#forgotten.add(name);
  }
}

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-configs-'));
  store = await Store.open(join(dir, 'store.git'));
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

function configOf(node: InventoryNode, index: number): ConfigObject {
  const [high, low] = [Math.floor(index / 200), index % 200];
  const macAddress = [2, 0, 0, 2, high, low].map((part) => part.toString(16).padStart(2, '0')).join(':');
  const nic = { macAddress, cidr: `10.${high}.${low}.10/24`, mtu: 1500 };
  const entry = { attachedNodeId: node.systemUUID, attachedNodeName: node.name, interfaces: [nic] };
  return {
    ref: { group: 'multinic.io', namespace: 'many', name: `cr-${index}` },
    uid: `uid-${index}`,
    generation: 1,
    annotations: {},
    writer: { name: 'viola', email: 'viola@example.org' },
    spec: { nodeConfigs: [entry] },
  };
}

test(
  'the first pass over 500 CRs is split into many: outcomes are recorded and Jobs start in between',
  { timeout: 3_600_000 },
  async () => {
    const nodes = Array.from({ length: COUNT }, (_, index) => inventoryNode(`m${index}`));
    const configs = nodes.map(configOf);
    const jobs = new EndingJobs();
    const context = new ControllerContext({
      store,
      inventory: { list: async () => nodes, setPaused: async () => undefined },
      sink: {
        read: async () => undefined,
        write: async () => undefined,
        remove: async () => undefined,
        emit: async () => undefined,
      },
      passTrigger: new PassTrigger(),
      log: pino({ level: 'silent' }),
      sliceMs: SLICE_MS,
    });
    const source = { list: async () => ({ configs, doubt: () => undefined }) };
    const pass = new Pass({ context, source, runner: jobs });
    const passes: { ms: number; alone: number; started: number; recorded: number; behind: number }[] = [];
    const whole = performance.now();
    for (let behind = COUNT; behind > 0;) {
      const crowded = crowding();
      const began = performance.now();
      behind = (await pass.run()).snapshot.report.behind.size;
      const ms = Math.round(performance.now() - began);
      const alone = Math.round(ms / Math.max(crowded, crowding()));
      const recorded = (await store.reader.refs(OUTCOMES)).size;
      passes.push({ ms, alone, started: jobs.started.length, recorded, behind });
      console.log(`pass ${passes.length}: ${ms} ms, ${alone} on a machine of its own, ${behind} CRs behind`);
    }
    const longest = Math.max(...passes.map(({ ms }) => ms));
    const longestAlone = Math.max(...passes.map(({ alone }) => alone));
    const seconds = ((performance.now() - whole) / 1000).toFixed(1);
    console.log(
      `${COUNT} CRs: ${passes.length} passes in ${seconds} s, the longest ${longest} ms, ${longestAlone} on a machine of its own`,
    );
    expect((await store.reader.refs('refs/heads/node/')).size).toBe(COUNT);
    expect(passes.length).toBeGreaterThan(2);
    // The first pass may have time for main alone. Every later one starts Jobs; outcomes are recorded as time allows.
    for (const [index, { started, recorded }] of passes.entries()) {
      const before = passes[index - 1] ?? { started: -1, recorded: 0 };
      expect(started).toBeGreaterThan(before.started);
      expect(recorded).toBeGreaterThanOrEqual(before.recorded);
    }
    const recording = passes.filter(({ recorded }, index) => recorded > (passes[index - 1]?.recorded ?? 0));
    expect(recording.length).toBeGreaterThan(passes.length / 2);
    // The outcomes that are left are recorded by later passes.
    while ((await store.reader.refs(OUTCOMES)).size < COUNT) await pass.run();
    expect(longestAlone).toBeLessThan(LIMIT_MS);
  },
);
