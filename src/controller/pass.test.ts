// A pass on a real store, between a home that lives in memory and a runner whose jobs end as a test says.
import type { Oid } from '../api/oid.ts';
import { oid } from '../../test/support/oid.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { InventoryNode, ConfigObject } from '../mirror/home-port.ts';
import { Outcomes } from '../history/outcome-branch.ts';
import { jobName, jobStamp, observationName } from '../scheduler/job-name.ts';
import type { Observation } from '../api/observation.ts';
import type { Outcome } from '../api/outcome.ts';
import { DEFAULT_POLICY } from '../scheduler/schedule.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/job-port.ts';
import { Store } from '../store/store.ts';
import { ControllerContext } from './controller-context.ts';
import { Loop } from './loop.ts';
import { Pass } from './pass.ts';
import type { PausableInventory, StatusSink } from './sink-port.ts';
import { nodeViews } from './config-status.ts';
import { PassTrigger } from './pass-trigger.ts';

const NOW = Date.UTC(2026, 0, 1);

class Jobs implements JobRunner {
  readonly started: JobRequest[] = [];
  readonly forgotten: string[] = [];
  ended: JobStatus[] = [];
  async list(): Promise<readonly JobStatus[]> {
    return this.ended.filter(({ name }) => !this.forgotten.includes(name));
  }
  async start(request: JobRequest): Promise<void> {
    this.started.push(request);
  }
  async withdraw(_name: string, _options?: { readonly again?: boolean }): Promise<void> {}
  async forget(name: string): Promise<void> {
    this.forgotten.push(name);
  }
}

let dir: string;
let store: Store;
let nodes: InventoryNode[];
let jobs: Jobs;
let inventory: PausableInventory;
let sink: StatusSink;
/** Texts of the CR's status and of events. */
let said: string[];
let context: ControllerContext;
let pass: Pass;
/** Milliseconds since 1970. */
let clock: number;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-controller-'));
  store = await Store.open(join(dir, 'store.git'));
  clock = NOW;
  nodes = [worker(1)];
  jobs = new Jobs();
  said = [];
  inventory = { list: async () => nodes, setPaused: async () => undefined };
  sink = {
    read: async () => undefined,
    write: async () => void said.push('status'),
    remove: async () => undefined,
    emit: async ({ reason }) => void said.push(reason),
  };
  const log = pino({ level: 'silent' });
  context = new ControllerContext({
    store,
    inventory,
    sink,
    passTrigger: new PassTrigger(),
    log,
    now: () => clock,
  });
  pass = new Pass({
    context,
    source: { list: async () => ({ configs: [config()], doubt: () => undefined }) },
    runner: jobs,
    policy: { ...DEFAULT_POLICY, concurrency: 100 },
  });
  await pass.run();
  said = [];
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

function worker(index: number): InventoryNode {
  return {
    name: `worker-${index}`,
    systemUUID: nodeId(index),
    machineId: 'machine',
    bootID: 'boot',
    osImage: 'Ubuntu 22.04.4 LTS',
    ready: true,
    paused: false,
    annotations: {},
  };
}

function nodeId(index: number): string {
  return `0c497169-a104-4448-afde-5ed120df9c${index.toString(16).padStart(2, '0')}`;
}

/** A CR with one interface for each node. */
function config(): ConfigObject {
  const nodeConfigs = nodes.map(({ name, systemUUID }, index) => ({
    attachedNodeId: systemUUID,
    attachedNodeName: name,
    interfaces: [
      {
        macAddress: `fa:16:3e:5e:62:${index.toString(16).padStart(2, '0')}`,
        cidr: `192.168.1.${100 + index}/24`,
        mtu: 1500,
      },
    ],
  }));
  return {
    ref: { group: 'multinic.io', namespace: 'multinic-system', name: 'cr' },
    uid: 'uid',
    generation: nodes.length,
    annotations: {},
    writer: { name: 'viola', email: 'viola@example.org' },
    spec: { nodeConfigs },
  };
}

/** Takes the store over while the pass asks for the nodes. */
function takeOverMeanwhile(): void {
  vi.spyOn(inventory, 'list').mockImplementationOnce(async () => {
    await (await Store.open(store.dir)).close();
    return nodes;
  });
}

function outcomes(): Promise<Oid | undefined> {
  return store.reader.ref('refs/heads/outcome/worker-1');
}

