// History from outside: the fixture home, real agents on recorded hosts, and people who push with plain git.

import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { LocalRun, NODES, type TestEntry, type TestHost, type TestSpec } from './support/local.ts';

const [ONE, TWO, THREE] = NODES;
const NETPLAN_0 = 'etc/netplan/90-multinic0.yaml';
const NETPLAN_1 = 'etc/netplan/91-multinic1.yaml';
const IFCFG_0 = 'etc/sysconfig/network-scripts/ifcfg-multinic0';

const mtu =
  (value: number) =>
  (text: string): string =>
    text.replace(/mtu: \d+/i, `mtu: ${value}`).replace(/MTU=\d+/, `MTU=${value}`);

const entryOf = (spec: TestSpec, node: string): TestEntry =>
  spec.nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === node)!;

const setMtu =
  (node: string, value: number, nic = 0) =>
  (spec: TestSpec): void => {
    entryOf(spec, node).interfaces![nic]!.mtu = value;
  };

/** All files of a branch, by path. */
async function treeOf(local: LocalRun, revision: string): Promise<Record<string, string>> {
  const paths = (await local.git('ls-tree', '-r', '--name-only', revision)).split('\n');
  const texts = await Promise.all(paths.map((path) => local.git('show', `${revision}:${path}`)));
  return Object.fromEntries(paths.map((path, index) => [path, `${texts[index]}\n`]));
}

async function expectedTree(node: string): Promise<Record<string, string>> {
  const folder = join(import.meta.dirname, 'expected', node);
  const paths = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  return Object.fromEntries(paths.map((path, index) => [path.slice(folder.length + 1), texts[index]!]));
}

const trailers = (local: LocalRun, revision: string, key: string): Promise<string> =>
  local.git('log', '-1', `--format=%(trailers:key=${key},valueonly,separator=%x2C)`, revision);

const kinds = async (local: LocalRun, node: string): Promise<string[]> =>
  (await local.git('log', '--format=%(trailers:key=Change,valueonly,separator=%x2C)', `node/${node}`))
    .split('\n')
    .map((kind) => kind || 'edit');

test("the CR of the README gives exactly the expected trees, and git log of a clone shows each node's commits", async () => {
  await using local = await LocalRun.start();
  for (const node of NODES) {
    const expected = await expectedTree(node);
    expect(await treeOf(local, `node/${node}`)).toEqual(expected);
    const { 'node.yaml': _, ...managed } = expected;
    for (const [path, text] of Object.entries(managed)) expect(await local.hostFile(node, path)).toBe(text);
    expect(await local.subjects(`outcome/${node}`)).toEqual([
      expect.stringMatching(`^${node}: Applied ${(await local.tip(node)).slice(0, 10)} \\(attempt 1`),
      `${node}: nothing applied yet`,
    ]);
  }
  const copy = await local.clone();
  await copy.switch(ONE);
  const story = await copy.git('log', '-p', '--reverse', `node/${ONE}`);
  expect(story.replaceAll(/^(commit|Date:|index).*\n/gm, '')).toContain(
    `    ${ONE}: birth, ubuntu 22, netplan`,
  );
  expect(story.indexOf('birth, ubuntu 22')).toBeLessThan(story.indexOf('add multinic0 192.168.100.10/24'));
  expect(story).toMatch(/\+ {6}mtu: 1500/);
  expect(await trailers(local, `node/${ONE}`, 'Change')).toBe('spec');
  expect(await trailers(local, `node/${ONE}`, 'Main-Commit')).toBe(await local.ref('refs/heads/main'));
});

test('multinic1 of three leaves the CR: its file is backed up, and no other file is rewritten or renamed', async () => {
  await using local = await LocalRun.prepare();
  await local.editHost(ONE, ({ links }) =>
    links.push({ name: 'ens8', mac: '02:00:00:00:01:03', up: false, mtu: 1500 }),
  );
  const config = await local.config();
  entryOf(config.spec, ONE).interfaces!.push({ macAddress: '02:00:00:00:01:03', cidr: '192.168.210.10/24' });
  await local.writeConfig(config);
  await local.launch();
  await local.settled();
  const kept = [NETPLAN_0, 'etc/netplan/92-multinic2.yaml'].map((path) => join(local.hostRoot(ONE), path));
  const identity = async (): Promise<unknown[]> =>
    (await Promise.all(kept.map((path) => stat(path, { bigint: true })))).map(({ ino, mtimeNs, ctimeNs }) => [
      ino,
      mtimeNs,
      ctimeNs,
    ]);
  const before = await identity();
  const gone = await local.hostFile(ONE, NETPLAN_1);

  await local.editConfig((spec) => entryOf(spec, ONE).interfaces!.splice(1, 1));

  expect(await identity()).toEqual(before);
  expect(await local.hostFile(ONE, NETPLAN_1)).toBeUndefined();
  const backups = await readdir(join(local.hostRoot(ONE), 'etc/netplan/backup'));
  expect(backups).toHaveLength(1);
  expect(await local.hostFile(ONE, `etc/netplan/backup/${backups[0]}`)).toBe(gone);
  expect(await local.git('diff', '--name-status', `node/${ONE}~`, `node/${ONE}`)).toBe(`D\t${NETPLAN_1}`);
  expect((await local.subjects(`node/${ONE}`))[0]).toBe(`${ONE}: remove multinic1`);
});

