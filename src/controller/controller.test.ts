// The controller on a real store, between a home that lives in memory and a runner whose jobs end as a test says.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { jobName, jobStamp } from '../scheduler/name.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/port.ts';
import { Store } from '../store/store.ts';
import { Controller } from './controller.ts';
import type { PausableInventory, StatusSink } from './port.ts';

const NODE_ID = '0c497169-a104-4448-afde-5ed120df9c32';
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
  async withdraw(): Promise<void> {}
  async forget(name: string): Promise<void> {
    this.forgotten.push(name);
  }
}

let dir: string;
let store: Store;
let jobs: Jobs;
let controller: Controller;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-controller-'));
  store = await Store.open(join(dir, 'store.git'));
  jobs = new Jobs();
  const node = {
    name: 'worker-1',
    systemUUID: NODE_ID,
    machineID: 'machine',
    bootID: 'boot',
    osImage: 'Ubuntu 22.04.4 LTS',
    ready: true,
    paused: false,
    annotations: {},
  };
  const interfaces = [{ macAddress: 'fa:16:3e:5e:62:3e', cidr: '192.168.1.100/24', mtu: 1500 }];
  const config = {
    ref: { group: 'multinic.io', namespace: 'multinic-system', name: 'cr' },
    uid: 'uid',
    generation: 1,
    annotations: {},
    writer: { name: 'viola', email: 'viola@example.org' },
    spec: { nodeConfigs: [{ attachedNodeId: NODE_ID, attachedNodeName: node.name, interfaces }] },
  };
  const inventory: PausableInventory = { list: async () => [node], setPaused: async () => undefined };
  const sink: StatusSink = {
    read: async () => undefined,
    write: async () => undefined,
    remove: async () => undefined,
    emit: async () => undefined,
  };
  controller = new Controller({
    store,
    source: { list: async () => ({ configs: [config], doubt: () => undefined }) },
    inventory,
    runner: jobs,
    sink,
    log: pino({ level: 'silent' }),
    now: () => NOW,
  });
  await controller.reconcile();
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

function outcomes(): Promise<string | undefined> {
  return store.reader.ref('refs/heads/outcome/worker-1');
}

function endedWithoutReport({ name, node, commit, attempt }: JobRequest): JobStatus {
  return { name, node, commit, attempt, phase: 'finished' };
}

test('a job that ended is one commit, and only then may it go', async () => {
  const [job] = jobs.started;
  jobs.ended = [endedWithoutReport(job!)];
  await controller.reconcile();
  const { trailers } = await store.reader.commit((await outcomes())!);
  expect(trailers).toContainEqual(['Job', job!.name]);
  expect(trailers).toContainEqual(['Result', 'Unknown']);
  expect(jobs.forgotten).toEqual([job!.name]);
});

test('a job that is older than what is recorded has been recorded, however far back that is: it may go', async () => {
  const [job] = jobs.started;
  jobs.ended = [endedWithoutReport(job!)];
  await controller.reconcile();
  const recorded = await outcomes();
  const earlier = jobName(NODE_ID, jobStamp(job!.name)! - 1);
  jobs.ended = [{ ...endedWithoutReport(job!), name: earlier }];
  await controller.reconcile();
  expect(await outcomes()).toBe(recorded);
  expect(jobs.forgotten).toEqual([job!.name, earlier]);
});
