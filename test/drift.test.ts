// Drift in a local home, a case for each rule of docs/drift.md: real agents on recorded machines, edited by hand.

import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { parse, stringify } from 'yaml';
import type { DriftEntry } from '../src/history/drifts.ts';
import { host, mtuOf, results, setMtu, untilResults } from './support/drifting-host.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO] = NODES;
const IFCFG = 'etc/sysconfig/network-scripts/ifcfg-multinic0';

/** A home with three configured nodes; one of them only reports drift. */
async function startReporting(node: string): Promise<LocalRun> {
  const local = await LocalRun.prepare(inject('configuredHome'));
  await annotate(local, node, { 'multinic.io/drift': 'report' });
  await local.launch();
  await local.settled();
  return local;
}

interface Looked {
  readonly node: string;
  readonly result?: string;
  readonly at?: string;
  readonly differences?: readonly object[];
}

/** Asks for an observation, and waits until it has ended. */
async function observe(local: LocalRun, node: string): Promise<Looked> {
  const { stdout } = await local.cli('observe', node, '--wait', '-o', 'json');
  return (JSON.parse(stdout) as { items: Looked[] }).items[0]!;
}

async function editFile(
  local: LocalRun,
  node: string,
  path: string,
  from: string,
  to: string,
): Promise<void> {
  const text = (await local.hostFile(node, path))!;
  expect(text).toContain(from);
  await writeFile(join(local.hostRoot(node), path), text.replace(from, to));
}

async function drifts(local: LocalRun): Promise<DriftEntry[]> {
  const { stdout } = await local.cli('drift', '-C', local.dir, '-o', 'json');
  return (JSON.parse(stdout) as { items: DriftEntry[] }).items;
}

/** Annotates a node of the inventory. */
async function annotate(local: LocalRun, node: string, annotations: Record<string, string>): Promise<void> {
  const file = join(local.dir, 'inventory.yaml');
  const inventory = parse(await readFile(file, 'utf8')) as {
    nodes: { name: string; annotations?: object }[];
  };
  inventory.nodes.find(({ name }) => name === node)!.annotations = annotations;
  await writeFile(file, stringify(inventory));
}

test('an edit of the host is noticed, committed and repaired, and nothing else makes a commit', async () => {
  await using local = await LocalRun.start();
  const before = await local.outcomes();
  await local.editHost(ONE, setMtu(1300));
  await untilResults(local, ONE, ['Applied', 'Drifted', 'Applied']);
  await local.settled();
  expect(mtuOf(await host(local, ONE))).toBe(1500);
  expect(await local.git('log', '-1', '--format=%s%n%b', `outcome/${ONE}~1`)).toMatch(
    /Drifted from [0-9a-f]{10} \(1 difference\)\nmultinic0 \(02:00:00:00:01:01\) has MTU 1300 instead of 1500\n/,
  );
  expect(await local.output).toContain('Drifted');
  // The repair's own edit of host.yaml starts no observation, and an observation without a difference makes no commit.
  const after = await local.outcomes();
  await observe(local, ONE);
  expect(await local.outcomes()).toEqual(after);
  expect({ ...after, [ONE]: before[ONE] }).toEqual(before);
});

test('differences of a NIC, an address and a file are described in words, and repaired', async () => {
  await using local = await LocalRun.start();
  await local.editHost(ONE, (machine) => {
    const [zero, one] = ['multinic0', 'multinic1'].map((name) =>
      machine.links.find((each) => each.name === name)!,
    );
    zero!.addresses = [];
    one!.up = false;
  });
  await untilResults(local, ONE, ['Applied', 'Drifted', 'Applied']);
  const words = await local.git('log', '-1', '--format=%b', `outcome/${ONE}~1`);
  expect(words).toContain('multinic0 (02:00:00:00:01:01) does not have its address 192.168.100.10/24');
  expect(words).toContain('multinic1 (02:00:00:00:01:02) is down');
  await rm(join(local.hostRoot(TWO), IFCFG));
  await local.run('observe', TWO);
  await untilResults(local, TWO, ['Applied', 'Drifted', 'Applied']);
  expect(await local.git('diff', '--name-status', `node/${TWO}`, `outcome/${TWO}~1`, '--', 'etc')).toBe(
    `D\t${IFCFG}`,
  );
  expect(await local.hostFile(TWO, IFCFG)).toContain('MTU=1500');
});

