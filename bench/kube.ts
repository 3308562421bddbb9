// The controller on a real API server. The Node objects have no kubelets, so the figures are those of the controller
// and the API.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { V1Job } from '@kubernetes/client-node';
import pino from 'pino';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { KubeClient, MERGE_PATCH } from '../src/kube/client.ts';
import { applyCrds } from '../src/kube/crd-apply.ts';
import { Informer } from '../src/kube/informer.ts';
import { startCluster } from '../test/cluster/cluster.ts';
import { measured, median, report, type Bench } from './report.ts';

const NAMESPACE = 'multinic-system';
const GROUP = 'multinic.io';
/** The group of the probe, which the controller does not watch. */
const PROBE_GROUP = 'multinic.okestro.io';
const JOBS = `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`;
const SAMPLES = 40;
const log = pino({ level: 'silent' });

export const benches: Bench[] = [
  { name: 'kube: CR to Job, 500 Jobs, 5,000 Nodes, on a real API server', run: measure },
];

async function measure(): Promise<void> {
  // No kubelet renews the leases of these Nodes, and the Nodes have to stay Ready.
  const extra = { 'kube-controller-manager': ['--controllers=*,-node-lifecycle-controller,-nodelifecycle'] };
  await using cluster = await startCluster({ nodes: 0, extra });
  const client = KubeClient.load({ kubeconfig: cluster.kubeconfig });
  await prepare(client);
  await using controller = await Controller.start(cluster.kubeconfig);

  await makeNodes(client, 0, SAMPLES);
  await putConfig(client, 'few', range(0, SAMPLES), () => false);
  await controller.idle();
  const ours = await changesToJobs(client);
  const bare = await bareLoop(client);
  report('CR change to Job created, p50', median(ours), 'a bare watch-and-create loop', bare, 2.5);
  const before = await controller.requests();
  await putConfig(client, 'few', range(0, SAMPLES), (node) => node < SAMPLES, { mtu: 1400 });
  await controller.idle();
  measured(`a change of ${SAMPLES} nodes`, (await controller.requests()) - before, 'requests');

  await makeNodes(client, 1_000, 500);
  await putConfig(client, 'many', range(1_000, 500), () => false);
  await controller.idle();
  const many = await timeToJobs(
    client,
    500,
    (name) => name.includes('-i-1'),
    () => putConfig(client, 'many', range(1_000, 500), () => true),
  );
  const loop = await timeToJobs(
    client,
    500,
    (name) => name.startsWith('bare-loop-'),
    async () => {
      const [template] = (await client.request<{ items: V1Job[] }>('GET', JOBS, { query: { limit: '1' } }))
        .items;
      for (let i = 0; i < 500; i += 1)
        await client.request('POST', JOBS, { body: copyOf(template!, `bare-loop-${i}`) });
    },
  );
  report('500 changed nodes to 500 Jobs', many, 'a bare creating loop', loop, 0.8);

  await makeNodes(client, 2_000, 5_000);
  for (let n = 0; n < 10; n += 1)
    await putConfig(client, `fleet-${n}`, range(2_000 + n * 500, 500), () => false);
  await controller.idle();
  const passes = await controller.passes();
  for (let n = 0; n < 5; n += 1) {
    // The patch makes the controller look at the CR and leaves it nothing to do.
    await client.request('PATCH', `${pathOf(GROUP)}/fleet-${n}`, {
      body: { metadata: { annotations: { touched: String(n) } } },
      contentType: MERGE_PATCH,
    });
    await pause(1_000);
  }
  const after = await controller.passes();
  const pass = ((after.seconds - passes.seconds) / (after.count - passes.count)) * 1000;
  measured(`a pass without a change over 5,540 nodes in 12 CRs`, pass, 'ms');
  const settled = await controller.requests();
  await putConfig(client, 'fleet-0', range(2_000, 500), (node) => node === 2_000);
  await controller.idle();
  measured('a change of one node among 5,540', (await controller.requests()) - settled, 'requests', 11);
  measured('memory of the controller then', await controller.memory('VmRSS'), 'MiB', 200);
  measured('memory of the controller at most', await controller.memory('VmHWM'), 'MiB');
}

