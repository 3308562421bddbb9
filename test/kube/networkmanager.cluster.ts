// From a CR to NICs on a node of NetworkManager and a node of netplan: Jobs configure running NICs on both, in each mode of
// `apply`. An agent's pod that somebody deletes during a run leaves the host whole.
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NodeStatus } from '../../src/api/status.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { run } from '../nodes/command.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  attach,
  BUILD_MS,
  config,
  entry,
  events,
  linkName,
  Person,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';
import { MACS, NODES, type NodeName } from '../support/two-kinds.ts';

const CR = 'both';
const FILE: Readonly<Record<NodeName, string>> = {
  debian: '/etc/netplan/90-multinic0.yaml',
  rhel: '/etc/NetworkManager/system-connections/multinic0.nmconnection',
};

const REPOSITORY = resolve(import.meta.dirname, '../..');

let cluster: Cluster;
let multinic: Multinic;
let alice: Person;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([
    { name: 'debian' },
    { name: 'rhel', rootfs: 'networkmanager-node' },
  ]));
  for (const node of NODES) await attach(cluster, node, ...MACS[node]);
  alice = await Person.create(multinic, 'alice', 'write');
  // The image of the node is Debian's, so an annotation names its network manager.
  await multinic.kubectl('annotate', 'node', 'rhel', 'multinic.io/renderer=keyfile');
}, BUILD_MS);

afterAll(async () => {
  await alice?.[Symbol.asyncDispose]();
  await cluster?.stop();
}, 60_000);

const want = (macs: (node: NodeName) => readonly string[], mtu = 1500): Promise<void> =>
  multinic.applyConfig(
    config(
      CR,
      NODES.map((node) => entry(cluster.machine(node).systemUUID, node, macs(node), { mtu })),
    ),
  );

const isSettled = ({ state, desiredCommit, appliedCommit }: NodeStatus): boolean =>
  state === 'Configured' && desiredCommit === appliedCommit;

const addresses = async (node: NodeName, name: string): Promise<string> =>
  cluster.exec(node, ['ip', '-brief', 'address', 'show', name]);

const mtuOf = async (node: NodeName): Promise<string> =>
  cluster.exec(node, ['cat', '/sys/class/net/multinic0/mtu']);

const sh = async (node: NodeName, script: string): Promise<string> =>
  cluster.exec(node, ['sh', '-ec', script]);

async function reboot(): Promise<void> {
  for (const node of NODES) await cluster.machine(node).reboot();
  for (const node of NODES) {
    await waitFor(
      `${node}: multinic0`,
      async () => (await addresses(node, 'multinic0')).includes('10.120.'),
      {
        timeoutMs: 60_000,
        hint: () => cluster.exec(node, ['ip', 'address']),
      },
    );
    await multinic.kubectl('wait', 'node', node, '--for=condition=Ready', '--timeout=120s');
  }
}

test('two NICs on each, by Jobs', async () => {
  await want((node) => MACS[node]);
  await multinic.waitReady(CR);
  for (const node of NODES) {
    for (const [index, mac] of MACS[node].entries()) {
      expect(await linkName(cluster, node, mac)).toBe(`multinic${index}`);
      expect(await addresses(node, `multinic${index}`)).toMatch(/UP +10\.12[01]\./);
    }
  }
  expect(
    await cluster.exec('rhel', ['nmcli', '-g', 'GENERAL.CONNECTION', 'device', 'show', 'multinic0']),
  ).toBe('multinic0');
  expect(await cluster.exec('rhel', ['sh', '-c', 'ls /etc/netplan 2>/dev/null || true'])).toBe('');
});

test('an MTU changes, a NIC leaves, and both nodes reboot', async () => {
  await want((node) => MACS[node].slice(0, 1), 1400);
  await multinic.waitReady(CR);
  for (const node of NODES) {
    expect(await mtuOf(node)).toBe('1400');
    expect(await linkName(cluster, node, MACS[node][1])).not.toContain('multinic');
  }
  await reboot();
});