test('a person who waits for an observation is told what it found, and status has it', async () => {
  await using local = await LocalRun.start({ args: ['--drift', 'report'] });
  expect((await local.cli('status')).stdout).not.toContain('OBSERVED');
  const well = await local.cli('observe', TWO, '--wait');
  expect(well).toMatchObject({ code: 0, stdout: expect.stringMatching(/^k8s-worker-02 +Observed *$/m) });
  await editFile(local, TWO, IFCFG, 'MTU=1500', 'MTU=1350');
  const asked = Date.now();
  const ill = await local.cli('observe', TWO, ONE, '--wait');
  expect(ill.code).toBe(4);
  expect(ill.stdout).toMatch(/^k8s-worker-01 +Observed *$/m);
  expect(ill.stdout).toMatch(
    /^k8s-worker-02 +Drifted +etc.*ifcfg-multinic0 was changed: mtu 1350 instead of mtu 1500: multinic drift k8s-worker-02$/m,
  );
  const looked = await observe(local, TWO);
  expect(looked).toMatchObject({ node: TWO, result: 'Drifted', differences: [{ kind: 'FileChanged' }] });
  expect(Date.parse(looked.at!)).toBeGreaterThanOrEqual(asked);
  const shown = await local.cli('status', TWO, ONE);
  expect(shown.stdout).toMatch(/ AGE +OBSERVED +REASON/);
  expect(shown.stdout).toMatch(/^k8s-worker-02 +Failed +drifted .* \d+s Drifted +Drifted: /m);
  expect(await local.node(TWO)).toMatchObject({ observation: { at: looked.at, result: 'Drifted' } });
});

test('in mode report a drift waits for retry, and the same drift makes one commit', async () => {
  await using local = await startReporting(TWO);
  await editFile(local, TWO, IFCFG, 'MTU=1500', 'MTU=1350');
  await observe(local, TWO);
  await observe(local, TWO);
  expect(await results(local, TWO)).toEqual(['Drifted', 'Applied']);
  await local.untilStatus('it is told', ({ nodes }) =>
    nodes.some(({ node, state, reason }) => node === TWO && state === 'Failed' && reason === 'Drifted'),
  );
  expect(await local.node(TWO)).toMatchObject({ drifted: true });
  expect((await local.node(TWO)).message).toMatch(
    /mtu 1350 instead of mtu 1500.*multinic retry.*multinic accept/,
  );
  expect(await local.git('diff', `node/${TWO}`, `outcome/${TWO}`, '--', 'etc')).toContain(
    '-MTU=1500\n+MTU=1350',
  );
  expect(await drifts(local)).toMatchObject([{ node: TWO, first: false }]);
  const shown = await local.cli('drift', '-C', local.dir);
  expect(shown).toMatchObject({ code: 4 });
  expect(shown.stdout).toContain('1 node  ');
  // Another drift of the same node is another commit.
  await editFile(local, TWO, IFCFG, 'MTU=1350', 'MTU=1360');
  await observe(local, TWO);
  expect(await results(local, TWO)).toEqual(['Drifted', 'Drifted', 'Applied']);
  await local.run('retry', TWO);
  await untilResults(local, TWO, ['Applied', 'Requested', 'Drifted', 'Drifted', 'Applied']);
  expect(await local.hostFile(TWO, IFCFG)).toContain('MTU=1500');
  expect(await drifts(local)).toEqual([]);
});

test('drift of a NIC that a pod uses is reported, and repaired when the pod is gone', async () => {
  await using local = await LocalRun.start();
  await local.editHost(ONE, (machine) => {
    setMtu(1300)(machine);
    machine.uppers = [{ name: 'net1', lower: 'multinic0' }];
  });
  await untilResults(local, ONE, ['Drifted', 'Applied']);
  await local.untilStatus('it is told', ({ nodes }) =>
    nodes.some(({ node, state, reason }) => node === ONE && state === 'Failed' && reason === 'Drifted'),
  );
  expect((await local.node(ONE)).message).toContain(
    `the NIC carries net1, so no run touches it: no run can repair that; free the NIC, then run multinic retry ${ONE}`,
  );
  // The pod is made again under another name.
  await local.editHost(ONE, (machine) => (machine.uppers = [{ name: 'net2', lower: 'multinic0' }]));
  await observe(local, ONE);
  expect(await results(local, ONE)).toEqual(['Drifted', 'Applied']);
  expect(mtuOf(await host(local, ONE))).toBe(1300);
  await local.editHost(ONE, (machine) => delete machine.uppers);
  await untilResults(local, ONE, ['Applied', 'Drifted', 'Drifted', 'Applied']);
  expect(mtuOf(await host(local, ONE))).toBe(1500);
});

test('drift that ends by itself gets a commit that says so, and no run', async () => {
  await using local = await startReporting(ONE);
  await local.editHost(ONE, setMtu(1400));
  await untilResults(local, ONE, ['Drifted', 'Applied']);
  await local.editHost(ONE, setMtu(1500));
  await untilResults(local, ONE, ['Observed', 'Drifted', 'Applied']);
  // The commit is in git a moment before the pass reports the status.
  await local.untilStatus('all are Configured', ({ nodes }) =>
    nodes.every(({ state }) => state === 'Configured'),
  );
  expect(await results(local, ONE)).toEqual(['Observed', 'Drifted', 'Applied']);
  expect(await local.git('rev-parse', `outcome/${ONE}^{tree}`)).toBe(
    await local.git('rev-parse', `outcome/${ONE}~2^{tree}`),
  );
});