function pathOf(group: string): string {
  return `/apis/${group}/v1/namespaces/${NAMESPACE}/multinicbizconfigs`;
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

async function prepare(client: KubeClient): Promise<void> {
  const make = (path: string, body: object): Promise<unknown> => client.request('POST', path, { body });
  await make('/api/v1/namespaces', { metadata: { name: NAMESPACE } });
  await applyCrds(client, ['multinic.io', 'multinic.okestro.io'], 30_000);
  const ports = [{ port: 8443 }];
  await make(`/api/v1/namespaces/${NAMESPACE}/services`, {
    metadata: { name: 'multinic-agent-store' },
    spec: { ports },
  });
  await make(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name: 'multinic-agent-job' } });
  await make('/apis/scheduling.k8s.io/v1/priorityclasses', {
    metadata: { name: 'multinic-agent' },
    value: 1,
  });
}

async function makeNodes(client: KubeClient, from: number, count: number): Promise<void> {
  const make = async (index: number): Promise<void> => {
    const name = `w-${index}`;
    await client.request('POST', '/api/v1/nodes', { body: { metadata: { name } } });
    const status = {
      conditions: [
        { type: 'Ready', status: 'True', reason: 'Bench', lastTransitionTime: new Date().toISOString() },
      ],
      nodeInfo: {
        machineID: `m${index}`,
        systemUUID: `i-${index}`,
        bootID: `b${index}`,
        osImage: 'Ubuntu 22.04.4 LTS',
        kernelVersion: '6',
        containerRuntimeVersion: 'containerd://1',
        kubeletVersion: 'v1.35.4',
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: 'amd64',
      },
    };
    await client.request('PATCH', `/api/v1/nodes/${name}/status`, {
      body: { status },
      contentType: MERGE_PATCH,
    });
  };
  for (const start of range(0, Math.ceil(count / 32)).map((n) => from + n * 32)) {
    await Promise.all(range(start, Math.min(32, from + count - start)).map(make));
  }
}

/** @param wanted which nodes have an interface */
async function putConfig(
  client: KubeClient,
  name: string,
  nodes: readonly number[],
  wanted: (node: number) => boolean,
  { mtu = 1500, group = GROUP } = {},
): Promise<void> {
  const nodeConfigs = nodes.map((node) => ({
    attachedNodeId: `i-${node}`,
    attachedNodeName: `w-${node}`,
    interfaces: wanted(node)
      ? [
          {
            macAddress: `02:00:00:00:${hex(node >> 8)}:${hex(node & 255)}`,
            cidr: `10.${node >> 8}.${node & 255}.1/8`,
            mtu,
          },
        ]
      : [],
  }));
  const body = {
    apiVersion: `${group}/v1`,
    kind: 'MultiNicBizConfig',
    metadata: { name },
    spec: { nodeConfigs },
  };
  await client.request('PATCH', `${pathOf(group)}/${name}`, {
    query: { fieldManager: 'bench', force: 'true' },
    body,
    contentType: 'application/apply-patch+yaml',
  });
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Milliseconds from a CR's change to the Job that it brings, for one node after the other. */
async function changesToJobs(client: KubeClient): Promise<number[]> {
  await using jobs = await JobWatch.start(client);
  const times: number[] = [];
  const wanted = new Set<number>();
  for (const node of range(0, SAMPLES)) {
    wanted.add(node);
    const seen = jobs.next((name) => name.startsWith(`multinic-agent-i-${node}-`));
    const began = performance.now();
    await putConfig(client, 'few', range(0, SAMPLES), (each) => wanted.has(each));
    await seen;
    times.push(performance.now() - began);
    await pause(100);
  }
  return times;
}

/** The probe: the same change, and a loop that does nothing but make a Job of it. */
async function bareLoop(client: KubeClient): Promise<number[]> {
  const [template] = (await client.request<{ items: V1Job[] }>('GET', JOBS, { query: { limit: '1' } })).items;
  await putConfig(client, 'bare', range(0, SAMPLES), () => false, { group: PROBE_GROUP });
  let round = -1;
  const informer = new Informer({
    client,
    path: pathOf(PROBE_GROUP),
    project: ({ metadata }) => metadata?.resourceVersion,
    changed: (key) => {
      if (key !== `${NAMESPACE}/bare` || round < 0) return;
      void client.request('POST', JOBS, { body: copyOf(template!, `bare-${round}`) }).catch(() => undefined);
    },
    log,
  });
  informer.start();
  await informer.synced(AbortSignal.timeout(10_000));
  const times: number[] = [];
  try {
    await using jobs = await JobWatch.start(client);
    const wanted = new Set<number>();
    for (round = 0; round < SAMPLES; round += 1) {
      wanted.add(round);
      const seen = jobs.next((name) => name === `bare-${round}`);
      const began = performance.now();
      await putConfig(client, 'bare', range(0, SAMPLES), (each) => wanted.has(each), { group: PROBE_GROUP });
      await seen;
      times.push(performance.now() - began);
      await pause(100);
    }
  } finally {
    await informer.stop();
  }
  return times;
}

async function timeToJobs(
  client: KubeClient,
  count: number,
  ours: (name: string) => boolean,
  work: () => Promise<void>,
): Promise<number> {
  await using jobs = await JobWatch.start(client);
  const began = performance.now();
  const all = jobs.count(count, ours);
  await work();
  await all;
  return performance.now() - began;
}

function copyOf({ spec, metadata }: V1Job, name: string): V1Job {
  const { selector: _, template, ...rest } = spec!;
  const { labels: __, ...meta } = template.metadata ?? {};
  const annotations = metadata?.annotations ?? {};
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, annotations },
    spec: { ...rest, template: { ...template, metadata: meta } },
  };
}