/** State of other software on the node's own NIC: of a routing daemon, of a CNI. */
async function putForeign(node: NodeName): Promise<void> {
  const gateway = cluster.lab.slot.address('0.254');
  await sh(
    node,
    `ip route add 10.50.0.0/16 via ${gateway} dev eth0 proto bgp
    ip route add 10.51.0.0/16 via ${gateway} dev eth0 table 100
    ip route add blackhole 10.53.0.0/16
    ip rule add from 10.52.0.0/16 lookup 100 priority 1000`,
  );
}

/** This state and all other foreign state, such as the CNI's routes. */
const notOurs = async (node: NodeName): Promise<string> =>
  sh(
    node,
    `ip -o address show eth0 | tr -s ' ' | cut -d ' ' -f 2-4; ip rule; ip route show table 100
    ip route show table main | grep -v multinic; ip -6 route show dev eth0`,
  );

async function under(mode: 'full' | 'files', mtu: number): Promise<void> {
  await multinic.kubectl('annotate', 'node', ...NODES, `multinic.io/apply=${mode}`);
  await want((node) => MACS[node].slice(0, 1), mtu);
  await multinic.waitReady(CR);
  await multinic.kubectl('annotate', 'node', ...NODES, 'multinic.io/apply-');
}

describe('apply', () => {
  test('full: the network manager of the node applies all files, and foreign state on its NIC is restored', async () => {
    const log = '/run/multinic-apply.log';
    for (const node of NODES) {
      await putForeign(node);
      await sh(node, `rm -f ${log}`);
    }
    const before = await Promise.all(NODES.map(notOurs));
    expect(before.join('\n')).toMatch(/blackhole 10\.53[^]*blackhole 10\.53/);
    await under('full', 1450);
    for (const [index, node] of NODES.entries()) {
      expect(await mtuOf(node)).toBe('1450');
      expect(await addresses(node, 'multinic0')).toMatch(/UP +10\.120\./);
      expect(await cluster.exec(node, ['cat', FILE[node]])).toContain('1450');
      expect(await notOurs(node)).toBe(before[index]);
      await sh(node, `test -e ${log}`);
    }
  });

  test('files: the running NIC stays as it is until the node boots', async () => {
    await under('files', 1460);
    for (const node of NODES) {
      expect(await cluster.exec(node, ['cat', FILE[node]])).toContain('1460');
      expect(await mtuOf(node)).toBe('1450');
    }
    await reboot();
    for (const node of NODES) expect(await mtuOf(node)).toBe('1460');
  });
});

/** The node runs again after a minute by itself, and at once after a retry. */
async function configured(node: NodeName): Promise<boolean> {
  const { status } = await multinic.configOf(CR);
  if (status?.nodeStatuses?.every(isSettled) === true) return true;
  await alice.command(`/nodes/${node}/retry`);
  return false;
}

async function runningPod(node: NodeName): Promise<string | undefined> {
  const { items } = await multinic.json<{
    items: { metadata: { name: string }; spec: { nodeName: string } }[];
  }>('get', 'pods', '--selector=app.kubernetes.io/component=agent', '--field-selector=status.phase=Running');
  return items.find(({ spec }) => spec.nodeName === node)?.metadata.name;
}

/** Runs `agent plan` as docs/agent-tools.md says: the steps that a run of the newest commit would take. */
async function plan(node: NodeName): Promise<string> {
  const line = `POD=$(node dist/multinic.js shell ${node} --kubeconfig ${cluster.kubeconfig})
    in_pod() { kubectl exec -i -n multinic-system "$POD" -- "$@"; }
    git -C ${alice.dir}/store archive origin/node/${node} | in_pod sh -c 'mkdir /tmp/tree && tar -x -C /tmp/tree'
    in_pod multinic agent plan --root /host --tree /tmp/tree 2>&1
    echo "exit code $?"
    kubectl delete pod -n multinic-system "$POD" --wait=false > /dev/null`;
  await rm(join(alice.dir, 'store'), { recursive: true, force: true });
  await alice.clone();
  return run('bash', ['-c', line], { cwd: REPOSITORY, env: cluster.env, timeoutMs: 120_000 });
}

/** Subjects of a node's outcomes, oldest first. */
async function runsOf(node: NodeName): Promise<string[]> {
  const log = await multinic.git('log', '--first-parent', '--reverse', '--format=%s', `outcome/${node}`);
  return log.split('\n').filter((subject) => !subject.includes(' requested by '));
}