describe('a push with plain git', () => {
  test('changes its node alone, quickly, and holds until the CR changes the node', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    const others = async (): Promise<unknown> => ({ ...(await local.outcomes()), [ONE]: undefined });
    const before = await others();

    const edited = await copy.edit(ONE, NETPLAN_0, mtu(1400), 'smaller packets');
    const pushed = performance.now();
    const view = await local.applied(ONE, edited, 5_000);
    expect(performance.now() - pushed).toBeLessThan(5_000);
    expect(view).toMatchObject({ held: true, appliedCommit: edited });
    expect(view.message).toMatch(/^held since .* by Alice /);
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1400');
    expect(await others()).toEqual(before);
    expect(await local.run('show', ONE)).toMatch(
      /held +since .* by Alice <alice@example\.org> \(authenticated as operator\)/,
    );

    // An older commit, with a newer one on top of it.
    const newer = await copy.edit(ONE, NETPLAN_1, mtu(1300));
    await local.applied(ONE, newer);
    const reverted = await copy.revert(ONE, edited);
    await local.applied(ONE, reverted);
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1500');
    expect(await local.hostFile(ONE, NETPLAN_1)).toContain('mtu: 1300');
    expect(await others()).toEqual(before);

    // Another node in the CR, and the CR itself.
    await local.editConfig(setMtu(TWO, 1450));
    await local.editConfig((spec) => (spec.specHash = 'fedcba9876543210'));
    await local.editConfig((_, config) => (config.metadata.annotations = { 'multinic.io/apply': 'live' }));
    expect(await local.tip(ONE)).toBe(reverted);
    expect(await local.node(ONE)).toMatchObject({ held: true, state: 'Configured' });
    expect(await local.hostFile(TWO, IFCFG_0)).toContain('MTU=1450');

    await local.editConfig(setMtu(ONE, 1350));
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1350');
    expect(await local.hostFile(ONE, NETPLAN_1)).toContain('mtu: 1500');
    expect((await local.node(ONE)).held).toBeUndefined();
    expect(await trailers(local, `node/${ONE}`, 'Ends-Hold')).toBe(edited);
    expect((await local.subjects(`node/${ONE}`))[0]).toBe(
      `${ONE}: hold ended: multinic0 mtu 1500 -> 1350, multinic1 mtu 1300 -> 1500`,
    );
    expect(await local.run('log', ONE)).toContain(`ends the hold of ${edited.slice(0, 10)}`);
    expect(local.output).toMatch(
      /HoldEnded.*the CR changed this node: the hold ended, multinic0 mtu 1500 -> 1350/,
    );
  });

  test('reverts the newest commit, the first configuration, and a revert', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    const first = await local.tip(THREE);

    await local.editConfig(setMtu(TWO, 1400));
    await local.applied(TWO, await copy.revert(TWO, 'HEAD'));
    expect(await local.node(TWO)).toMatchObject({ held: true });
    expect(await local.hostFile(TWO, IFCFG_0)).toContain('MTU=1500');

    await local.applied(THREE, await copy.revert(THREE, first));
    expect(await local.node(THREE)).toMatchObject({ held: true });
    expect(await treeOf(local, `node/${THREE}`)).toEqual({ 'node.yaml': expect.any(String) });
    expect(await readdir(join(local.hostRoot(THREE), 'etc/NetworkManager/system-connections'))).not.toContain(
      'multinic0.nmconnection',
    );

    await local.applied(THREE, await copy.revert(THREE, 'HEAD'));
    expect((await local.node(THREE)).held).toBeUndefined();
    expect(await treeOf(local, `node/${THREE}`)).toEqual(await expectedTree(THREE));
  });
});

