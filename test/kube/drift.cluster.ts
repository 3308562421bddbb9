// Drift in a cluster, on a node of networkd 252 and on one of NetworkManager: each difference is seen at the next
// observation or after the next boot, told in words, and repaired or only told. The controller is on a third node.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Cluster } from '../cluster/cluster.ts';
import type { Multinic } from '../cluster/install.ts';
import { waitFor } from '../nodes/wait.ts';
import {
  attach,
  BUILD_MS,
  conditionOf,
  config,
  entry,
  linkName,
  metricsOf,
  nodeOf,
  Person,
  setUp,
  untilConfig,
} from '../support/kube-cluster.ts';
import { MACS, NODES, type NodeName } from '../support/two-kinds.ts';

const CR = 'drift';
const FILE: Readonly<Record<NodeName, string>> = {
  debian: 'etc/netplan/90-multinic0.yaml',
  rhel: 'etc/NetworkManager/system-connections/multinic0.nmconnection',
};
const nicOf = (node: NodeName, index: 0 | 1): string => `multinic${index} (${MACS[node][index]})`;
const SEEN_AFTER_BOOT_MS = 60_000;

let cluster: Cluster;
let multinic: Multinic;
let alice: Person;
/** May read. */
let bob: Person;

beforeAll(async () => {
  ({ cluster, multinic } = await setUp([
    { name: 'controller' },
    { name: 'debian' },
    { name: 'rhel', rootfs: 'networkmanager-node' },
  ]));
  for (const node of NODES) await attach(cluster, node, ...MACS[node]);
  alice = await Person.create(multinic, 'alice', 'write');
  bob = await Person.create(multinic, 'bob', 'read');
  // The image of the node says Debian, so the renderer has to be told.
  await multinic.kubectl('annotate', 'node', 'rhel', 'multinic.io/renderer=keyfile');
  const entries = NODES.map((node) => entry(cluster.machine(node).systemUUID, node, MACS[node]));
  await multinic.applyConfig(config(CR, entries));
  await multinic.waitReady(CR);
  await alice.clone();
}, BUILD_MS);

afterAll(async () => {
  await alice?.[Symbol.asyncDispose]();
  await bob?.[Symbol.asyncDispose]();
  await cluster?.stop();
}, 60_000);

const both = <T>(act: (node: NodeName) => Promise<T>): Promise<T[]> => Promise.all(NODES.map(act));

const sh = (node: NodeName, script: string): Promise<string> =>
  cluster.exec(node, ['sh', '-ec', script], { timeoutMs: 60_000 });

/** Results of the observations of a node that have ended, oldest first. */
async function observations(node: NodeName): Promise<string[]> {
  const lines = (await multinic.controllerLog()).split('\n').filter((line) => line.startsWith('{'));
  return lines
    .map((line) => JSON.parse(line) as { msg: string; node?: string; result?: string })
    .flatMap((line) => (line.msg === 'observation ended' && line.node === node ? [line.result ?? ''] : []));
}

/** Looks at both nodes now. @returns how the observation ended on each */
async function observe(): Promise<string[]> {
  const before = await both(observations);
  await alice.command('/observe', { nodes: NODES });
  return waitFor(
    'the observations',
    async () => {
      const now = await both(observations);
      return now.every((ended, index) => ended.length > before[index]!.length) && now.map((e) => e.at(-1)!);
    },
    { timeoutMs: 60_000, everyMs: 500, hint: () => multinic.controllerLog() },
  );
}

interface Kept {
  readonly result: string;
  readonly body: string;
}

/** Records of the outcome branch of a node, oldest first. */
async function records(node: NodeName): Promise<Kept[]> {
  const format = '--format=%(trailers:key=Result,valueonly,separator=%x2C)%x1f%b%x1e';
  const text = await multinic.git('log', '--first-parent', '--reverse', format, `outcome/${node}`);
  return text
    .split('\x1e')
    .map((each) => each.trim().split('\x1f'))
    .flatMap(([result = '', body = '']) => (result === '' ? [] : [{ result, body }]));
}

