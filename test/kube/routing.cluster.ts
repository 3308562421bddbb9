// Two NICs in the subnet of their node, in a cluster behind imitated port security. The CR says nothing of source routing:
// the controller switches it on, because the Node's InternalIP has the subnet.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import { Addresses } from '../cluster/addresses.ts';
import type { Multinic } from '../cluster/install.ts';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import { BUILD_MS, config, NAMESPACE, nodeOf, Person, setUp, untilConfig } from '../support/kube-cluster.ts';
import { MACS, NODES, type NodeName } from '../support/two-kinds.ts';

const CR = 'routing';
const SERVER = `require('node:net').createServer((c) => c.end('word')).listen(7777)`;

let cluster: Cluster;
let multinic: Multinic;
let addresses: Addresses;
let alice: Person;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([
    { name: 'controller' },
    { name: 'debian' },
    { name: 'rhel', rootfs: 'networkmanager-node' },
  ]));
  addresses = new Addresses(cluster.lab.slot);
  // The image of the node is Debian's, so an annotation names its network manager.
  await multinic.kubectl('annotate', 'node', 'rhel', 'multinic.io/renderer=keyfile');
  for (const node of NODES) {
    const machine = cluster.machine(node);
    // A port lets the addresses of its own NIC through, and a node's also those of the node's pods.
    await machine.secure([machine.address, addresses.podsOf(machine.index)]);
    for (const index of [0, 1] as const) {
      await machine.attachNic({ mac: MACS[node][index] });
      await machine.secure([addressOf(node, index)], MACS[node][index]);
    }
    await startPods(node);
  }
  alice = await Person.create(multinic, 'alice', 'write');
}, BUILD_MS);

afterAll(async () => {
  await alice?.[Symbol.asyncDispose]();
  await cluster?.stop();
}, 60_000);

const sh = (node: NodeName, script: string): Promise<string> =>
  cluster.exec(node, ['sh', '-ec', script], { timeoutMs: 60_000 });

/** An address in the subnet of the nodes. */
function addressOf(node: NodeName, index: 0 | 1): string {
  return cluster.lab.slot.address(`0.${70 + 10 * NODES.indexOf(node) + index}`);
}

const ownAddresses = (node: NodeName): [string, string, string] => [
  cluster.machine(node).address,
  addressOf(node, 0),
  addressOf(node, 1),
];

/** A pod of the node's network, and a pod of its own address; both have the server. */
async function startPods(node: NodeName): Promise<void> {
  const pod = (name: string, hostNetwork: boolean): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { word: String(!hostNetwork) } },
    spec: {
      nodeName: node,
      hostNetwork,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'server', image: multinic.image.name, command: ['node', '-e', SERVER] }],
    },
  });
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'word', namespace: NAMESPACE },
    spec: { selector: { word: 'true' }, ports: [{ port: 7777 }] },
  };
  await multinic.apply(pod(`host-${node}`, true), pod(`pod-${node}`, false), service);
}

const podsReady = (node: NodeName): Promise<string> =>
  multinic.kubectl('wait', `pod/host-${node}`, `pod/pod-${node}`, '--for=condition=Ready', '--timeout=120s');

/** Own addresses of a pod's network from which a program in the pod reaches a server. */
async function reaching(pod: string, own: readonly (string | undefined)[], host: string): Promise<string[]> {
  const script = `const { connect } = require('node:net');
    setTimeout(() => process.exit(), 4000).unref();
    for (const localAddress of ${JSON.stringify(own.map((each) => each ?? ''))}) {
      const socket = connect({ host: '${host}', port: 7777, ...(localAddress && { localAddress }) });
      socket.on('data', (word) => console.log(word + ' ' + localAddress));
      socket.on('error', () => {});
    }`;
  const told = await multinic.kubectl('exec', pod, '--', 'node', '-e', script);
  return own.filter((each) => told.split('\n').includes(`word ${each ?? ''}`)).map((each) => each ?? '');
}