describe('CR to B, a revert to A, CR to A, CR to B:', () => {
  const A = 1500;
  const B = 1400;

  test('the node ends at B', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    await local.editConfig(setMtu(ONE, B));
    const held = await copy.revert(ONE, 'HEAD');
    await local.applied(ONE, held);
    await local.editConfig(setMtu(ONE, A));
    // The edit of the CR makes a commit, although the trees are equal, because it ends the hold.
    expect(await trailers(local, `node/${ONE}`, 'Ends-Hold')).toBe(held);
    expect(await local.git('diff', `node/${ONE}~`, `node/${ONE}`)).toBe('');
    await local.editConfig(setMtu(ONE, B));
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1400');
    expect(await local.node(ONE)).toMatchObject({ state: 'Configured' });
    expect(await kinds(local, ONE)).toEqual(['spec', 'spec', 'edit', 'spec', 'spec', 'birth']);
  });

  test('the node ends at B, although the controller was killed between main and the branches and was down for the last edit', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    await local.editConfig(setMtu(ONE, B));
    const held = await copy.revert(ONE, 'HEAD');
    await local.applied(ONE, held);
    await local.stop();

    const config = await local.config();
    setMtu(ONE, A)(config.spec);
    await local.writeConfig(config);
    await local.launch({ env: { MULTINIC_KILL_AT: 'mirror.main' } });
    expect(await local.ended()).toBe('SIGKILL');
    expect(await local.tip(ONE)).toBe(held);
    setMtu(ONE, B)(config.spec);
    await local.writeConfig(config);
    await local.changes(() => local.launch());

    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1400');
    expect(await kinds(local, ONE)).toEqual(['spec', 'spec', 'edit', 'spec', 'spec', 'birth']);
    expect(await trailers(local, `node/${ONE}~`, 'Ends-Hold')).toBe(held);
    expect((await local.node(ONE)).held).toBeUndefined();
    await local.git('fsck', '--full', '--strict');
  });
});

describe('commands', () => {
  test('release, rollback and its kinds', async () => {
    await using local = await LocalRun.start();
    const first = await local.tip(ONE);
    const change = await local.editConfig((spec) => {
      setMtu(ONE, 1400)(spec);
      setMtu(TWO, 1400)(spec);
    });

    await local.run('rollback', ONE);
    await local.applied(ONE, await local.tip(ONE));
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1500');
    expect(await local.node(ONE)).toMatchObject({ held: true });
    expect(await trailers(local, `node/${ONE}`, 'Change')).toBe('rollback');
    expect(await trailers(local, `node/${ONE}`, 'By')).toBe('operator');

    const moved = JSON.parse(await local.run('rollback', '--change', change, '-o', 'json')) as {
      moved: { node: string }[];
      skipped: { node: string; reason: string }[];
    };
    expect(moved.moved.map(({ node }) => node)).toEqual([TWO]);
    expect(moved.skipped).toMatchObject([{ node: ONE, reason: expect.stringMatching(/^moved on since/) }]);
    await local.applied(TWO, await local.tip(TWO));
    expect(await local.hostFile(TWO, IFCFG_0)).toContain('MTU=1500');

    const hold = await local.tip(ONE);
    await local.run('release', ONE);
    await local.applied(ONE, await local.tip(ONE));
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1400');
    expect(await trailers(local, `node/${ONE}`, 'Ends-Hold')).toBe(hold);
    expect((await local.node(ONE)).held).toBeUndefined();
    expect(await local.cli('release', ONE)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is not held/),
    });

    // The rollback goes to the state before the change, not before the release.
    expect(await local.run('rollback', '--change', change)).toMatch(new RegExp(`^${ONE} `));
    expect(await local.git('show', `node/${ONE}:${NETPLAN_0}`)).toContain('mtu: 1500');

    await local.editConfig(setMtu(ONE, 1300));
    await local.run('rollback', ONE, '--to', first);
    expect(await treeOf(local, `node/${ONE}`)).toEqual(await expectedTree(ONE));
    expect(await local.cli('rollback', ONE, '--to', first)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/already/),
    });
    expect(await local.cli('rollback', ONE, '--to', await local.tip(TWO))).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no commit of node/),
    });
  });

  test('pause, resume, retry and rerender', async () => {
    await using local = await LocalRun.start();
    await local.run('pause', ONE);
    await local.editConfig(setMtu(ONE, 1400));
    const tip = await local.tip(ONE);
    expect(await local.node(ONE)).toMatchObject({
      state: 'Pending',
      reason: 'Paused',
      paused: true,
      desiredCommit: tip,
    });
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1500');
    expect((await local.status())!.configs[0]!.conditions.find(({ type }) => type === 'Ready')!.status).toBe(
      'False',
    );
    await local.run('resume', ONE);
    await local.applied(ONE, tip);
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('mtu: 1400');

    const runs = (await local.subjects(`outcome/${TWO}`)).length;
    await local.run('retry', TWO);
    await local.until(
      'a second run',
      async () => (await local.subjects(`outcome/${TWO}`)).length === runs + 2,
    );
    expect((await local.subjects(`outcome/${TWO}`))[1]).toMatch(/retry requested by /);

    expect(await local.run('rerender', TWO)).toBe(`${TWO}  skipped: up to date`);
    expect(await local.cli('rerender', TWO, 'k8s-worker-9')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no node k8s-worker-9: .*\(NoSuchNode\)/),
    });
    await local.run('rerender', TWO, '--renderer', 'keyfile');
    await local.applied(TWO, await local.tip(TWO));
    expect(await trailers(local, `node/${TWO}`, 'Change')).toBe('rerender');
    expect((await local.node(TWO)).held).toBeUndefined();
    expect(await local.hostFile(TWO, IFCFG_0)).toBeUndefined();
    expect(
      await local.hostFile(TWO, 'etc/NetworkManager/system-connections/multinic0.nmconnection'),
    ).toContain('address1=192.168.100.11/24');
  });
});