type Mark = Record<NodeName, number>;

const mark = async (): Promise<Mark> =>
  Object.fromEntries(await both(async (node) => [node, (await records(node)).length])) as Mark;

/** Waits until a node has these records after a mark. @returns what the first drift among them says */
async function since(node: NodeName, { [node]: from }: Mark, results: readonly string[]): Promise<string> {
  let last: Kept[] = [];
  return waitFor(
    `${node}: ${results.join()}`,
    async () => {
      last = (await records(node)).slice(from);
      const isThere = last.map(({ result }) => result).join() === results.join();
      return isThere && (last.find(({ result }) => result === 'Drifted')?.body ?? 'no drift');
    },
    { timeoutMs: 90_000, everyMs: 500, hint: () => JSON.stringify(last, undefined, 1) },
  );
}

/** An interface in the status of the CR. */
function nicStatus(node: NodeName, index: 0 | 1, state: string, reason?: string): object {
  const macAddress = MACS[node][index];
  const address = `10.12${index}.${NODES.indexOf(node) + 1}.${index + 1}/16`;
  return { name: `multinic${index}`, macAddress, address, state, ...(reason !== undefined && { reason }) };
}

/** Messages of the Events about drift. */
const driftEvents = (): Promise<string> =>
  multinic.kubectl(
    'get',
    'events',
    '--field-selector=reason=Drifted',
    '--output=jsonpath={.items[*].message}',
  );

const allConfigured = (what: string): Promise<unknown> =>
  untilConfig(multinic, CR, what, (stored) =>
    NODES.every((node) => {
      const { state, drifted } = nodeOf(stored, node) ?? {};
      return state === 'Configured' && drifted !== true;
    }),
  );

/** Does something on both hosts, looks at them, and waits for the drift and its repair. @returns what each drift says */
async function driftAndRepair(act: (node: NodeName) => Promise<unknown>): Promise<string[]> {
  const from = await mark();
  await both(act);
  await observe();
  const told = await both((node) => since(node, from, ['Drifted', 'Applied']));
  await allConfigured('repaired');
  return told;
}

/** What the commit says of both NICs is so on the host. */
async function expectWhole(mtu = 1500): Promise<void> {
  for (const node of NODES) {
    for (const index of [0, 1] as const) {
      expect(await linkName(cluster, node, MACS[node][index])).toBe(`multinic${index}`);
      const shown = await sh(node, `ip -o link show multinic${index}; ip -o addr show multinic${index}`);
      expect(shown).toContain(` inet 10.12${index}.`);
      expect(shown).toMatch(/[<,]UP[,>]/);
      expect(shown).toContain(` mtu ${index === 0 ? mtu : 1500} `);
    }
    expect(await sh(node, `cat /${FILE[node]}`)).toMatch(new RegExp(`mtu[:=] *${mtu}`));
  }
}

test('additions of others, and a missing carrier, are no drift', async () => {
  const from = await mark();
  await both(async (node) => {
    await sh(
      node,
      `ip address add 10.120.200.200/32 dev multinic0
      ip route add 172.20.0.0/16 via 10.120.200.1 dev multinic0
      ip rule add from 10.120.200.200 lookup 77
      ip link add mv0 link multinic0 type macvlan`,
    );
    await cluster.machine(node).setCarrier(MACS[node][1], false);
  });
  // A network manager takes the address away by now, or leaves it.
  await new Promise((resolve) => setTimeout(resolve, 8_000));
  expect(await observe()).toEqual(['Observed', 'Observed']);
  await both(async (node) => {
    await cluster.machine(node).setCarrier(MACS[node][1], true);
    await sh(
      node,
      `ip link del mv0; ip rule del from 10.120.200.200 lookup 77
      ip route del 172.20.0.0/16; ip address del 10.120.200.200/32 dev multinic0`,
    );
  });
  await both((node) => since(node, from, []));
});

