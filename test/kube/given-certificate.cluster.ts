// A certificate that cert-manager or another issuer writes: a DNS name and no address, with an intermediate.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { agentImage, Multinic } from '../cluster/install.ts';
import { startCluster } from '../cluster/cluster.ts';
import { RootKubelet } from '../cluster/root-kubelet.ts';
import { authority, leaf, type Authority } from '../support/authority.ts';
import { BUILD_MS, config, entry, NAMESPACE, Person, VERSION } from '../support/kube-cluster.ts';

const SECRET = 'issued';
const NAME = `multinic-agent-store.${NAMESPACE}.svc`;

let cluster: Cluster;
let multinic: Multinic;
let kubelet: RootKubelet;
let root: Authority;

/** Writes the Secret as the issuer does. */
async function issue(name: string): Promise<void> {
  const intermediate = await authority('intermediate', root);
  const { cert, key } = await leaf(name, intermediate, 90);
  const stringData = { 'tls.crt': cert + intermediate.pem, 'tls.key': key, 'ca.crt': root.pem };
  await multinic.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: SECRET },
    type: 'kubernetes.io/tls',
    stringData,
  });
}

beforeAll(async () => {
  cluster = await startCluster({ version: VERSION, nodes: [{ name: 'worker-1' }], log: console.log });
  const image = await agentImage(console.log);
  multinic = new Multinic(cluster, NAMESPACE, image);
  await Promise.all([cluster.loadImage(image.archive), multinic.makeNamespace()]);
  await multinic.makeVolume('worker-1');
  root = await authority('root');
  await issue('elsewhere.example.org');
  await multinic.helm('install', { values: { tls: { existingSecret: SECRET } } });
  kubelet = await RootKubelet.start(cluster, { nodes: 1, nics: 1 });
}, BUILD_MS);

afterAll(async () => {
  await kubelet?.stop();
  await cluster?.stop();
}, 60_000);

test('the controller does not start, and says which name the certificate lacks', async () => {
  await expect.poll(() => multinic.controllerLog().catch(String), { timeout: 60_000 }).toContain(NAME);
  const state = '--output=jsonpath={.items[*].status.containerStatuses[*].lastState.terminated.message}';
  await expect
    .poll(() => multinic.kubectl('get', 'pods', '--selector=app.kubernetes.io/component=controller', state), {
      timeout: 60_000,
    })
    .toContain(NAME);
}, 130_000);

test('with the right name agents apply, and people find the CA in the usual place', async () => {
  await issue(NAME);
  await multinic.kubectl('delete', 'pods', '--selector=app.kubernetes.io/component=controller');
  await multinic.rolledOut();
  const [node] = kubelet.nodes;
  await multinic.applyConfig(config('fleet', [entry(node!.systemUUID, node!.name, node!.macs)]));
  await multinic.waitReady('fleet');
  await using person = await Person.create(multinic, 'reader', 'read');
  await person.clone();
  expect((await person.status()).nodes.map(({ state }) => state)).toEqual(['Configured']);
}, 200_000);

test('a renewed certificate is served without a restart', async () => {
  const before = await multinic.leader();
  root = await authority('next root');
  await issue(NAME);
  const published = '--output=jsonpath={.data.ca\\.crt}';
  await expect
    .poll(() => multinic.kubectl('get', 'configmap', 'multinic-agent-ca', published), { timeout: 90_000 })
    .toBe(root.pem.trim());
  await using person = await Person.create(multinic, 'later', 'read');
  await person.clone();
  expect(await multinic.leader()).toEqual(before);
}, 200_000);
