// Twelve nodes that cannot pull the image of agents, and a thirteenth that has it. The image is missing on a real node, whose
// kubelet says so in its own words, and on eleven root folders, whose pods the test kubelet reports as a kubelet does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { agentImage, Multinic, type StoredConfig } from '../cluster/install.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import {
  attach,
  BUILD_MS,
  conditionOf,
  config,
  entry,
  hostFile,
  NAMESPACE,
  nodeOf,
  untilConfig,
  VERSION,
} from '../support/kube-cluster.ts';

const NAME = 'fleet';
const FILE = 'etc/netplan/90-multinic0.yaml';
/** Has the image. */
const GOOD = 'worker-1';
/** Real, and without the image. */
const BARE = 'worker-2';
const MACS: Readonly<Record<string, string>> = { [GOOD]: '02:00:00:00:a1:01', [BARE]: '02:00:00:00:a2:01' };

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let bare: readonly string[];

beforeAll(async () => {
  cluster = await startCluster({
    version: VERSION,
    nodes: [{ name: GOOD }, { name: BARE }],
    log: console.log,
  });
  const image = await agentImage(console.log);
  multinic = new Multinic(cluster, NAMESPACE, image);
  await Promise.all([cluster.loadImage(image.archive, [GOOD]), multinic.makeNamespace()]);
  await multinic.makeVolume(GOOD);
  kubelet = await RootKubelet.start(cluster, { nodes: 11, nics: 1 });
  for (const [node, mac] of Object.entries(MACS)) await attach(cluster, node, mac);
  bare = [...kubelet.nodes.map(({ name }) => name), BARE];
  const values = {
    controller: { image: { pullPolicy: 'IfNotPresent' }, nodeSelector: { 'kubernetes.io/hostname': GOOD } },
    // Ten places, fewer than nodes without an image: the thirteenth has to wait for one.
    agent: { startLimit: 10 },
    crds: { nodeSelector: { 'kubernetes.io/hostname': GOOD } },
  };
  await multinic.helm('install', { values });
  await multinic.rolledOut();
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

function statesOf(cr: StoredConfig): string[] {
  return bare.map((name) => {
    const { state = '', reason = '', message = '' } = nodeOf(cr, name) ?? {};
    return `${state}/${reason}: ${/ImagePullBackOff|ErrImagePull/.exec(message)?.[0] ?? message}`;
  });
}

function says(cr: StoredConfig, name: string, words: RegExp): boolean {
  const node = nodeOf(cr, name);
  return node?.reason === 'JobNotStarting' && words.test(node.message ?? '');
}

test('the thirteenth node goes on, and the status of the twelve says what the kubelet says', async () => {
  for (const { name } of kubelet.nodes) kubelet.fail(name, { kind: 'image' }, { kind: 'image' });
  const real = Object.entries(MACS).map(([name, mac]) =>
    entry(cluster.machine(name).systemUUID, name, [mac], { mtu: 1400 }),
  );
  const roots = kubelet.nodes.map(({ name, systemUUID, macs }) =>
    entry(systemUUID, name, macs, { mtu: 1400 }),
  );
  await multinic.applyConfig(config(NAME, [...roots, ...real]));
  const cr = await untilConfig(
    multinic,
    NAME,
    'twelve wait and one is configured',
    (it) =>
      nodeOf(it, GOOD)?.state === 'Configured' &&
      bare.every((name) => says(it, name, /ErrImagePull|ImagePullBackOff/)),
    { seconds: 150 },
  );
  expect(await hostFile(cluster, GOOD, `/${FILE}`)).toContain('mtu: 1400');
  expect(statesOf(cr).every((state) => state.startsWith('InProgress/JobNotStarting: '))).toBe(true);
  // The words of the real kubelet, with the image that it could not pull.
  expect(nodeOf(cr, BARE)?.message).toContain(multinic.image.name);
  expect(cr.status?.summary).toMatchObject({ totalNodes: 13, configuredNodes: 1, failedNodes: 0 });
  expect(conditionOf(cr, 'Reconciling')?.status).toBe('True');
  expect(conditionOf(cr, 'Stalled')?.status).not.toBe('True');
}, 240_000);

test('the twelve are applied by themselves when the image is there, each as a first attempt', async () => {
  await cluster.loadImage(multinic.image.archive, [BARE]);
  for (const { name } of kubelet.nodes) kubelet.mend(name);
  await multinic.waitReady(NAME, 'multinic.okestro.io', 300);
  const files = await Promise.all([
    hostFile(cluster, BARE, `/${FILE}`),
    ...kubelet.nodes.map(({ name }) => kubelet.file(name, FILE)),
  ]);
  expect(files.filter((file) => !file?.includes('mtu: 1400'))).toEqual([]);
  const attempts: string[] = [];
  for (const name of bare) {
    const outcomes = await multinic.git('log', '--first-parent', '--format=%B', `outcome/${name}`);
    attempts.push(`${name} ${outcomes.match(/^Attempt: .*/gm)?.join()}`);
  }
  expect(attempts).toEqual(bare.map((name) => `${name} Attempt: 1`));
}, 400_000);
