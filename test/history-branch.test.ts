// Branches of a real store without hosts: tips that no push policy judged, holds, names, commits of the controller.

import type { Oid } from '../src/api/oid.ts';
import { oid } from './support/oid.ts';
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { Branches, readBranch } from '../src/history/node-branch.ts';
import { CONTROLLER } from '../src/store/model/committer.ts';
import { trailer } from '../src/history/commit-format.ts';
import { Fleet, HOUR_MS } from './support/fleet.ts';
import { LocalRun, NODES } from './support/local.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const BY = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };

async function fleetOf(...nodes: string[]): Promise<Fleet> {
  const fleet = await Fleet.open(nodes);
  fleet.want('cr', Object.fromEntries(nodes.map((node) => [node, 1500])));
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  return fleet;
}

async function withMtu(fleet: Fleet, node: string, mtu: number): Promise<Record<string, string>> {
  const files = await fleet.reader.files((await fleet.branch(node)).tip.oid);
  return { [FILE]: files.get(FILE)!.replace(/mtu: \d+/, `mtu: ${mtu}`) };
}

describe('a tip that no push policy judged', () => {
  test.each<{ what: string; files: Record<string, string | null>; mode?: string }>([
    { what: 'broken YAML', files: { [FILE]: 'network: [' } },
    { what: 'a file that is not ours', files: { 'etc/passwd': 'root' } },
    { what: 'a link', files: { [FILE]: '../../etc/passwd' }, mode: '120000' },
    { what: 'an executable', files: {}, mode: '100755' },
    { what: 'another identity', files: { 'node.yaml': null } },
  ])('is invalid until a release: $what', async ({ files, mode }) => {
    await using fleet = await fleetOf('a', 'b');
    const before = await fleet.branch('a');
    const text = (await fleet.reader.files(before.tip.oid)).get(FILE)!;
    const tree = await fleet.tree('a', mode === '100755' ? { [FILE]: text } : files, mode);
    const commit = await fleet.pushTree('a', tree, 'by hand', { past: true });
    const { branches } = await fleet.pass();
    expect(branches.get('a')!.invalid).toBeDefined();
    expect(branches.get('a')!.network).toEqual(before.network);
    await expect(fleet.commands.rollback('a', undefined, BY)).rejects.toMatchObject({ code: 'InvalidTip' });

    // Other nodes get their commits, and the branch stays as it is.
    fleet.want('cr', { a: 1500, b: 1400 });
    await fleet.pass();
    expect(await fleet.mtu('b')).toBe(1400);
    expect((await fleet.branch('a')).tip.oid).toBe(commit);

    await fleet.commands.release('a', BY);
    const after = await fleet.branch('a');
    expect(after.invalid).toBeUndefined();
    expect(after.tip.parents).toEqual([commit]);
    expect(after.tree).toBe(before.tree);
  });

  test.each([
    ['CR', '\r'],
    ['U+0085', '\u0085'],
    ['U+2028', '\u2028'],
    ['U+2029', '\u2029'],
  ])(
    'is invalid until a release: a comment with %s, which the policy refuses as well',
    async (_, character) => {
      await using fleet = await fleetOf('a');
      const before = await fleet.branch('a');
      const text = (await fleet.reader.files(before.tip.oid)).get(FILE)!;
      const smuggled = text.replace('\n', `\n# note${character}      gateway4: 10.0.0.1\n`);
      await expect(fleet.push('a', { [FILE]: smuggled }, 'a note')).rejects.toThrow(
        /etc\/netplan\/90-multinic0\.yaml: line 2 has the invisible character U\+/,
      );
      await fleet.pushTree('a', await fleet.tree('a', { [FILE]: smuggled }), 'a note', { past: true });
      expect((await fleet.pass()).branches.get('a')!.invalid?.message).toMatch(/line 2 has the invisible/);
      await fleet.commands.release('a', BY);
      const after = await fleet.branch('a');
      expect(after.invalid).toBeUndefined();
      expect(after.tree).toBe(before.tree);
    },
  );

  test('on a base that cannot be read is invalid, and the CR decides what the node gets', async () => {
    await using fleet = await fleetOf('a', 'b');
    const { tip } = await fleet.branch('a');
    const broken = await fleet.tree('a', { [FILE]: 'network: [' });
    const words = Object.entries(Object.fromEntries(tip.trailers)).map(([key, value]) => `${key}: ${value}`);
    const commit = await fleet.git(
      ['commit-tree', broken, '-p', tip.oid, '-m', `a: what a faulty version wrote\n\n${words.join('\n')}`],
      { GIT_COMMITTER_NAME: CONTROLLER.name, GIT_COMMITTER_EMAIL: CONTROLLER.email },
    );
    const later = await fleet.git(['commit-tree', tip.tree, '-p', commit, '-m', 'by hand']);
    await fleet.git(['update-ref', 'refs/heads/node/a', later]);
    await fleet.restart();

    const read = await readBranch(fleet.reader, 'a', (await fleet.reader.ref('refs/heads/node/a'))!);
    expect(read).toMatchObject({ base: { commit: { oid: commit } }, invalid: { code: 'InvalidTree' } });
    const { branches } = await fleet.pass();
    expect(branches.get('a')!.invalid).toBeUndefined();
    expect(await fleet.mtu('a')).toBe(1500);
  });

  test('may be mended by a push', async () => {
    await using fleet = await fleetOf('a');
    const good = await withMtu(fleet, 'a', 1400);
    await fleet.pushTree('a', await fleet.tree('a', { [FILE]: 'x' }), 'by hand', { past: true });
    const { branches } = await fleet.pass();
    expect(branches.get('a')!.invalid).toBeDefined();
    const mended = await fleet.push('a', good, 'mended');
    const again = (await fleet.pass()).branches.get('a')!;
    expect(again.invalid).toBeUndefined();
    expect(again.hold).toEqual((await fleet.branch('a')).hold);
    expect(again.tip.oid).toBe(mended);
  });
});