function endedWithoutReport({ name, node, commit, attempt }: JobRequest): JobStatus {
  return { name, node, commit, attempt, phase: 'finished' };
}

function endedWell(job: JobRequest): JobStatus {
  const { name, node, commit } = job;
  const outcome: Outcome = {
    version: 1,
    node,
    job: name,
    commit,
    result: 'Applied',
    step: 'finish',
    tree: context.reporter.snapshot!.facts.get(node)!.tipTree,
    machineId: 'machine',
    bootId: 'boot',
    startedAt: new Date(NOW).toISOString(),
    durationMs: 1,
    written: [],
    removed: [],
    missing: [],
    found: [],
  };
  return { ...endedWithoutReport(job), outcome };
}

test('a job that ended is one commit, and only then may it go', async () => {
  const [job] = jobs.started;
  jobs.ended = [endedWithoutReport(job!)];
  await pass.run();
  const { trailers } = await store.reader.commit((await outcomes())!);
  expect(trailers).toContainEqual(['Job', job!.name]);
  expect(trailers).toContainEqual(['Result', 'Unknown']);
  expect(jobs.forgotten).toEqual([job!.name]);
});

test('a stuck job gives way to another node, and its node keeps the reason', async () => {
  const { name, node, commit, attempt } = jobs.started[0]!;
  const stuck = { name, node, commit, attempt, phase: 'waiting', late: true, message: 'no image' } as const;
  nodes = [worker(1), worker(2)];
  jobs.ended = [{ ...stuck, stuck: true }];
  const withdraw = vi.spyOn(jobs, 'withdraw');
  const source = { list: async () => ({ configs: [config()], doubt: () => undefined }) };
  const one = new Pass({ context, source, runner: jobs, policy: { ...DEFAULT_POLICY, concurrency: 1 } });
  await one.run();
  expect(withdraw.mock.calls).toEqual([[name, { again: true }]]);
  expect(jobs.started).toHaveLength(1);
  jobs.ended = [{ ...stuck, retryAt: NOW + 60_000 }];
  const { snapshot } = await one.run();
  expect(jobs.started.map((request) => request.node)).toEqual(['worker-1', 'worker-2']);
  expect(nodeViews(snapshot)).toMatchObject([{ reason: 'JobNotStarting', message: 'no image' }, {}]);
});

test('a job that is older than what is recorded has been recorded, however far back that is: it may go', async () => {
  const [job] = jobs.started;
  jobs.ended = [endedWithoutReport(job!)];
  await pass.run();
  const recorded = await outcomes();
  const earlier = jobName(nodeId(1), jobStamp(job!.name)! - 1);
  jobs.ended = [{ ...endedWithoutReport(job!), name: earlier }];
  await pass.run();
  expect(await outcomes()).toBe(recorded);
  expect(jobs.forgotten).toEqual([job!.name, earlier]);
});

test.each([oid('f'.repeat(40)), 'ffff', ''])(
  'a job of a commit that is gone (%j): what its host has, a run is asked to say, once',
  async (commit) => {
    const [job] = jobs.started;
    jobs.ended = [endedWell(job!)];
    await pass.run();
    expect(jobs.started).toHaveLength(1);
    const gone = jobName(nodeId(1), jobStamp(job!.name)! + 5);
    jobs.ended = [{ ...endedWithoutReport(job!), name: gone, commit }];
    await pass.run();
    const asked = await outcomes();
    const { trailers } = await store.reader.commit(asked!);
    expect(trailers).toEqual(
      expect.arrayContaining([
        ['Request', 'retry'],
        ['Job', gone],
      ]),
    );
    expect(jobs.forgotten).toEqual([job!.name, gone]);
    expect(jobs.started[1]).toMatchObject({ commit: job!.commit, node: job!.node });
    expect(jobStamp(jobs.started[1]!.name)).toBeGreaterThan(jobStamp(gone)!);
    // Restores the state after a kill between the two writes.
    jobs.forgotten.pop();
    await pass.run();
    expect(await outcomes()).toBe(asked);
    expect(jobs.forgotten).toEqual([job!.name, gone]);
  },
);

test('a job of a commit that is gone, on a node that has no branch: it may go', async () => {
  const gone = { ...endedWithoutReport(jobs.started[0]!), node: 'nobody', commit: oid('f'.repeat(40)) };
  jobs.ended = [gone];
  await pass.run();
  expect(await store.reader.refs('refs/heads/outcome/')).toEqual(new Map());
  expect(jobs.forgotten).toEqual([gone.name]);
});