test("accept turns the host's state into a commit under the person's name, and the node is held", async () => {
  await using local = await startReporting(TWO);
  const none = await local.cli('accept', TWO, '-C', local.dir, '--yes');
  expect(none.stderr).toContain('NothingToAccept');
  await editFile(local, TWO, IFCFG, 'MTU=1500', 'MTU=1350');
  await observe(local, TWO);
  const shown = await local.tip(TWO);
  const stale = await acceptBy(local, TWO, { drift: shown, yes: true });
  expect(stale).toMatchObject({ code: 'DriftOutdated' });
  expect(await local.tip(TWO)).toBe(shown);
  await local.run('accept', TWO);
  await untilResults(local, TWO, ['Applied', 'Drifted', 'Applied']);
  const view = await local.applied(TWO, await local.tip(TWO));
  expect(view).toMatchObject({ held: true });
  expect(view.drifted).toBeUndefined();
  expect(mtuOf(await host(local, TWO))).toBe(1350);
  const commit = await local.git('log', '-1', '--format=%an%n%s%n%b', `node/${TWO}`);
  expect(commit).toContain(`${TWO}: accept what the host has: multinic0 mtu 1500 -> 1350`);
  expect(commit).toContain(`Accepts: ${await local.git('rev-parse', `outcome/${TWO}~1`)}`);
  expect(commit).not.toMatch(/^multinic-agent\n/);
  expect(await local.run('log', TWO)).toContain('edit ');
});