describe('the identity of a node:', () => {
  test('names and netplan IDs of a host are adopted, and nothing is renamed', async () => {
    await using local = await LocalRun.prepare();
    await local.editHost(ONE, ({ links }) => {
      links.find(({ name }) => name === 'ens6')!.name = 'multinic3';
    });
    const cloudInit = join(local.hostRoot(ONE), 'etc/netplan/50-cloud-init.yaml');
    const described = parse(await readFile(cloudInit, 'utf8')) as {
      network: { ethernets: Record<string, unknown> };
    };
    described.network.ethernets['ens7'] = {
      match: { macaddress: '02:00:00:00:01:02' },
      dhcp4: true,
      'set-name': 'ens7',
    };
    await writeFile(cloudInit, stringify(described));
    await local.launch();
    await local.untilStatus(
      'configured',
      ({ nodes }) => nodes.length === 3 && nodes.every(({ state }) => state === 'Configured'),
    );

    expect(await kinds(local, ONE)).toEqual(['identity', 'identity', 'spec', 'birth']);
    const file = await local.git('show', `node/${ONE}:etc/netplan/93-multinic3.yaml`);
    expect(file).toContain('"02:00:00:00:01:01"');
    const other = await local.git('show', `node/${ONE}:${NETPLAN_1}`);
    expect(other).toMatch(/^ {4}ens7:$/m);
    const host = parse(await readFile(join(local.hostRoot(ONE), 'host.yaml'), 'utf8')) as TestHost;
    expect(host.links.find(({ mac }) => mac === '02:00:00:00:01:01')!.name).toBe('multinic3');
    expect((await local.node(ONE)).held).toBeUndefined();

    // The next change of the CR keeps the adopted names.
    await local.editConfig(setMtu(ONE, 1400, 1));
    expect(await local.git('diff', '--name-only', `node/${ONE}~`, `node/${ONE}`)).toBe(NETPLAN_1);
    expect(await local.hostFile(ONE, NETPLAN_1)).toMatch(/^ {4}ens7:$[^]*mtu: 1400/m);
  });

  test('a reinstalled node gets an identity commit and its files, and its hold stays', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    await local.applied(TWO, await copy.edit(TWO, IFCFG_0, mtu(1400)));
    await local.stop();
    for (const path of ['var', IFCFG_0]) await rm(join(local.hostRoot(TWO), path), { recursive: true });
    await local.editHost(TWO, (host) => {
      host.machineId = 'f'.repeat(32);
      host.bootId = '00000000-0000-4000-8000-000000000001';
      Object.assign(host.links[1]!, { name: 'ens6', up: false, mtu: 1500, addresses: [] });
    });
    await local.launch();
    await local.untilStatus('configured again', ({ nodes }) =>
      nodes.some(
        ({ node, state, desiredCommit, appliedCommit }) =>
          node === TWO && state === 'Configured' && desiredCommit === appliedCommit,
      ),
    );
    expect((await local.subjects(`node/${TWO}`))[0]).toBe(`${TWO}: new machine`);
    expect(await kinds(local, TWO)).toEqual(['identity', 'edit', 'spec', 'birth']);
    expect(await local.node(TWO)).toMatchObject({ held: true });
    expect(await local.hostFile(TWO, IFCFG_0)).toContain('MTU=1400');
    expect(await trailers(local, `outcome/${TWO}`, 'Machine-ID')).toBe('f'.repeat(32));
  });
});