test('a pass in whose midst the store is replaced reports nothing', async () => {
  nodes = [{ ...worker(1), ready: false }];
  takeOverMeanwhile();
  await expect(pass.run()).rejects.toMatchObject({ code: 'Fenced' });
  expect(said).toEqual([]);
});

test('a pass that fails because the store was replaced is not reported', async () => {
  takeOverMeanwhile();
  vi.spyOn(store.reader, 'commit').mockRejectedValue(new TypeError('what is not there any more'));
  await expect(new Loop(context, pass, {}).run()).rejects.toMatchObject({ code: 'Fenced' });
  expect(said).toEqual([]);
});

test('a pass that ends because the store was replaced starts no further job', async () => {
  nodes = Array.from({ length: 20 }, (_, index) => worker(index + 1));
  let replaced: Promise<void> | undefined;
  const start = vi.spyOn(jobs, 'start').mockImplementation(async () => {
    await (replaced ??= Store.open(store.dir).then((other) => other.close()));
    throw new TypeError('no answer');
  });
  await expect(pass.run()).rejects.toMatchObject({ code: 'Fenced' });
  await pause(100);
  expect(start).toHaveBeenCalledTimes(8);
});

test('a node that has to wait is looked at again soon', async () => {
  expect((await pass.run()).nextPassAt).toBeUndefined();
  vi.spyOn(jobs, 'start').mockRejectedValueOnce(new TypeError('no answer'));
  expect((await pass.run()).nextPassAt).toBe(NOW + 5_000);
});

test('a retry of all failed nodes asks for one run of each', async () => {
  const by = { name: 'p', email: 'p@example.org', principal: 'p' };
  await expect(context.commands.retryFailed(by)).rejects.toMatchObject({ code: 'NothingToRetry' });
  vi.spyOn(context.reporter, 'failedNodes', 'get').mockReturnValue(['worker-1']);
  expect((await context.commands.retryFailed(by)).moved).toEqual([
    { node: 'worker-1', commit: await outcomes() },
  ]);
  const request = await store.reader.commit((await outcomes())!);
  expect(request.trailers).toContainEqual(['Request', 'retry']);
});

test('a host that cannot be looked at is not the one that waits longest for it', async () => {
  jobs.ended = [endedWell(jobs.started[0]!)];
  await pass.run();
  expect(context.reporter.snapshot!.observing!.oldest?.node).toBe('worker-1');
  nodes = [{ ...worker(1), ready: false }];
  await pass.run();
  expect(context.reporter.snapshot!.observing!.oldest).toBeUndefined();
});

/** An observation of the host of a run that has ended. @param began seconds since 1970 */
function looked(
  { node, commit }: JobRequest,
  began: number,
  result: 'Observed' | 'Drifted' | 'Busy',
): JobStatus {
  const name = observationName(nodeId(1), began);
  const drift = {
    differences: [{ kind: 'LinkDown', name: 'multinic0' }],
    digest: 'd'.repeat(64),
  } as const;
  const observation: Observation = {
    version: 1,
    mode: 'observe',
    node,
    job: name,
    commit,
    result,
    step: 'report',
    machineId: 'machine',
    bootId: 'boot',
    startedAt: new Date(clock).toISOString(),
    durationMs: 1,
    differences: [],
    ...(result === 'Drifted' && { ...drift, differences: [...drift.differences] }),
  };
  return { name, node, commit, attempt: 1, mode: 'observe', phase: 'finished', observation };
}

test('a drift that was found before a run came is dropped, and the host is looked at a minute after', async () => {
  const [run] = jobs.started;
  const { node } = run!;
  const began = jobStamp(run!.name)!;
  jobs.ended = [endedWell(run!)];
  await pass.run();
  clock = (began + 10) * 1000;
  jobs.ended = [looked(run!, began - 5, 'Drifted')];
  const before = await outcomes();
  await pass.run();
  expect(await outcomes()).toBe(before);
  expect(jobs.started).toHaveLength(1);
  clock += 60_000;
  await pass.run();
  expect(jobs.started.at(-1)).toMatchObject({ mode: 'observe', node });
  // The same, found since the run, is a drift.
  jobs.ended = [looked(run!, began + 71, 'Drifted')];
  await pass.run();
  expect(await outcomes()).not.toBe(before);
});

