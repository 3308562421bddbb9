// What passes commit on the branches of nodes, on a real store: the guard's hour and share, races of restarts, releases.

import { expect, test } from 'vitest';
import { Fleet, HOUR_MS, inventoryNode } from '../../test/support/fleet.ts';
import { MIRRORED } from '../history/refs.ts';
import { DEFAULT_GUARD } from './guard.ts';
import { changedNodes } from './main-branch.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const BY = { name: 'Alice', email: 'alice@example.org', principal: 'alice' };
const ONE_ALWAYS = { fraction: 0, minimum: 1 };

async function stopped(fleet: Fleet): Promise<string[]> {
  return [...(await fleet.pass()).stopped].sort();
}

test('a node that lost its interfaces counts for an hour, to the second', async () => {
  await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  fleet.want('cr', { a: null, b: 1500 });
  expect(await stopped(fleet)).toEqual([]);
  expect(await fleet.mtu('a')).toBeNull();

  fleet.now += HOUR_MS;
  fleet.want('cr', { a: null, b: null });
  expect(await stopped(fleet)).toEqual([]);
  expect(await fleet.mtu('b')).toBeNull();
});

test('within the hour the next node is stopped, and time does not release it', async () => {
  await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  fleet.want('cr', { a: null, b: 1500 });
  await fleet.pass();
  fleet.now += HOUR_MS - 1000;
  fleet.want('cr', { a: null, b: null });
  expect(await stopped(fleet)).toEqual(['b']);
  fleet.now += 2 * HOUR_MS;
  const { tip } = await fleet.branch('b');
  const { stopped: still, problems, events } = await fleet.pass();
  expect([[...still], [...problems], events]).toEqual([['b'], [], []]);
  expect(await fleet.mtu('b')).toBe(1500);
  expect((await fleet.branch('b')).tip.oid).toBe(tip.oid);
});

test('stopped removals go on when a person confirms the commit that asks for them', async () => {
  await using fleet = await Fleet.open(['a', 'b', 'c'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500, c: 1500 });
  await fleet.pass();
  fleet.want('cr', { a: null, b: null, c: 1500 });
  expect(await stopped(fleet)).toEqual(['a', 'b']);
  // The confirmation does not cover removals by later commits of main.
  await fleet.commands.confirm(undefined, BY);
  fleet.want('cr', { a: null, b: null, c: null });
  expect(await stopped(fleet)).toEqual(['c']);
  expect([await fleet.mtu('a'), await fleet.mtu('b'), await fleet.mtu('c')]).toEqual([null, null, 1500]);
});

test('removals that the CR confirms by its annotation go on', async () => {
  await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.want('cr', { a: null, b: null }, { 'multinic.io/confirm-cleanup': 'true' });
  expect(await stopped(fleet)).toEqual([]);
  expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([null, null]);
});

test('the share is of the nodes that had interfaces when the hour began', async () => {
  await using fleet = await Fleet.open(['a', 'b', 'c', 'd'], { fraction: 0.5, minimum: 0 });
  fleet.want('cr', { a: 1500, b: 1500, c: 1500, d: 1500 });
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  fleet.want('cr', { a: 1500, b: 1500, c: 1500, d: null });
  expect(await stopped(fleet)).toEqual([]);
  // The guard allows half of the three remaining nodes: one.
  fleet.now += 2 * HOUR_MS;
  fleet.want('cr', { a: null, b: 1500, c: 1500, d: null });
  expect(await stopped(fleet)).toEqual([]);
  fleet.want('cr', { a: null, b: null, c: 1500, d: null });
  expect(await stopped(fleet)).toEqual(['b']);
});

test('a node whose interfaces a rollback took away counts as well', async () => {
  await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  await fleet.push('a', { [FILE]: null }, 'nothing');
  fleet.want('cr', { a: 1500, b: null });
  expect(await stopped(fleet)).toEqual(['b']);
  expect((await fleet.branch('a')).hold).toBeDefined();
});

test('a rollback counts for an hour, to the second', async () => {
  for (const [later, waits] of [
    [HOUR_MS - 1000, ['b']],
    [HOUR_MS, []],
  ] as const) {
    await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
    fleet.want('cr', { a: 1500, b: 1500 });
    await fleet.pass();
    fleet.now += 2 * HOUR_MS;
    await fleet.push('a', { [FILE]: null }, 'nothing');
    fleet.now += later;
    fleet.want('cr', { a: 1500, b: null });
    expect(await stopped(fleet)).toEqual(waits);
  }
});

test('nodes that are born without interfaces are no removals', async () => {
  await using fleet = await Fleet.open(['a', 'b', 'c'], ONE_ALWAYS);
  fleet.want('cr', { a: null, b: null, c: null });
  expect(await stopped(fleet)).toEqual([]);
  for (const node of ['a', 'b', 'c']) expect(await fleet.mtu(node)).toBeNull();
});