/** Accepts over the API, as a client that showed the drift to a person does. */
async function acceptBy(local: LocalRun, node: string, body: object): Promise<unknown> {
  const answer = await fetch(`${new URL(await local.remote()).origin}/api/v1/nodes/${node}/accept`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await local.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return answer.json();
}

test('accept is refused when the branch has moved, and for a file that a push may not contain', async () => {
  await using local = await startReporting(TWO);
  await editFile(local, TWO, IFCFG, 'MTU=1500', 'MTU=99999');
  await observe(local, TWO);
  expect((await local.cli('accept', TWO, '-C', local.dir, '--yes')).stderr).toContain(
    'mtu: 99999 is out of range',
  );
  await local.run('pause', TWO);
  const copy = await local.clone();
  await copy.edit(TWO, IFCFG, (text) => text.replace('MTU=1500', 'MTU=1450'));
  await copy.push(TWO);
  const refused = await local.cli('accept', TWO, '-C', local.dir, '--yes');
  expect(refused.stderr).toContain('DriftOutdated');
});

test('a paused node is observed, and not repaired', async () => {
  await using local = await LocalRun.start();
  await local.run('pause', ONE);
  await local.editHost(ONE, setMtu(1300));
  await untilResults(local, ONE, ['Drifted', 'Requested', 'Applied']);
  await local.untilStatus('it says so', ({ nodes }) =>
    nodes.some(({ node, reason, drifted }) => node === ONE && reason === 'Paused' && drifted === true),
  );
  expect(mtuOf(await host(local, ONE))).toBe(1300);
  await local.run('resume', ONE);
  await untilResults(local, ONE, ['Applied', 'Requested', 'Drifted', 'Requested', 'Applied']);
  expect(mtuOf(await host(local, ONE))).toBe(1500);
});

test('a difference that returns is repaired three times, and then only reported', async () => {
  await using local = await LocalRun.start();
  const expected = ['Applied'];
  for (const mtu of [1300, 1310, 1320]) {
    await local.editHost(ONE, setMtu(mtu));
    expected.unshift('Applied', 'Drifted');
    await untilResults(local, ONE, expected);
    await local.settled();
  }
  await local.editHost(ONE, setMtu(1330));
  await untilResults(local, ONE, ['Drifted', ...expected]);
  await local.untilStatus('it is a fight', ({ nodes }) =>
    nodes.some(({ node, state, reason }) => node === ONE && state === 'Failed' && reason === 'DriftFight'),
  );
  expect((await local.node(ONE)).message).toContain('comes back after each repair: multinic0');
  await local.run('retry', ONE);
  await untilResults(local, ONE, ['Applied', 'Requested', 'Drifted', ...expected]);
  expect(mtuOf(await host(local, ONE))).toBe(1500);
}, 120_000);

test('a NIC that something renames at each boot is a fight after three boots, and the message names cloud-init', async () => {
  await using local = await LocalRun.start();
  const mac = '02:00:00:00:01:01';
  const nameOf = async (): Promise<string> =>
    (await host(local, ONE)).links.find((each) => each.mac === mac)!.name;
  const boot = (index: number): Promise<void> =>
    local.editHost(ONE, (machine) => {
      machine.bootId = `boot-${index}`;
      machine.links.find((each) => each.mac === mac)!.name = 'ens6';
    });
  const cloudInit = join(local.hostRoot(ONE), 'var/lib/cloud/instance');
  await mkdir(cloudInit, { recursive: true });
  const renames = { version: 1, config: [{ type: 'physical', name: 'ens6', mac_address: mac }] };
  await writeFile(join(cloudInit, 'network-config.json'), JSON.stringify(renames));
  const expected = ['Applied'];
  for (const index of [1, 2, 3]) {
    await boot(index);
    expected.unshift('Applied', 'Drifted');
    await untilResults(local, ONE, expected);
    await local.settled();
    expect(await nameOf()).toBe('multinic0');
  }
  await boot(4);
  await untilResults(local, ONE, ['Drifted', ...expected]);
  const { nodes } = await local.untilStatus('it is a fight', (report) =>
    report.nodes.some(({ node, reason }) => node === ONE && reason === 'DriftFight'),
  );
  expect(nodes.find(({ node }) => node === ONE)!.message).toMatch(
    /comes back after each repair: 02:00:00:00:01:01 is named ens6 instead of multinic0\. Find the cause on the host \(cloud-init may rename/,
  );
  expect(await nameOf()).toBe('ens6');
  expect(await local.git('log', '-1', '--format=%b', `outcome/${ONE}`)).toContain(
    'Warning: CloudInitRenames',
  );
}, 120_000);

test('a node is observed after a boot, also after a boot while no controller ran', async () => {
  await using local = await LocalRun.start();
  await local.stop();
  await local.editHost(ONE, (machine) => {
    machine.bootId = 'another-boot';
    setMtu(1300)(machine);
  });
  await local.launch();
  await untilResults(local, ONE, ['Applied', 'Drifted', 'Applied']);
  expect(
    await local.git('log', '-1', '--format=%(trailers:key=Boot-ID,valueonly)', `outcome/${ONE}~1`),
  ).toContain('another-boot');
});

test('many nodes that drift at once stop all repairs until a person confirms', async () => {
  await using local = await LocalRun.prepare();
  const nodes = [ONE, 'twin-1', 'twin-2', 'twin-3', 'twin-4'];
  await addTwins(local, nodes.slice(1));
  await local.launch({ args: ['--drift', 'report'] });
  await local.settled();
  for (const node of nodes) await local.editHost(node, setMtu(1300));
  for (const node of nodes) await untilResults(local, node, ['Drifted', 'Applied']);
  await local.restart({ args: ['--drift', 'repair'] });
  const stopped = await local.untilStatus('repairs are stopped', (report) =>
    nodes.every((name) =>
      report.nodes.some(({ node, reason }) => node === name && reason === 'RepairsStopped'),
    ),
  );
  expect(stopped.nodes.find(({ node }) => node === ONE)!.message).toContain('5 nodes drifted within an hour');
  await local.run('confirm', 'repairs', '--yes');
  for (const node of nodes) await untilResults(local, node, ['Applied', 'Drifted', 'Applied']);
  expect((await local.cli('confirm', 'repairs', '-C', local.dir, '--yes')).stderr).toContain(
    'NothingToConfirm',
  );
}, 120_000);

/** Adds machines like the first one, each with its own IDs and NICs. */
async function addTwins(local: LocalRun, names: readonly string[]): Promise<void> {
  const file = join(local.dir, 'inventory.yaml');
  const inventory = parse(await readFile(file, 'utf8')) as { nodes: object[] };
  const config = await local.config();
  for (const [index, name] of names.entries()) {
    const mac = (nic: number): string => `02:00:00:00:4${index}:0${nic}`;
    await cp(join(local.dir, 'nodes', ONE), join(local.dir, 'nodes', name), { recursive: true });
    inventory.nodes.push({ name, systemUUID: `i-${name}`, osImage: 'Ubuntu 22.04.4 LTS' });
    await local.editHost(name, (machine) => {
      machine.machineId = `machine-of-${name}`;
      machine.links[1]!.mac = mac(1);
      machine.links.splice(2, 1);
    });
    config.spec.nodeConfigs.push({
      attachedNodeId: `i-${name}`,
      attachedNodeName: name,
      interfaces: [
        { macAddress: mac(1), address: `192.168.100.4${index}`, cidr: `192.168.100.4${index}/24`, mtu: 1500 },
      ],
    });
  }
  await writeFile(file, stringify(inventory));
  await local.writeConfig(config);
}