describe('a hold', () => {
  test('begins at the first of the unbroken commits that differ from the base, read at once or commit by commit', async () => {
    await using fleet = await fleetOf('a');
    const stepwise = new Branches(fleet.reader);
    const holds: (string | undefined)[] = [];
    const commits: Oid[] = [];
    for (const mtu of [1400, 1300, 1500, 1350, 1351]) {
      fleet.now += 60_000;
      commits.push(await fleet.push('a', await withMtu(fleet, 'a', mtu), `mtu ${mtu}`));
      const branch = await stepwise.get('a');
      expect(branch.hold).toEqual((await fleet.branch('a')).hold);
      holds.push(branch.hold?.commit);
    }
    expect(holds).toEqual([commits[0], commits[0], undefined, commits[3], commits[3]]);
    const hold = (await fleet.branch('a')).hold!;
    expect(hold).toMatchObject({
      author: { name: 'Alice' },
      since: (await fleet.reader.commit(commits[3]!)).committer.time,
    });
  });

  test('survives a new machine, and so do its names', async () => {
    await using fleet = await fleetOf('a');
    const held = await fleet.push('a', await withMtu(fleet, 'a', 1400), 'smaller');
    fleet.inventory[0] = { ...fleet.inventory[0]!, machineId: 'another' };
    await fleet.pass();
    const branch = await fleet.branch('a');
    expect(branch.tip.subject).toBe('a: new machine');
    expect(branch.hold?.commit).toBe(held);
    expect(branch.network).toMatchObject([{ name: 'multinic0', mtu: 1400 }]);
  });

  test('that is released while a removal is stopped does not clean the node', async () => {
    await using fleet = await fleetOf('a', 'b', 'c');
    await fleet.push('a', await withMtu(fleet, 'a', 1400), 'smaller');
    fleet.want('cr', { a: null, b: null, c: 1500 });
    expect([...(await fleet.pass()).stopped]).toEqual(['a', 'b']);
    await fleet.commands.release('a', BY);
    expect([...(await fleet.pass()).stopped]).toEqual(['a', 'b']);
    expect(await fleet.mtu('a')).toBe(1500);
    await fleet.commands.confirm(undefined, BY);
    expect([...(await fleet.pass()).stopped]).toEqual([]);
    expect([await fleet.mtu('a'), await fleet.mtu('b'), await fleet.mtu('c')]).toEqual([null, null, 1500]);
  });
});