/** The node's address and those of its NICs answer a peer of their subnet, and reach and are reached by pods. */
async function expectTraffic(node: NodeName): Promise<void> {
  const all = ownAddresses(node);
  await waitFor(
    `${node}: answers of ${all.join(', ')}`,
    async () => {
      const answers = await Promise.allSettled(
        all.map((each) => run('ping', ['-n', '-c', '3', '-i', '0.3', '-W', '2', each])),
      );
      return answers.every(({ status }) => status === 'fulfilled');
    },
    { timeoutMs: 60_000, hint: () => sh(node, 'ip -N rule; ip route; ip route show table 20000') },
  );
  await podsReady(node);
  const podAddress = await multinic.kubectl('get', 'pod', `pod-${node}`, '--output=jsonpath={.status.podIP}');
  expect(await reaching(`host-${node}`, all, podAddress)).toEqual(all);
  for (const each of all) expect(await reaching(`pod-${node}`, [undefined], each)).toEqual(['']);
  // The pod that a Service chooses may be on another node, which the NIC without a gateway does not reach.
  const service = await multinic.kubectl('get', 'service', 'word', '--output=jsonpath={.spec.clusterIP}');
  const withGateway = all.slice(0, 2);
  for (let time = 0; time < 4; time += 1)
    expect(await reaching(`host-${node}`, withGateway, service)).toEqual(withGateway);
}

async function want(gateway: string | undefined): Promise<void> {
  const entries = NODES.map((node) => ({
    attachedNodeId: cluster.machine(node).systemUUID,
    attachedNodeName: node,
    interfaces: ([0, 1] as const).map((index) => ({
      portId: `port-${index}-${node}`,
      macAddress: MACS[node][index],
      address: addressOf(node, index),
      cidr: cluster.lab.slot.address('0.0/24'),
      mtu: 1500,
      ...(index === 0 && gateway !== undefined && { gateway }),
    })),
  }));
  await multinic.applyConfig(config(CR, entries));
  await multinic.waitReady(CR);
}

test('each NIC carries its traffic, also of pods and Services', async () => {
  const before = await Promise.all(NODES.map((node) => sh(node, 'ip route show default')));
  await want(addresses.controlPlane);
  for (const [index, node] of NODES.entries()) {
    expect(await sh(node, 'ip -N rule')).toContain(`from ${addressOf(node, 1)} lookup 20001`);
    await expectTraffic(node);
    expect(await sh(node, 'ip route show default')).toBe(before[index]);
  }
});

test('after a boot of the nodes', async () => {
  for (const node of NODES) await cluster.machine(node).reboot();
  for (const node of NODES) {
    await multinic.kubectl('wait', 'node', node, '--for=condition=Ready', '--timeout=120s');
    await expectTraffic(node);
  }
});

test('a rule that somebody takes away is drift, and comes back', async () => {
  for (const node of NODES) {
    const rule = `from ${addressOf(node, 1)}`;
    await sh(node, `while ip rule del ${rule} 2>/dev/null; do :; done`);
    expect(await sh(node, 'ip -N rule')).not.toContain(rule);
  }
  await alice.command('/observe', { nodes: NODES });
  for (const node of NODES) {
    const rule = `from ${addressOf(node, 1)} lookup 20001`;
    await waitFor(`${node}: the rule`, async () => (await sh(node, 'ip -N rule')).includes(rule), {
      timeoutMs: 90_000,
      hint: () => multinic.controllerLog(),
    });
    await expectTraffic(node);
    expect(
      await multinic.git('log', '-1', '--format=%b', '--grep=^Result: Drifted', `outcome/${node}`),
    ).toMatch(/rule .* is missing|RuleMissing/);
  }
});

const tableOf = (node: NodeName): Promise<string> => sh(node, 'ip route show table 20000');

test('a pushed revert brings a gateway back, with its table', async () => {
  await want(undefined);
  expect(await tableOf('debian')).not.toContain('default');
  await alice.clone();
  await alice.switch('debian');
  await alice.git('revert', '--no-edit', 'HEAD');
  const tip = await alice.push('debian');
  await untilConfig(
    multinic,
    CR,
    'the revert is applied',
    (cr) => nodeOf(cr, 'debian')?.appliedCommit === tip,
  );
  expect(await tableOf('debian')).toContain(`default via ${addresses.controlPlane}`);
  await expectTraffic('debian');
});
