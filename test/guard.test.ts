// The guard of removals: a mistake in a CR must not remove the NICs of many nodes.

import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { entryFor, Fleet, HOUR_MS } from './support/fleet.ts';
import { CONFIG, LocalRun, NODES, type TestSpec } from './support/local.ts';

const [ONE, TWO, THREE] = NODES;
const FILES: Readonly<Record<string, string>> = {
  [ONE]: 'etc/netplan/90-multinic0.yaml',
  [TWO]: 'etc/sysconfig/network-scripts/ifcfg-multinic0',
  [THREE]: 'etc/NetworkManager/system-connections/multinic0.nmconnection',
};

/** Nodes whose host has the file of their first NIC. */
async function configured(local: LocalRun): Promise<string[]> {
  const found = await Promise.all(NODES.map((node) => local.hostFile(node, FILES[node]!)));
  return NODES.filter((_, index) => found[index] !== undefined);
}

const without =
  (...nodes: string[]) =>
  (spec: TestSpec): void => {
    for (const entry of spec.nodeConfigs) if (nodes.includes(entry.attachedNodeName!)) entry.interfaces = [];
  };

describe('in a local home', () => {
  test('all three nodes lose their interfaces: nothing is cleaned until confirmed', async () => {
    await using local = await LocalRun.start();
    await local.editConfig(without(...NODES));
    expect((await local.status())!.stopped).toEqual(NODES);
    expect(await local.node(TWO)).toMatchObject({
      state: 'Pending',
      reason: 'RemovalStopped',
      message: expect.stringMatching(/multinic confirm/),
    });
    expect(local.output).toMatch(/RemovalStopped.*3 nodes would lose all their interfaces/);
    expect((await local.cli('status')).stdout).toMatch(/Removal stopped: .* until multinic confirm/);
    expect(await configured(local)).toEqual(NODES);

    await local.changes(() => local.run('confirm'));
    await local.untilStatus('clean', ({ nodes }) => nodes.every(({ state }) => state === 'Configured'));
    expect(await configured(local)).toEqual([]);
    for (const node of NODES) {
      const folder = join(local.hostRoot(node), FILES[node]!, '../backup');
      expect(await readdir(folder)).not.toEqual([]);
    }
    expect((await local.subjects('main'))[0]).toMatch(/^confirm /);
  });

  test('one of three nodes loses its interfaces: it is cleaned', async () => {
    await using local = await LocalRun.start();
    await local.editConfig(without(TWO));
    expect(await configured(local)).toEqual([ONE, THREE]);
    expect((await local.status())!.stopped).toEqual([]);
  });

  test('a CR loses more than half of its nodes, then all CRs are gone: nothing is cleaned until confirmed', async () => {
    await using local = await LocalRun.start();
    await local.editConfig((spec) => (spec.nodeConfigs = spec.nodeConfigs.slice(0, 1)));
    expect((await local.status())!.stopped).toEqual([TWO, THREE]);
    await local.changes(() => local.removeConfig());
    expect((await local.status())!.stopped).toEqual(NODES);
    expect(await configured(local)).toEqual(NODES);

    // Nothing was confirmed: after a restart no node has a new commit.
    const tips = await Promise.all(NODES.map((node) => local.tip(node)));
    await local.restart();
    await local.settled();
    expect(await Promise.all(NODES.map((node) => local.tip(node)))).toEqual(tips);
    expect((await local.status())!.stopped).toEqual(NODES);
    await local.changes(() => local.run('confirm'));
    expect(await configured(local)).toEqual([]);
  });

  test('a file that does not parse: the list is incomplete, and nothing is removed', async () => {
    await using local = await LocalRun.start();
    const file = join(local.dir, 'crs', `${CONFIG}.yaml`);
    const main = await local.ref('refs/heads/main');
    await rename(file, `${file}.kept~`);
    await writeFile(join(local.dir, 'crs/broken.yaml'), 'spec: [');
    await local.untilStatus('doubts', ({ doubts }) => Object.keys(doubts).length === 1);
    expect(await local.ref('refs/heads/main')).toBe(main);
    expect(await configured(local)).toEqual(NODES);

    await local.changes(() => rm(join(local.dir, 'crs/broken.yaml')));
    expect((await local.status())!.stopped).toEqual(NODES);
    await local.changes(() => rename(`${file}.kept~`, file));
    await local.untilStatus(
      'as before',
      ({ nodes, stopped }) => stopped.length === 0 && nodes.every(({ state }) => state === 'Configured'),
    );
    expect(await configured(local)).toEqual(NODES);
  });

  test('a CR that had the annotation confirm-cleanup when it was last seen: its nodes are cleaned', async () => {
    await using local = await LocalRun.start();
    await local.editConfig(
      (_, config) => (config.metadata.annotations = { 'multinic.io/confirm-cleanup': 'true' }),
    );
    await local.changes(() => local.removeConfig());
    await local.untilStatus('clean', ({ nodes }) => nodes.every(({ state }) => state === 'Configured'));
    expect(await configured(local)).toEqual([]);
  });
});

