// Removals of CRs, CRDs, the chart and namespaces, and their effect on nodes, one of which is not Ready each time.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { RELEASE, type Config, type Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  BUILD_MS,
  conditionOf,
  config,
  entry,
  events,
  nodeOf,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';

const NAME = 'fleet';
const FILE = 'etc/netplan/90-multinic0.yaml';
const DEAD = 'root-04';

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: 'worker-1' }]));
  kubelet = await RootKubelet.start(cluster, { nodes: 4, nics: 1 });
  await multinic.applyConfig(fleet());
  await multinic.waitReady(NAME);
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

function fleet(annotations: Readonly<Record<string, string>> = {}): Config {
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  return config(NAME, entries, 'multinic.okestro.io', annotations);
}

async function configured(): Promise<string[]> {
  const files = await Promise.all(kubelet.nodes.map(({ name }) => kubelet.file(name, FILE)));
  return kubelet.nodes.filter((_, index) => files[index] !== undefined).map(({ name }) => name);
}

const all = (): string[] => kubelet.nodes.map(({ name }) => name);

/** Waits until nothing more will happen: two resyncs of the controller have passed, and no Job runs. */
async function settled(seconds = 12): Promise<void> {
  const until = Date.now() + seconds * 1_000;
  await waitFor('quiet', async () => Date.now() > until && !(await anyActive()), {
    timeoutMs: 60_000,
    everyMs: 1_000,
  });
}

async function anyActive(): Promise<boolean> {
  const jobs = await multinic.json<{ items: { status?: { active?: number } }[] }>('get', 'jobs');
  return jobs.items.some(({ status }) => (status?.active ?? 0) > 0);
}

test('a CR that is emptied by mistake cleans no node, and its status says that the removal waits', async () => {
  kubelet.partition(DEAD);
  const runs = kubelet.runs.length;
  await multinic.editConfig(NAME, (spec) => {
    spec.nodeConfigs = [];
  });
  await waitFor('RemovalStopped', async () => (await events(multinic, 'RemovalStopped')).length > 0, {
    timeoutMs: 30_000,
  });
  await settled();
  expect(await configured()).toEqual(all());
  expect(kubelet.runs).toHaveLength(runs);
  const cr = await multinic.configOf(NAME);
  expect(conditionOf(cr, 'Stalled')).toMatchObject({ status: 'True', reason: 'RemovalStopped' });
});

test('the removal no longer waits when the entries are back', async () => {
  kubelet.rejoin(DEAD);
  const runs = kubelet.runs.length;
  await multinic.applyConfig(fleet());
  await multinic.waitReady(NAME);
  expect(kubelet.runs).toHaveLength(runs);
});

test('a CRD that is deleted cleans no node, and its deletion does not wait for the controller', async () => {
  kubelet.partition(DEAD);
  const runs = kubelet.runs.length;
  await multinic.kubectl('delete', 'crd', 'multinicbizconfigs.multinic.okestro.io', '--timeout=20s');
  await settled();
  expect(await configured()).toEqual(all());
  expect(kubelet.runs).toHaveLength(runs);
});

test('a CRD that is installed again with the same CR starts no run', async () => {
  kubelet.rejoin(DEAD);
  const runs = kubelet.runs.length;
  await multinic.helm('upgrade', {});
  await waitFor('the CRD', async () => multinic.applyConfig(fleet()).then(() => true), { timeoutMs: 30_000 });
  await multinic.waitReady(NAME);
  expect(kubelet.runs).toHaveLength(runs);
});

test('an uninstalled chart cleans no node and leaves CRs, CRDs and the volume; a CR can then be deleted at once', async () => {
  const runs = kubelet.runs.length;
  await multinic.uninstall();
  expect(await multinic.kubectl('get', 'pvc', 'multinic-agent-store', '-o', 'name')).toContain('multinic');
  expect((await multinic.configOf(NAME)).metadata.name).toBe(NAME);
  await multinic.deleteConfig(NAME);
  await settled(5);
  expect(await configured()).toEqual(all());
  expect(kubelet.runs).toHaveLength(runs);
});

test('a chart that is installed again without that CR waits for a confirmation before it cleans the nodes', async () => {
  await multinic.helm('install', {});
  await multinic.rolledOut();
  await settled();
  expect(await configured()).toEqual(all());
  await multinic.applyConfig(fleet());
  await multinic.waitReady(NAME);
  expect(await configured()).toEqual(all());
});

test('a CR deleted with the confirmation annotation goes at once and its nodes are cleaned; a node that is not Ready is cleaned when it is back', async () => {
  await multinic.applyConfig(fleet({ 'multinic.io/confirm-cleanup': 'true' }));
  await multinic.waitReady(NAME);
  kubelet.partition(DEAD);
  await cluster.kubectl(['wait', '--for=condition=Ready=Unknown', `node/${DEAD}`, '--timeout=60s']);
  // Waits until the controller has seen the confirmation.
  await settled(3);
  await multinic.deleteConfig(NAME);
  await expect.poll(configured, { timeout: 60_000, interval: 300 }).toEqual([DEAD]);
  kubelet.rejoin(DEAD);
  await expect.poll(configured, { timeout: 60_000, interval: 300 }).toEqual([]);
});

test.each(['Configured', 'Failed', 'Pending', 'InProgress'] as const)(
  'a CR is deleted at once when its node is %s',
  async (state) => {
    const [first] = kubelet.nodes;
    const { name, systemUUID, macs } = first!;
    if (state === 'InProgress') kubelet.fail(name, { kind: 'wait' });
    const mac = state === 'Pending' ? ['02:00:00:01:ff:01'] : macs;
    const changes = state === 'Failed' ? { cidr: 'bad' } : {};
    await multinic.applyConfig(config('one', [entry(systemUUID, name, mac, changes)]));
    await untilConfig(multinic, 'one', state, (it) => nodeOf(it, name)?.state === state);
    await multinic.kubectl(
      'annotate',
      'multinicbizconfigs.multinic.okestro.io',
      'one',
      'multinic.io/confirm-cleanup=true',
    );
    const start = performance.now();
    await multinic.deleteConfig('one');
    expect(performance.now() - start).toBeLessThan(5_000);
    kubelet.mend(name);
    await waitFor('a clean node', async () => !(await configured()).includes(name), { timeoutMs: 60_000 });
    await settled(3);
  },
);

test('a deleted namespace goes away and cleans no node', async () => {
  const [first, second] = kubelet.nodes;
  await cluster.kubectl(['create', 'namespace', 'tenant']);
  const cr = config(
    'tenant',
    [first!, second!].map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs)),
  );
  cr.metadata.namespace = 'tenant';
  await multinic.cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(cr) });
  await cluster.kubectl([
    'wait',
    '--namespace=tenant',
    '--for=condition=Ready',
    'multinicbizconfigs.multinic.okestro.io/tenant',
    '--timeout=60s',
  ]);
  const runs = kubelet.runs.length;
  await cluster.kubectl(['delete', 'namespace', 'tenant', '--timeout=60s'], { timeoutMs: 90_000 });
  await settled();
  expect((await configured()).sort()).toEqual([first!.name, second!.name].sort());
  expect(kubelet.runs).toHaveLength(runs);
});

test("the controller's own namespace, when deleted, goes away and cleans no node", async () => {
  await cluster.helm(['status', RELEASE, '--namespace', multinic.namespace]);
  await cluster.kubectl(['delete', 'namespace', multinic.namespace, '--timeout=90s'], { timeoutMs: 120_000 });
  expect(await configured()).toHaveLength(2);
});