test('a request waits after an observation that found nothing out, unless the request came later', async () => {
  const [run] = jobs.started;
  const { node } = run!;
  jobs.ended = [endedWell(run!)];
  await pass.run();
  const looks = (): JobRequest[] => jobs.started.filter(({ mode }) => mode === 'observe');
  const end = (): void => void (jobs.ended = [looked(run!, jobStamp(looks().at(-1)!.name)!, 'Busy')]);
  clock = (jobStamp(run!.name)! + 10) * 1000;
  await context.observed.ask([node], clock);
  await pass.run();
  clock += 5_000;
  end();
  await pass.run();
  expect(looks()).toHaveLength(1);
  clock += 60_000;
  await pass.run();
  expect(looks()).toHaveLength(2);
  clock += 5_000;
  await context.observed.ask([node], clock);
  end();
  await pass.run();
  expect(looks()).toHaveLength(3);
});

test('an observation that an earlier controller began answers no later request', async () => {
  const [run] = jobs.started;
  jobs.ended = [endedWell(run!)];
  await pass.run();
  const { node } = run!;
  const began = jobStamp(run!.name)! + 10;
  clock = (began + 60) * 1000;
  await context.observed.ask([node], clock - 1000);
  jobs.ended = [looked(run!, began, 'Observed')];
  await pass.run();
  expect(jobs.started.at(-1)).toMatchObject({ mode: 'observe', node });
});

describe('all nodes', () => {
  const by = { name: 'p', email: 'p@example.org', principal: 'p' };
  let set: (readonly [readonly string[], boolean])[];

  beforeEach(() => {
    // No CR names worker-2, so it has no branch.
    nodes = [worker(1), worker(2), { ...worker(3), paused: true }];
    set = [];
    inventory.setPaused = async (names, paused) => {
      set.push([names, paused]);
      nodes = nodes.map((node) => (names.includes(node.name) ? { ...node, paused } : node));
    };
  });

  test('are paused at once, and those with a branch have the record', async () => {
    const { moved, skipped } = await context.commands.setAllPaused(true, by);
    expect(set).toEqual([[['worker-1', 'worker-2'], true]]);
    expect(moved).toEqual([{ node: 'worker-1', commit: await outcomes() }, { node: 'worker-2' }]);
    expect(skipped).toEqual([]);
    const request = await store.reader.commit((await outcomes())!);
    expect(request.trailers).toContainEqual(['Request', 'pause']);
  });

  test('are resumed likewise, and once is enough', async () => {
    await context.commands.setAllPaused(true, by);
    const { moved } = await context.commands.setAllPaused(false, by);
    expect(moved.map(({ node }) => node)).toEqual(['worker-1', 'worker-2', 'worker-3']);
    expect(await context.commands.setAllPaused(false, by)).toEqual({ moved: [], skipped: [] });
    expect(set).toHaveLength(2);
  });

  test('a dry run names those that would change, and changes nothing', async () => {
    const before = await outcomes();
    const preview = await context.commands.setAllPaused(true, by, { dryRun: true });
    expect(preview).toMatchObject({ dryRun: true, moved: [], skipped: [] });
    expect('nodes' in preview && preview.nodes.map(({ node }) => node)).toEqual(['worker-1', 'worker-2']);
    expect([set, await outcomes()]).toEqual([[], before]);
  });

  test('a node that its CR pauses stays so, and resuming says why', async () => {
    nodes = [worker(1)];
    const paused = { ...config(), generation: 2, annotations: { 'multinic.io/paused': 'true' } };
    const source = { list: async () => ({ configs: [paused], doubt: () => undefined }) };
    await new Pass({ context, source, runner: jobs }).run();
    const reason = expect.stringContaining('take the annotation off the CR');
    expect(await context.commands.setAllPaused(false, by)).toEqual({
      moved: [],
      skipped: [{ node: 'worker-1', reason }],
    });
    expect((await context.commands.setAllPaused(true, by)).skipped).toEqual([]);
  });

  test('a dry run for one node changes nothing either', async () => {
    const before = await outcomes();
    for (const preview of [
      await context.commands.setPaused('worker-1', true, by, { dryRun: true }),
      await context.commands.retry('worker-1', by, { dryRun: true }),
    ])
      expect(preview).toMatchObject({ dryRun: true, nodes: [{ node: 'worker-1' }] });
    const unknown = { code: 'NoSuchNode' };
    const { commands } = context;
    await expect(commands.setPaused('nobody', true, by, { dryRun: true })).rejects.toMatchObject(unknown);
    await expect(commands.retry('nobody', by, { dryRun: true })).rejects.toMatchObject(unknown);
    expect([set, await outcomes()]).toEqual([[], before]);
  });
});