describe('removals within an hour', () => {
  const ALL = { a: 1500, b: 1500, c: 1500, d: 1500 };

  async function fleetOf(): Promise<Fleet> {
    const fleet = await Fleet.open(Object.keys(ALL));
    fleet.want('cr', ALL);
    await fleet.pass();
    fleet.now += 2 * HOUR_MS;
    return fleet;
  }

  test('one node at a time, an hour apart: each is cleaned', async () => {
    await using fleet = await fleetOf();
    const left: Record<string, number | null> = { ...ALL };
    for (const node of ['a', 'b', 'c']) {
      left[node] = null;
      fleet.want('cr', left);
      expect([...(await fleet.pass()).stopped]).toEqual([]);
      expect(await fleet.mtu(node)).toBeNull();
      fleet.now += HOUR_MS + 1000;
    }
  });

  test('a second node within the hour is stopped, and stays stopped after the hour', async () => {
    await using fleet = await fleetOf();
    fleet.want('cr', { ...ALL, a: null });
    await fleet.pass();
    fleet.now += HOUR_MS - 60_000;
    fleet.want('cr', { ...ALL, a: null, b: null });
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);

    fleet.now += 2 * HOUR_MS;
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
    await fleet.restart();
    fleet.want('other', { x: 1500 });
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
    expect(await fleet.mtu('b')).toBe(1500);

    fleet.want('cr', { ...ALL, a: null });
    expect([...(await fleet.pass()).stopped]).toEqual([]);
    fleet.want('cr', { ...ALL, a: null, b: null });
    expect([...(await fleet.pass()).stopped]).toEqual([]);
    expect(await fleet.mtu('b')).toBeNull();
  });

  test('a clock that steps back: no more nodes are cleaned', async () => {
    await using fleet = await fleetOf();
    fleet.want('cr', { ...ALL, a: null });
    await fleet.pass();
    fleet.now -= 24 * HOUR_MS;
    fleet.want('cr', { ...ALL, a: null, b: null });
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
    const times = (await fleet.git(['log', '--format=%ct', 'main'])).split('\n').map(Number);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  test('a clock that was ahead and is set right: no more nodes are cleaned', async () => {
    await using fleet = await fleetOf();
    fleet.now += 24 * HOUR_MS;
    fleet.want('other', { x: 1500 });
    await fleet.pass();
    fleet.now -= 24 * HOUR_MS;
    fleet.want('cr', { ...ALL, a: null });
    expect([...(await fleet.pass()).stopped]).toEqual([]);
    fleet.now += 60_000;
    fleet.want('cr', { ...ALL, a: null, b: null });
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
    const [main] = (await fleet.git(['log', '-1', '--format=%ct', 'main'])).split('\n').map(Number);
    expect((await fleet.branch('a')).tip.committer.time).toBe(main);
  });

  test('a rollback that removes the last interface asks the person, and counts as a removal', async () => {
    await using fleet = await fleetOf();
    const by = { name: 'p', email: 'p@example.org', principal: 'p' };
    await expect(fleet.commands.rollback('a', undefined, by)).rejects.toMatchObject({
      code: 'TakesAllInterfaces',
      message: expect.stringMatching(/^a would lose all its interfaces \(remove multinic0\)/),
    });
    expect(await fleet.mtu('a')).toBe(1500);
    await fleet.commands.rollback('a', undefined, by, { mayRemoveAll: true });
    expect(await fleet.mtu('a')).toBeNull();
    fleet.want('cr', { ...ALL, b: null });
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
  });

  test('two CRs that each lose one node are two removals, in one pass or in two', async () => {
    for (const passes of [1, 2]) {
      await using fleet = await Fleet.open(['a', 'b', 'c']);
      fleet.want('one', { a: 1500, c: 1500 });
      fleet.want('two', { b: 1500 });
      await fleet.pass();
      fleet.now += 2 * HOUR_MS;
      fleet.want('one', { a: null, c: 1500 });
      if (passes === 2) await fleet.pass();
      fleet.want('two', { b: null });
      expect([...(await fleet.pass()).stopped]).toEqual(['b']);
      expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([null, 1500]);
    }
  });
});

describe('no removal:', () => {
  test('two nodes with one ID: neither is touched in a large fleet', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `n${index}`);
    await using fleet = await Fleet.open(names);
    fleet.want('cr', Object.fromEntries(names.map((name) => [name, 1500])));
    await fleet.pass();
    fleet.now += 2 * HOUR_MS;
    fleet.inventory[1] = { ...fleet.inventory[1]!, systemUUID: 'I-N0' };
    const report = await fleet.pass();
    expect([...report.stopped]).toEqual([]);
    expect([await fleet.mtu('n0'), await fleet.mtu('n1')]).toEqual([1500, 1500]);
  });

  test('a node that the inventory knows by another ID waits for its CR, or for a person', async () => {
    await using fleet = await Fleet.open(['a', 'b', 'c']);
    const others = [entryFor('a', 1500), entryFor('c', 1500)];
    fleet.write('cr', { nodeConfigs: [...others, { ...entryFor('b', 1500), attachedNodeName: 'no-node' }] });
    await fleet.pass();
    fleet.now += 2 * HOUR_MS;
    fleet.inventory[1] = { ...fleet.inventory[1]!, systemUUID: '0b0b0b0b-0000-4000-8000-000000000000' };
    expect([...(await fleet.pass()).stopped]).toEqual(['b']);
    expect(await fleet.mtu('b')).toBe(1500);

    const moved = { ...entryFor('b', 1400), attachedNodeId: '0B0B0B0B000040008000000000000000' };
    fleet.write('cr', { nodeConfigs: [...others, moved] });
    expect([...(await fleet.pass()).stopped]).toEqual([]);
    expect(await fleet.mtu('b')).toBe(1400);
  });

  test('an entry that turns bad, a node that leaves the inventory, a list that failed', async () => {
    await using fleet = await Fleet.open(['a', 'b']);
    fleet.want('cr', { a: 1500, b: 1500 });
    await fleet.pass();
    fleet.now += 2 * HOUR_MS;
    fleet.want('cr', { a: 15, b: 1400 });
    await fleet.pass();
    expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([1500, 1400]);
    fleet.want('cr', { a: 1500, b: 1400 });
    fleet.inventory.length = 1;
    await fleet.pass();
    expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([1500, 1400]);
    fleet.configs.clear();
    const report = await fleet.pass('the list failed');
    expect([...report.doubts.values()]).toEqual(['the list failed']);
    expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([1500, 1400]);
  });
});