/** A new MTU each time, because with the old MTU nothing would happen. */
let mtu = 1390;

describe.each([
  ['deleted', ['--wait=false']],
  ['deleted by force', ['--force', '--grace-period=0']],
])('a pod that is %s while its agent changes the host', (_, how) => {
  const PORTS = Array.from({ length: 20 }, (__, index) => 7_001 + index);
  const [first, last] = [PORTS[0], PORTS.at(-1)];

  beforeAll(async () => {
    // Each second SYN is let through, and that comes after a second.
    for (const node of NODES) {
      await sh(
        node,
        `nft add table ip slow
        nft add chain ip slow input '{ type filter hook input priority 0; }'
        nft add rule ip slow input tcp dport ${first}-${last} tcp flags syn numgen inc mod 2 == 0 drop`,
      );
    }
  });

  afterAll(async () => {
    for (const node of NODES) await sh(node, 'nft delete table ip slow');
  });

  test.each(NODES)('%s: the host is whole, and the next run makes the change', async (node) => {
    mtu -= 10;
    const before = await runsOf(node);
    // The verification takes a second for each address and succeeds, so an uninterrupted run is Applied.
    const peer = node === 'rhel' ? '10.120.1.1' : '10.120.2.1';
    const probes = PORTS.map((port) => `${peer}:${port}`).join(',');
    await multinic.kubectl('annotate', 'node', node, `multinic.io/probes=${probes}`, '--overwrite');
    await want((name) => MACS[name].slice(0, 1), mtu);
    const pod = await waitFor(`${node}: its pod`, () => runningPod(node), {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    await waitFor(`${node}: the new MTU`, async () => (await mtuOf(node)) === String(mtu), {
      timeoutMs: 60_000,
      everyMs: 100,
    });
    await multinic.kubectl('delete', 'pod', pod, ...how);
    await multinic.kubectl('annotate', 'node', node, 'multinic.io/probes-');
    await waitFor(`${node} is configured`, () => configured(node), { timeoutMs: 120_000, everyMs: 3_000 });
    const runs = (await runsOf(node)).slice(before.length);
    // The run ended with its report, or lost it with its pod.
    expect(runs[0]).toMatch(/: (Failed \w+ \(Interrupted|Unknown \w+ \(OutcomeLost), /);
    expect(runs.at(-1)).toMatch(/: Applied /);
    expect(await mtuOf(node)).toBe(String(mtu));
    expect(await cluster.exec(node, ['cat', FILE[node]])).toContain(String(mtu));
    expect(
      await cluster.exec(node, [
        'sh',
        '-c',
        'systemctl list-units --all --plain --no-legend "multinic-restore*"',
      ]),
    ).toBe('');
  });
});

test('the network manager is stopped: the run fails with the reason, the host is as before, and a later run succeeds', async () => {
  await cluster.exec('rhel', ['systemctl', 'stop', 'NetworkManager']);
  await want((node) => MACS[node]);
  const failed = await untilConfig(
    multinic,
    CR,
    'rhel has failed',
    ({ status }) =>
      status?.nodeStatuses?.some(
        ({ state, attachedNodeName }) => state === 'Failed' && attachedNodeName === 'rhel',
      ) === true,
  );
  expect(
    failed.status?.nodeStatuses?.find(({ attachedNodeName }) => attachedNodeName === 'rhel'),
  ).toMatchObject({
    reason: 'NetworkManagerDown',
  });
  expect(await linkName(cluster, 'rhel', MACS.rhel[1])).not.toContain('multinic');
  expect(await plan('rhel')).toMatch(/refused \(NetworkManagerDown\)[^]*exit code 1/);
  expect((await events(multinic, 'NodeFailed')).join('\n')).toContain('NetworkManager does not answer');
  await cluster.exec('rhel', ['systemctl', 'start', 'NetworkManager']);
  await waitFor('rhel is configured', () => configured('rhel'), { timeoutMs: 120_000, everyMs: 3_000 });
  expect(await addresses('rhel', 'multinic1')).toContain('10.121.');
  for (const node of NODES) expect(await plan(node)).toMatch(/nothing to do[^]*exit code 0/);
});
