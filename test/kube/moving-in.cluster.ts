// Takeover of hosts and a CR of the earlier agent, and of the same hosts after the store was lost. No host may change by a byte.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { STORE_FOLDER, type Multinic } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { hostFiles } from '../support/agent.ts';
import { BUILD_MS, config, configureAsEarlierAgent, entry, nodeOf, setUp } from '../support/kube-cluster.ts';

const NAME = 'fleet';

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let before: Record<string, string>[];

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([{ name: 'worker-1' }]));
  kubelet = await RootKubelet.start(cluster, { nodes: 3, nics: 2 });
  for (const node of kubelet.nodes) await configureAsEarlierAgent(kubelet, node);
  before = kubelet.nodes.map(({ root }) => hostFiles(root));
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

async function expectUntouched(): Promise<void> {
  const cr = await multinic.waitReady(NAME);
  for (const [index, { name, root }] of kubelet.nodes.entries()) {
    expect(hostFiles(root)).toEqual(before[index]);
    expect(nodeOf(cr, name)?.state).toBe('Configured');
  }
  expect(kubelet.runs.filter(({ changedHost }) => changedHost)).toEqual([]);
}

test('hosts of the earlier agent stay as they are, with their names', async () => {
  const entries = kubelet.nodes.map(({ name, systemUUID, macs }) => entry(systemUUID, name, macs));
  await multinic.applyConfig(config(NAME, entries));
  await expectUntouched();
  const tree = await multinic.git('show', 'node/root-01:etc/netplan/90-multinic0.yaml');
  expect(tree).toContain(kubelet.node('root-01').macs[1]);
});

test('hosts stay as they are when the store is lost', async () => {
  await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=0');
  await multinic.kubectl('wait', '--for=delete', 'pods', '--selector=app.kubernetes.io/component=controller');
  await cluster.exec('worker-1', ['sh', '-c', `rm -rf ${STORE_FOLDER}/*`]);
  await multinic.kubectl('scale', 'deployment/multinic-agent-controller', '--replicas=1');
  await multinic.rolledOut();
  // The old status is still there, and describes the lost store.
  await expect
    .poll(() => multinic.git('log', '--branches=outcome/*', '--format=%s').catch(() => ''), {
      timeout: 90_000,
    })
    .toContain('Applied');
  await expectUntouched();
});

test('the first change after that writes one file of one node', async () => {
  const runs = kubelet.runs.length;
  await multinic.editConfig(NAME, ({ nodeConfigs }) => {
    nodeConfigs[0]!.interfaces![0]!.mtu = 1400;
  });
  await multinic.waitReady(NAME);
  expect(kubelet.runs.slice(runs).map(({ node, outcome }) => [node, outcome?.written])).toEqual([
    ['root-01', ['etc/netplan/91-multinic1.yaml']],
  ]);
});