test('a node whose removal is stopped gets its new identity all the same', async () => {
  await using fleet = await Fleet.open(['a', 'b'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.inventory[0] = { ...inventoryNode('a'), machineId: 'another' };
  fleet.want('cr', { a: null, b: null });
  expect(await stopped(fleet)).toEqual(['a', 'b']);
  const { node, network, tip } = await fleet.branch('a');
  expect([node.machineId, network.length]).toEqual(['another', 1]);
  expect(tip.subject).toMatch(/new machine/);
  expect((await fleet.branch('b')).tip.subject).not.toMatch(/new machine/);
});

test('a pass commits what changed and nothing else, also after a restart', async () => {
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.want('cr', { a: 1500, b: 1500 });
  expect((await fleet.pass()).events).toHaveLength(2);
  const { events: none, warnings } = await fleet.pass();
  expect([none, warnings]).toEqual([[], new Map()]);
  fleet.want('cr', { a: 1400, b: 1500 });
  expect((await fleet.pass()).events).toMatchObject([{ type: 'Committed', node: 'a' }]);

  await fleet.restart();
  fleet.want('cr', { a: 1300, b: 1500 });
  const { events, branches } = await fleet.pass();
  expect(events).toMatchObject([{ node: 'a', message: 'multinic0 mtu 1400 -> 1300' }]);
  expect([...branches.keys()].sort()).toEqual(['a', 'b']);
  expect(await fleet.mtu('a')).toBe(1300);

  // This pass decides to commit nothing, and the mirror remembers the decision.
  expect((await fleet.pass()).events).toEqual([]);
  fleet.inventory[0] = { ...inventoryNode('a'), machineId: 'another' };
  await fleet.pass();
  const { node, tip } = await fleet.branch('a');
  expect([node.machineId, tip.subject]).toEqual(['another', 'a: new machine']);
  expect((await fleet.pass()).events).toEqual([]);
  expect((await fleet.branch('a')).tip.oid).toBe(tip.oid);
});

test('a node that no CR names is read after a restart like any other', async () => {
  await using fleet = await Fleet.open(['a'], ONE_ALWAYS);
  fleet.want('cr', { a: 1500 });
  await fleet.pass();
  fleet.want('cr', {});
  expect(await stopped(fleet)).toEqual([]);
  await fleet.restart();
  expect([...(await fleet.pass()).branches.keys()]).toEqual(['a']);
});

test('a departed node retires a day after its last commit, to the second, and comes back with its CR', async () => {
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.want('cr', { a: null, b: 1500 });
  await fleet.pass();
  const [a] = fleet.inventory.splice(0, 1);
  fleet.want('cr', { b: 1500 });
  const retired = async (afterMs: number): Promise<number> => {
    fleet.now += afterMs;
    // The first pass notes which nodes retire, and the next pass leaves them out.
    await fleet.pass();
    return (await fleet.pass()).retired;
  };
  expect([await retired(24 * HOUR_MS - 1000), await retired(1000)]).toEqual([0, 1]);
  fleet.inventory.push(a!);
  fleet.want('cr', { a: 1500, b: 1500 });
  expect(await retired(0)).toBe(0);
  expect(await fleet.mtu('a')).toBe(1500);
});

test('a release ends a hold or a tip that cannot be read, and nothing else', async () => {
  await using fleet = await Fleet.open(['a']);
  fleet.want('cr', { a: 1500 });
  await fleet.pass();
  await expect(fleet.commands.release('a', BY)).rejects.toMatchObject({ code: 'NotHeld' });
  const text = new Map((await fleet.reader.files((await fleet.branch('a')).tip.oid)).entries()).get(FILE)!;
  await fleet.push('a', { [FILE]: text.replace('1500', '1400') }, 'narrower');
  await fleet.commands.release('a', BY);
  expect(await fleet.mtu('a')).toBe(1500);
  expect(await fleet.branch('a')).not.toHaveProperty('hold');

  await fleet.pushTree('a', await fleet.tree('a', { [FILE]: '{' }), 'broken', { past: true });
  expect((await fleet.branch('a')).invalid?.code).toBe('InvalidTree');
  await fleet.commands.release('a', BY);
  expect(await fleet.branch('a')).not.toHaveProperty('invalid');
});

test('all CRs of a home are committed in one pass, if there is time', async () => {
  await using fleet = await Fleet.open(['a'], DEFAULT_GUARD);
  for (let index = 0; index < 51; index += 1) fleet.want(`cr-${index}`, index === 50 ? { a: 1500 } : {});
  const { behind, main } = await fleet.pass();
  expect([behind.size, main.configs.size, await fleet.mtu('a')]).toEqual([0, 51, 1500]);
  expect(await fleet.reader.ref(MIRRORED)).toBe(main.commit);
});

test('a pass without time writes fifty CRs and mirrors one commit, so that each pass comes nearer to the end', async () => {
  await using fleet = await Fleet.open(['a']);
  for (let index = 0; index < 51; index += 1) fleet.want(`cr-${index}`, {});
  const commits = async (): Promise<number> => Number(await fleet.git(['rev-list', '--count', 'main']));
  const begin = await commits();
  fleet.sliceMs = 0;
  await fleet.restart();
  expect([(await fleet.pass()).main.configs.size, await commits()]).toEqual([0, begin + 50]);
  expect([(await fleet.pass()).main.configs.size, await commits()]).toEqual([1, begin + 51]);
});

test('the store says how far the branches are, from two commits of main on', async () => {
  await using fleet = await Fleet.open(['a']);
  for (const name of ['one', 'two']) fleet.want(name, {});
  const { main } = await fleet.pass();
  expect(await fleet.reader.ref(MIRRORED)).toBe(main.commit);
});

test('a commit of main names the nodes whose entries it changed', async () => {
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  fleet.want('cr', { a: 1500, b: 1400 });
  const { main } = await fleet.pass();
  expect([...(await changedNodes(fleet.reader, await fleet.reader.commit(main.commit)))]).toEqual(['ib']);
  // Only the CR's own file changes with its annotations.
  fleet.want('cr', { a: 1500, b: 1400 }, { 'multinic.io/apply': 'next-boot' });
  const next = await fleet.pass();
  expect([...(await changedNodes(fleet.reader, await fleet.reader.commit(next.main.commit)))]).toEqual([]);
});