test('an address deleted and an MTU changed are told and repaired', async () => {
  const told = await driftAndRepair((node) =>
    sh(
      node,
      `address=$(ip -o -4 addr show multinic0 | tr -s ' ' | cut -d ' ' -f 4)
      ip address del "$address" dev multinic0; ip link set multinic1 mtu 1400`,
    ),
  );
  for (const [index, node] of NODES.entries()) {
    expect(told[index]).toContain(`${nicOf(node, 0)} does not have its address 10.120.${index + 1}.1/16\n`);
    expect(told[index]).toContain(`${nicOf(node, 1)} has MTU 1400 instead of 1500\n`);
  }
  await expectWhole();
});

test('a file deleted and a link set down are told and repaired', async () => {
  const told = await driftAndRepair((node) => sh(node, `rm /${FILE[node]}; ip link set multinic1 down`));
  for (const [index, node] of NODES.entries()) {
    expect(told[index]).toContain(`${FILE[node]} is missing\n`);
    expect(told[index]).toContain(`${nicOf(node, 1)} is down\n`);
  }
  await expectWhole();
});

test('a NIC unplugged is told, and the NIC that comes back is configured', async () => {
  const from = await mark();
  await both((node) => cluster.machine(node).detachNic(MACS[node][1]));
  await observe();
  for (const node of NODES)
    expect(await since(node, from, ['Drifted', 'Pending'])).toContain(
      `${nicOf(node, 1)} is not on the machine\n`,
    );
  const stored = await untilConfig(multinic, CR, 'both wait for the NIC', (each) =>
    NODES.every((node) => nodeOf(each, node)?.state === 'Pending'),
  );
  for (const node of NODES)
    expect(nodeOf(stored, node)?.interfaces).toEqual([
      nicStatus(node, 0, 'Configured'),
      nicStatus(node, 1, 'Pending', 'InterfacesMissing'),
    ]);
  await both((node) => cluster.machine(node).attachNic({ mac: MACS[node][1], network: 'tenant' }));
  await observe();
  await both((node) => since(node, from, ['Drifted', 'Pending', 'Requested', 'Applied']));
  await allConfigured('the NICs are back');
  await expectWhole();
});

test('mode report: an edited file is told, git shows the edit, and accept makes it the wish of the node', async () => {
  const from = await mark();
  await multinic.kubectl('annotate', 'node', ...NODES, 'multinic.io/drift=report');
  await both((node) => sh(node, `sed -i 's/\\(mtu[:=] *\\)1500/\\11400/' /${FILE[node]}`));
  await observe();
  const stored = await untilConfig(multinic, CR, 'both are told', (each) =>
    NODES.every((node) => nodeOf(each, node)?.reason === 'Drifted'),
  );
  expect(conditionOf(stored, 'Stalled')).toMatchObject({ status: 'True', reason: 'Drifted' });
  expect(conditionOf(stored, 'Reconciling')).toMatchObject({ status: 'False' });
  expect(await metricsOf(multinic)).toContain('\nmultinic_nodes_drifted 2\n');
  for (const node of NODES) {
    const words = `${FILE[node]} was changed: mtu 1400 instead of mtu 1500`;
    expect(await since(node, from, ['Drifted'])).toContain(`${words}\n`);
    expect(nodeOf(stored, node)).toMatchObject({
      state: 'Failed',
      drifted: true,
      message: expect.stringContaining(words),
      interfaces: [nicStatus(node, 0, 'Failed', 'FileChanged'), nicStatus(node, 1, 'Configured')],
    });
    expect(await driftEvents()).toContain(words);
    await alice.git('fetch', '-q');
    const diff = await alice.git('diff', '-U0', `origin/node/${node}`, `origin/outcome/${node}`, '--', 'etc');
    expect(diff.split('\n').filter((line) => /^[-+] *\w/.test(line))).toEqual([
      expect.stringMatching(/^- *mtu[:=] *1500$/),
      expect.stringMatching(/^\+ *mtu[:=] *1400$/),
    ]);
    expect(await bob.ask('GET', `/api/v1/nodes/${node}/drift`)).toMatchObject({
      status: 200,
      body: [{ node }],
    });
    for (const command of ['accept', 'retry'])
      expect(await bob.ask('POST', `/api/v1/nodes/${node}/${command}`, {})).toMatchObject({ status: 403 });
    await alice.command(`/nodes/${node}/accept`);
    await since(node, from, ['Drifted', 'Applied']);
    await alice.git('fetch', '-q');
    const author = await alice.git('log', '-1', '--format=%an', `origin/node/${node}`);
    expect(author).toContain('alice');
  }
  const accepted = await untilConfig(multinic, CR, 'both are configured', (each) =>
    NODES.every((node) => nodeOf(each, node)?.state === 'Configured'),
  );
  for (const node of NODES) expect(nodeOf(accepted, node)).toMatchObject({ held: true });
  await expectWhole(1400);
});