test('a confirmation does not remove a node that had an interface again meanwhile', async () => {
  await using fleet = await fleetOf('a', 'b', 'c');
  fleet.want('cr', { a: null, b: null, c: 1500 });
  const { main } = await fleet.pass();
  fleet.want('cr', { a: 1500, b: null, c: 1500 });
  await fleet.pass();
  fleet.want('cr', { a: null, b: null, c: 1500 });
  await fleet.pass();
  fleet.lookedAt(main.commit);
  await fleet.commands.confirm(undefined, BY);
  expect([...(await fleet.pass()).stopped]).toEqual(['a']);
  expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([1500, null]);
});

test("trailers of a person's commit are ignored", async () => {
  await using fleet = await fleetOf('a');
  const { base } = await fleet.branch('a');
  const main = trailer(base.commit!, 'Main-Commit')!;
  fleet.want('cr', { a: 1450 });
  await fleet.pass();
  const forged = `add multinic0\n\nChange: spec\nMain-Commit: ${oid('0'.repeat(40))}\nEnds-Hold: ${main}`;
  await fleet.push('a', await withMtu(fleet, 'a', 1400), forged);
  const branch = await fleet.branch('a');
  expect(branch.base.network[0]!.mtu).toBe(1450);
  expect(branch.hold?.commit).toBe(branch.tip.oid);
  await expect(fleet.commands.rollbackChange(main, BY)).resolves.toMatchObject({
    moved: [],
    skipped: [{ node: 'a' }],
  });
});

test('a netplan ID is lost by a change of renderer and back, in memory and on disk', async () => {
  await using fleet = await fleetOf('a');
  const files = await withMtu(fleet, 'a', 1500);
  await fleet.push('a', { [FILE]: files[FILE]!.replace('    multinic0:', '    ens6:') }, 'as ens6');
  for (const kind of ['ifcfg', 'netplan'] as const) await fleet.commands.rerender([], kind, BY);
  const { branches } = await fleet.pass();
  expect(branches.get('a')!.network).toEqual((await fleet.branch('a')).network);
  expect((await fleet.branch('a')).network[0]!.netplanId).toBeUndefined();
});

test('a node whose name ends in .lock is configured', async () => {
  await using local = await LocalRun.prepare();
  const name = 'worker.lock';
  const inventory = parse(await readFile(join(local.dir, 'inventory.yaml'), 'utf8')) as {
    nodes: { name: string }[];
  };
  inventory.nodes[1]!.name = name;
  await writeFile(join(local.dir, 'inventory.yaml'), stringify(inventory));
  await cp(join(local.dir, 'nodes', NODES[1]), join(local.dir, 'nodes', name), { recursive: true });
  await rename(join(local.dir, 'nodes', NODES[1]), join(local.dir, 'gone'));
  await local.launch();
  await local.settled();
  expect(await local.node(name)).toMatchObject({ state: 'Configured' });
  const copy = await local.clone();
  await local.applied(
    name,
    await copy.edit(`${name}_`, 'etc/sysconfig/network-scripts/ifcfg-multinic0', (text) =>
      text.replace('MTU=1500', 'MTU=1400'),
    ),
  );
  expect(await local.run('log', name)).toMatch(/edit .*ifcfg-multinic0/);
});
