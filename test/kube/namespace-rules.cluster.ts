// Rules of a namespace that keep an agent's pod from being made, or change it: Pod Security, a quota, a LimitRange, a
// webhook that adds a sidecar. A pod that is refused is no attempt, and its node goes on by itself once the rule is gone.
import type { V1Pod } from '@kubernetes/client-node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { startInjector } from '../cluster/injector.ts';
import type { Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import {
  attach,
  BUILD_MS,
  config,
  entry,
  hostFile,
  nodeOf,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';

const NAME = 'fleet';
const FILE = 'etc/netplan/90-multinic0.yaml';
/** A real node, and a root folder whose pods the test kubelet runs. */
const REAL = 'worker-1';
const ROOT = 'root-01';
const MAC = '02:00:00:00:a1:01';
const PATIENCE = { timeout: 200_000, interval: 500 };

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let mtu = 1500;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: REAL }]));
  await attach(cluster, REAL, MAC);
  kubelet = await RootKubelet.start(cluster, { nodes: 1, nics: 1 });
  const real = entry(cluster.machine(REAL).systemUUID, REAL, [MAC]);
  const roots = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  await multinic.applyConfig(config(NAME, [real, ...roots]));
  await multinic.waitReady(NAME);
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

afterEach(async () => {
  await enforce('privileged');
  await multinic.kubectl('delete', 'quota,limitrange', '--all');
});

async function enforce(level: 'restricted' | 'privileged'): Promise<void> {
  const label = `pod-security.kubernetes.io/enforce=${level}`;
  await cluster.kubectl(['label', 'namespace', multinic.namespace, label, '--overwrite']);
}

async function limit(limits: object): Promise<void> {
  await multinic.apply({
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'small' },
    spec: { limits: [{ type: 'Container', ...limits }] },
  });
}

/** Gives a node another MTU. @returns the line that its file will have */
async function change(node: string): Promise<string> {
  mtu -= 10;
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    const found = nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === node);
    found!.interfaces![0]!.mtu = mtu;
  });
  return `mtu: ${mtu}`;
}

async function outcomesOf(name: string): Promise<number> {
  return Number(await multinic.git('rev-list', '--count', '--first-parent', `outcome/${name}`));
}

/** The last run is recorded once: as applied, at its first attempt. */
async function expectOneMore(name: string, before: number): Promise<void> {
  await multinic.waitReady(NAME);
  expect(await outcomesOf(name)).toBe(before + 1);
  const log = await multinic.git('log', '-1', '--format=%B', `outcome/${name}`);
  expect(log).toMatch(/Result: Applied[^]*Attempt: 1/);
}

test.each<[string, () => Promise<unknown>, () => Promise<unknown>, RegExp]>([
  [
    'Pod Security',
    () => enforce('restricted'),
    () => enforce('privileged'),
    /PodSecurity[^]*kubectl label namespace multinic-system pod-security.kubernetes.io\/enforce=privileged/,
  ],
  [
    'a quota',
    () => multinic.kubectl('create', 'quota', 'none', '--hard=pods=1'),
    () => multinic.kubectl('delete', 'quota', 'none'),
    /exceeded quota: none/,
  ],
  [
    'a LimitRange',
    () => limit({ max: { cpu: '100m' } }),
    () => multinic.kubectl('delete', 'limitrange', 'small'),
    /maximum cpu usage per Container is 100m/,
  ],
])(
  'a pod that %s refuses: the status says so, and the node goes on without the rule',
  async (_, forbid, allow, words) => {
    const before = await outcomesOf(ROOT);
    await forbid();
    const wanted = await change(ROOT);
    const refused = await untilConfig(
      multinic,
      NAME,
      'the reason',
      (it) => words.test(nodeOf(it, ROOT)?.message ?? ''),
      { seconds: 120 },
    );
    expect(nodeOf(refused, ROOT)).toMatchObject({ state: 'InProgress', reason: 'JobNotStarting' });
    expect(refused.status?.summary).toMatchObject({ configuredNodes: 1, failedNodes: 0 });
    await allow();
    await expect.poll(() => kubelet.file(ROOT, FILE), PATIENCE).toContain(wanted);
    await expectOneMore(ROOT, before);
  },
  400_000,
);

test('a run ends with its agent although a sidecar goes on, and a LimitRange leaves the agent its own limit', async () => {
  const selector = ['--selector=app.kubernetes.io/component=agent', `--field-selector=spec.nodeName=${REAL}`];
  await limit({ default: { cpu: '100m' } });
  await using _injector = await startInjector(multinic, REAL);
  // The sidecar of the first run goes on while the second one runs.
  for (let run = 0; run < 2; run += 1) {
    const before = await outcomesOf(REAL);
    const wanted = await change(REAL);
    await expect.poll(() => hostFile(cluster, REAL, `/${FILE}`), PATIENCE).toContain(wanted);
    await expectOneMore(REAL, before);
  }
  const { items } = await multinic.json<{ items: V1Pod[] }>('get', 'pods', ...selector);
  const injected = items.filter(({ spec }) => spec?.containers[0]?.name === 'proxy');
  expect(injected.map(({ status }) => status?.phase)).toEqual(['Running', 'Running']);
  const limits = injected.map(({ spec }) =>
    spec?.containers.map(({ resources }) => resources?.limits?.['cpu']),
  );
  expect(limits).toEqual([
    ['100m', '1'],
    ['100m', '1'],
  ]);
  await multinic.kubectl('delete', 'pods', ...selector, '--grace-period=1');
}, 400_000);
