// An upgrade from the earlier chart, with CRs that today's rules refuse, on hosts that the earlier agent configured.
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { agentImage, Multinic, RELEASE } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { hostFiles } from '../support/agent.ts';
import {
  BUILD_MS,
  conditionOf,
  config,
  configureAsEarlierAgent,
  entry,
  NAMESPACE,
  nodeOf,
  untilConfig,
  VERSION,
} from '../support/kube-cluster.ts';

const EARLIER = resolve(import.meta.dirname, '../../fixtures/earlier-chart');
const GROUP = 'multinic.io';
const GOOD = 'good';
const BAD = 'bad';

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let hosts: Record<string, string>[];
let uids: string;

beforeAll(async () => {
  cluster = await startCluster({ version: VERSION, nodes: [{ name: 'worker-1' }], log: console.log });
  const image = await agentImage(console.log);
  multinic = new Multinic(cluster, NAMESPACE, image);
  await Promise.all([cluster.loadImage(image.archive), multinic.makeNamespace()]);
  await multinic.makeVolume('worker-1');
  kubelet = await RootKubelet.start(cluster, { nodes: 3, nics: 2 });
  for (const node of kubelet.nodes) await configureAsEarlierAgent(kubelet, node);
  hosts = kubelet.nodes.map(({ root }) => hostFiles(root));
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

async function earlierChart(command: 'install' | 'upgrade'): Promise<void> {
  const [repository, tag] = multinic.image.name.split(':');
  const settings = { repository, tag, pullPolicy: 'Never' };
  const values = Object.entries(settings).map(([key, value]) => `--set=controller.image.${key}=${value}`);
  await cluster.helm([command, RELEASE, EARLIER, '--namespace', NAMESPACE, ...values]);
  await multinic.rolledOut();
}

function uidsOfConfigs(): Promise<string> {
  return multinic.kubectl('get', `multinicbizconfigs.${GROUP}`, '--output=jsonpath={.items[*].metadata.uid}');
}

function expectHostsUntouched(): void {
  expect(kubelet.nodes.map(({ root }) => hostFiles(root))).toEqual(hosts);
  expect(kubelet.runs.filter(({ changedHost }) => changedHost)).toEqual([]);
}

test('the earlier chart is installed with its CRs, one of which breaks rules of today', async () => {
  await earlierChart('install');
  const [one, two, three] = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  // One MAC for two interfaces of a node: the earlier agent had no rule against it.
  three!.interfaces![1]!.macAddress = three!.interfaces![0]!.macAddress!;
  await multinic.applyConfig(config(GOOD, [one!, two!], GROUP));
  await multinic.applyConfig(config(BAD, [three!], GROUP));
  const condition = {
    type: 'InProgress',
    status: 'True',
    reason: 'ProcessingNodes',
    message: 'Processing network configurations for 2 nodes',
    lastTransitionTime: '2025-01-21T10:32:15Z',
  };
  const status = {
    observedGeneration: 1,
    conditions: [condition],
    nodeStatuses: [
      { attachedNodeId: 'x', state: 'InProgress', lastJobName: 'multinic-agent-x-20250121103200' },
    ],
    summary: { totalNodes: 2, configuredNodes: 0, failedNodes: 0, pendingNodes: 2 },
  };
  const patch = JSON.stringify({ status });
  const cr = `multinicbizconfigs.${GROUP}/${GOOD}`;
  await multinic.kubectl('patch', cr, '--subresource=status', '--type=merge', `--patch=${patch}`);
  uids = await uidsOfConfigs();
  expect(uids.split(' ')).toHaveLength(2);
}, 180_000);

test('after the upgrade CRD and CRs are the same objects, and not one byte of a host has changed', async () => {
  await multinic.helm('upgrade', {});
  await multinic.rolledOut();
  const cr = await multinic.waitReady(GOOD, GROUP);
  expect(await uidsOfConfigs()).toBe(uids);
  expect(nodeOf(cr, 'root-01')?.state).toBe('Configured');
  expect(nodeOf(cr, 'root-02')?.state).toBe('Configured');
  expectHostsUntouched();
  const table = await multinic.kubectl('get', 'multinicclusterconfigs', '--all-namespaces', '--output=wide');
  expect(table).toMatch(/NODES\s+CONFIGURED/);
}, 300_000);

test('an entry that breaks a rule is reported with its field, and its node is left alone', async () => {
  const cr = await untilConfig(multinic, BAD, 'judged', (it) => nodeOf(it, 'root-03') !== undefined, {
    group: GROUP,
  });
  expect(conditionOf(cr, 'Ready')?.status).toBe('False');
  expect(JSON.stringify(cr.status)).toContain('interfaces[1].macAddress');
  expect(kubelet.runs.filter(({ node }) => node === 'root-03')).toEqual([]);
  expectHostsUntouched();
});

test('the next upgrade applies nothing, and a rollback to the earlier chart loses no CR', async () => {
  const runs = kubelet.runs.length;
  await multinic.helm('upgrade', { values: { controller: { podAnnotations: { again: 'once' } } } });
  await multinic.rolledOut();
  await multinic.waitReady(GOOD, GROUP);
  expect(kubelet.runs).toHaveLength(runs);
  await earlierChart('upgrade');
  expect(await uidsOfConfigs()).toBe(uids);
  await multinic.helm('upgrade', {});
  await multinic.rolledOut();
  await multinic.waitReady(GOOD, GROUP);
  expect(await uidsOfConfigs()).toBe(uids);
  expect(kubelet.runs).toHaveLength(runs);
  expectHostsUntouched();
}, 400_000);