/** Watches the creation of Jobs. */
class JobWatch implements AsyncDisposable {
  readonly #informer: Informer<string>;
  readonly #listeners = new Set<(name: string) => void>();

  private constructor(client: KubeClient) {
    this.#informer = new Informer({
      client,
      path: JOBS,
      project: ({ metadata }) => metadata?.name ?? '',
      changed: (key) => {
        const name = key.split('/').at(-1) ?? '';
        for (const listener of this.#listeners) listener(name);
      },
      log,
    });
  }

  static async start(client: KubeClient): Promise<JobWatch> {
    const watch = new JobWatch(client);
    watch.#informer.start();
    await watch.#informer.synced(AbortSignal.timeout(30_000));
    return watch;
  }

  next(matches: (name: string) => boolean): Promise<void> {
    return this.count(1, matches);
  }

  count(count: number, matches: (name: string) => boolean): Promise<void> {
    const seen = new Set<string>();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`${seen.size} of ${count} Jobs after two minutes`)),
      120_000,
    );
    const listener = (name: string): void => {
      if (matches(name)) seen.add(name);
      if (seen.size < count) return;
      clearTimeout(timer);
      this.#listeners.delete(listener);
      resolve();
    };
    this.#listeners.add(listener);
    return promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#informer.stop();
  }
}

/** The built program, as a process beside the cluster. */
class Controller implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  static async start(kubeconfig: string): Promise<Controller> {
    const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-kube-'));
    const flags = ['--store', join(folder, 'store.git'), '--port', '18443', '--health-port', '18080'];
    const limits = ['--groups', GROUP, '--jobs', '10000', '--start-limit', '36000', '--log-level', 'warn'];
    const node = [...NODE_FLAGS, 'dist/multinic.js', 'controller', '--kubeconfig', kubeconfig];
    const env = { ...process.env, POD_NAMESPACE: NAMESPACE, POD_NAME: 'bench', AGENT_IMAGE: 'none' };
    const child = spawn(process.execPath, [...node, ...flags, ...limits], {
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const controller = new Controller(child, folder);
    await controller.idle();
    return controller;
  }

  /** Waits until there have been no passes for a while; a pass over thousands of new nodes takes seconds. */
  async idle(): Promise<void> {
    let last = -1;
    for (let quiet = 0; quiet < 12;) {
      await pause(500);
      const { count } = await this.passes().catch(() => ({ count: -1 }));
      quiet = count === last && count > 0 ? quiet + 1 : 0;
      last = count;
    }
  }

  async passes(): Promise<{ count: number; seconds: number }> {
    const text = await this.#metrics();
    const value = (name: string): number =>
      Number(new RegExp(`^${name}\\{[^}]*\\} (.*)$`, 'm').exec(text)?.[1] ?? 0);
    const name = 'controller_runtime_reconcile_time_seconds';
    return { count: value(`${name}_count`), seconds: value(`${name}_sum`) };
  }

  async requests(): Promise<number> {
    const lines = (await this.#metrics()).matchAll(/^rest_client_requests_total\{[^}]*\} (\d+)$/gm);
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** @returns MiB now, or at most */
  async memory(key: 'VmRSS' | 'VmHWM'): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  }

  async #metrics(): Promise<string> {
    return (await fetch('http://127.0.0.1:18080/metrics')).text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