test('a paused node is looked at, and repaired once it is resumed', async () => {
  const from = await mark();
  await multinic.kubectl('annotate', 'node', ...NODES, 'multinic.io/drift-', 'multinic.io/paused=true');
  await untilConfig(multinic, CR, 'both are paused', (each) =>
    NODES.every((node) => nodeOf(each, node)?.paused === true),
  );
  await both((node) => sh(node, 'ip link set multinic1 mtu 1300'));
  await observe();
  await both((node) => since(node, from, ['Drifted']));
  for (const node of NODES) expect(await sh(node, 'cat /sys/class/net/multinic1/mtu')).toBe('1300');
  await multinic.kubectl('annotate', 'node', ...NODES, 'multinic.io/paused-');
  await both((node) => since(node, from, ['Drifted', 'Applied']));
  await allConfigured('resumed');
  await expectWhole(1400);
});

const RENAME = `[Unit]
After=systemd-networkd.service NetworkManager.service systemd-udev-settle.service
Before=kubelet.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for i in $(seq 100); do ip link show multinic1 && break; sleep 0.2; done; sleep 3; ip link set multinic1 down; ip link set multinic1 name lan0; ip link set lan0 up'
[Install]
WantedBy=multi-user.target
`;

test('a NIC that a unit renames at boot is seen within a minute after the boot, and repaired', async () => {
  const from = await mark();
  await both(async (node) => {
    await cluster.machine(node).write('/etc/systemd/system/rename.service', RENAME);
    await sh(node, 'systemctl enable rename.service 2>&1');
    await cluster.machine(node).reboot();
  });
  const booted = Date.now();
  for (const node of NODES) {
    const told = await since(node, from, ['Drifted', 'Applied']);
    expect(told).toContain(`${MACS[node][1]} is named lan0 instead of multinic1\n`);
  }
  console.log(`seen and repaired ${Date.now() - booted} ms after the boot`);
  expect(Date.now() - booted).toBeLessThan(SEEN_AFTER_BOOT_MS);
  await allConfigured('repaired');
  await expectWhole(1400);
});

test('a disk re-imaged is seen within a minute after the boot, and the machine is configured anew', async () => {
  const from = await mark();
  await both((node) => cluster.reimage(node));
  const booted = Date.now();
  for (const node of NODES) expect(await sh(node, `ls /${FILE[node]} 2>/dev/null || true`)).toBe('');
  await both((node) => since(node, from, ['Requested', 'Applied']));
  console.log(`configured anew ${Date.now() - booted} ms after the boot`);
  expect(Date.now() - booted).toBeLessThan(SEEN_AFTER_BOOT_MS);
  await allConfigured('configured anew');
  await expectWhole(1400);
});

/** Jobs and pods of observations, a line each. */
const observers = (): Promise<string> =>
  multinic.kubectl(
    'get',
    'jobs,pods',
    '--selector=app.kubernetes.io/name=multinic-observer',
    '--output=name',
  );

test('no Job and no pod of an observation is left', async () => {
  expect(await observe()).toEqual(['Observed', 'Observed']);
  await waitFor('all are gone', async () => (await observers()).trim() === '', {
    timeoutMs: 60_000,
    everyMs: 1_000,
    hint: observers,
  });
});