test('the runs of a node that left and retired are remembered no more', async () => {
  const recent = vi.spyOn(Outcomes.prototype, 'recent');
  nodes = [worker(1), worker(2)];
  await pass.run();
  jobs.ended = jobs.started.map(endedWell);
  await pass.run();
  const [remembered] = recent.mock.contexts as Outcomes[];
  recent.mockRestore();
  const tips = await store.refs.below('refs/heads/outcome/');
  /** Commits that are read for the runs of a node. */
  const readsFor = async (node: string): Promise<number> => {
    const reads = vi.spyOn(store.reader, 'commit');
    expect(await remembered!.recent(node, tips.get(`refs/heads/outcome/${node}`))).toHaveLength(1);
    const { length } = reads.mock.calls;
    reads.mockRestore();
    return length;
  };
  expect([await readsFor('worker-1'), await readsFor('worker-2')]).toEqual([0, 0]);
  nodes = [worker(1)];
  const left = { ...config(), generation: 3 };
  const source = { list: async () => ({ configs: [left], doubt: () => undefined }) };
  const without = new Pass({ context, source, runner: jobs });
  await without.run();
  clock = Date.now() + 25 * 3_600_000;
  await without.run();
  expect((await pass.run()).snapshot.report.retired).toBe(1);
  expect([await readsFor('worker-1'), (await readsFor('worker-2')) > 0]).toEqual([0, true]);
});

test('a job that is gone before its agent began is made again under its name, and no attempt', async () => {
  await pass.run();
  expect(jobs.started).toHaveLength(2);
  expect(jobs.started[1]).toEqual(jobs.started[0]);
  expect(await outcomes()).toBeUndefined();
});

/** A CR for each node. */
function configs(): ConfigObject[] {
  return nodes.map((node, index) => {
    const { nodeConfigs } = config().spec as { nodeConfigs: object[] };
    const ref = { group: 'multinic.io', namespace: 'multinic-system', name: `cr-of-${node.name}` };
    return { ...config(), ref, uid: ref.name, generation: 1, spec: { nodeConfigs: [nodeConfigs[index]] } };
  });
}

function passOf(sliceMs: number): Pass {
  const { inventory: home, passTrigger, log } = context;
  context = new ControllerContext({
    store,
    inventory: home,
    sink,
    passTrigger,
    log,
    now: () => NOW,
    sliceMs,
  });
  const listed = configs();
  return new Pass({
    context,
    source: { list: async () => ({ configs: listed, doubt: () => undefined }) },
    runner: jobs,
  });
}

describe('many CRs', () => {
  beforeEach(() => {
    nodes = Array.from({ length: 12 }, (_, index) => worker(index + 1));
  });

  test('are committed to main in one batch', async () => {
    const write = vi.spyOn(store, 'write');
    await passOf(60_000).run();
    const onMain = write.mock.calls.filter(([{ moves }]) =>
      moves.some(({ ref }) => ref === 'refs/heads/main'),
    );
    expect(onMain).toHaveLength(1);
    const log = await store.reader.log((await store.reader.ref('refs/heads/main'))!, { firstParent: true });
    expect(log.filter(({ subject }) => subject.includes('cr-of-'))).toHaveLength(12);
  });

  test('take as many passes as they need: outcomes and Jobs go between, and no status runs ahead', async () => {
    const short = passOf(0);
    const first = await short.run();
    expect(first.nextPassAt).toBeLessThanOrEqual(NOW);
    const { behind } = first.snapshot.report;
    expect(behind.size).toBeGreaterThan(0);
    expect([...context.reporter.statuses.keys()].filter((key) => behind.has(key))).toEqual([]);
    const started = jobs.started.length;
    let passes = 1;
    for (let report = first.snapshot.report; report.behind.size > 0; passes += 1)
      report = (await short.run()).snapshot.report;
    expect(passes).toBeGreaterThan(5);
    expect(jobs.started.length).toBeGreaterThan(started);
    expect(context.reporter.statuses.size).toBe(12);
    expect((await store.reader.refs('refs/heads/node/')).size).toBe(12);
  });
});