describe('entries and CRs', () => {
  test('an entry that moves to another CR keeps its hold; of two claims the older one counts', async () => {
    await using local = await LocalRun.start();
    const copy = await local.clone();
    const held = await copy.edit(
      THREE,
      'etc/NetworkManager/system-connections/multinic0.nmconnection',
      (text) => text.replace('mtu=1500', 'mtu=1400'),
    );
    await local.applied(THREE, held);
    const config = await local.config();
    const entry = entryOf(config.spec, THREE);
    const other = {
      ...config,
      metadata: { ...config.metadata, name: 'other' },
      spec: { nodeConfigs: [entry] },
    };

    await local.changes(() => local.writeConfig(other));
    const views = (await local.status())!.nodes.filter(({ attachedNodeName }) => attachedNodeName === THREE);
    expect(views.map(({ config: key, state, reason }) => [key?.split('/').at(-1), state, reason])).toEqual([
      ['production-cluster-network', 'Configured', 'Held'],
      ['other', 'Pending', 'ClaimedByOther'],
    ]);
    expect(await local.tip(THREE)).toBe(held);
    const condition = (await local.status())!.configs.find(({ config: key }) =>
      key.endsWith('/other'),
    )!.conditions;
    expect(condition.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/belongs to .*production-cluster-network, which named it first/),
    });

    await local.editConfig(
      (spec) => (spec.nodeConfigs = spec.nodeConfigs.filter((each) => each.attachedNodeName !== THREE)),
    );
    expect((await local.subjects(`node/${THREE}`))[0]).toBe(`${THREE}: now of multinic-system/other`);
    expect(await local.node(THREE)).toMatchObject({
      held: true,
      state: 'Configured',
      config: expect.stringMatching(/other$/),
    });
  });

  test('a node that joins later, a bad entry beside good ones, a CR that is invalid as a whole', async () => {
    await using local = await LocalRun.prepare();
    const file = join(local.dir, 'inventory.yaml');
    const inventory = parse(await readFile(file, 'utf8')) as { nodes: { name: string }[] };
    await writeFile(file, stringify({ nodes: inventory.nodes.filter(({ name }) => name !== THREE) }));
    await local.launch();
    await local.settled();
    const missing = (await local.status())!.nodes.find(({ attachedNodeName }) => attachedNodeName === THREE);
    expect(missing).toMatchObject({ state: 'Pending', reason: 'NoSuchNode' });
    expect(await local.ref(`refs/heads/node/${THREE}`)).toBeUndefined();
    await writeFile(file, stringify(inventory));
    await local.untilStatus('it has joined', ({ nodes }) =>
      nodes.some(({ node, state }) => node === THREE && state === 'Configured'),
    );
    expect(await treeOf(local, `node/${THREE}`)).toEqual(await expectedTree(THREE));

    const tip = await local.tip(ONE);
    await local.editConfig((spec) => {
      entryOf(spec, ONE).interfaces![0]!.cidr = '192.168.100.300/24';
      setMtu(TWO, 1400)(spec);
    });
    expect(await local.node(ONE)).toMatchObject({
      state: 'Failed',
      reason: 'InvalidEntry',
      message: expect.stringMatching(/nodeConfigs\[0\]\.interfaces\[0\]/),
    });
    expect(await local.tip(ONE)).toBe(tip);
    expect(await local.hostFile(TWO, IFCFG_0)).toContain('MTU=1400');

    // An entry without an ID may be the entry of any node, so a node without an entry is not cleaned.
    await local.editConfig((spec) => delete entryOf(spec, ONE).attachedNodeId);
    expect(await local.tip(ONE)).toBe(tip);

    const refs = await local.git('for-each-ref', 'refs/heads/');
    const config = await local.config();
    await local.writeConfig({ ...config, spec: { ...config.spec, nodeConfigs: 'none' as unknown as [] } });
    await local.untilStatus('it is refused', ({ configs }) =>
      configs[0]!.conditions.some(
        ({ reason, message }) => reason === 'InvalidConfig' && message.includes('nodeConfigs'),
      ),
    );
    expect(await local.git('for-each-ref', 'refs/heads/')).toBe(refs);
  });
});
