// A fault of one node affects no other node: its name, its branch, its slowness.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { MultinicError } from '../src/api/errors.ts';
import type { Batch } from '../src/store/model/batch.ts';
import { Store } from '../src/store/store.ts';
import { entryFor, Fleet, HOUR_MS, inventoryNode } from './support/fleet.ts';

const BY = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
const NAMES = [...'abcdefghijkl'];

const all = (mtu: number, names: readonly string[] = NAMES): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, mtu]));

test.each([250, 251, 252, 253])('a node with a name of %d characters', async (length) => {
  const long = 'n'.repeat(length);
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.inventory[1] = { ...inventoryNode('b'), name: long };
  const want = (mtu: number): void =>
    fleet.write('cr', {
      nodeConfigs: [entryFor('a', mtu), { ...entryFor('b', mtu), attachedNodeName: long }],
    });
  want(1500);
  const { problems } = await fleet.pass();
  expect(await fleet.mtu('a')).toBe(1500);
  const expected = length > 250 ? [[long, 'NodeNameTooLong']] : [];
  expect([...problems].map(([name, { code }]) => [name, code])).toEqual(expected);
  expect(await fleet.mtu(long).catch(({ code }: { code: string }) => code)).toBe(
    length > 250 ? 'NoSuchNode' : 1500,
  );
  want(1400);
  await fleet.pass();
  expect(await fleet.mtu('a')).toBe(1400);
});

test('git cannot write the branch of one node', async () => {
  await using fleet = await Fleet.open(NAMES);
  const folder = join(fleet.dir, 'store.git/refs/heads/node/f');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'in-the-way'), 'x');
  fleet.want('cr', all(1500));
  const { problems, events } = await fleet.pass();
  expect([...problems.keys()]).toEqual(['f']);
  expect(events.map(({ node }) => node).toSorted()).toEqual(NAMES.filter((name) => name !== 'f').toSorted());
  for (const name of NAMES.filter((each) => each !== 'f')) expect(await fleet.mtu(name)).toBe(1500);
});

test.each<['write' | 'writeEach', string]>([
  ['write', 'with main'],
  ['writeEach', 'after main, because two CRs changed'],
])(
  'a branch that moves during a write of all (%s, %s): the others are written, and this node is decided again',
  async (method) => {
    await using fleet = await Fleet.open([...NAMES, 'z']);
    const want = (mtu: number): void => {
      fleet.want('cr', all(mtu));
      if (method === 'writeEach') fleet.want('second', { z: mtu });
    };
    for (const mtu of [1500, 1400]) {
      want(mtu);
      await fleet.pass();
      fleet.now += 2 * HOUR_MS;
    }

    want(1300);
    const original = Store.prototype[method] as (this: Store, batch: Batch) => Promise<never>;
    let rolledBack = false;
    const spy = vi.spyOn(Store.prototype, method).mockImplementation(async function (this: Store, batch) {
      // The first write of branches meets a rollback of d that somebody made just before.
      if (!rolledBack && batch.moves.length >= NAMES.length) {
        rolledBack = true;
        await fleet.commands.rollback('d', undefined, BY);
      }
      return original.call(this, batch);
    });
    const { events, problems } = await fleet.pass();
    spy.mockRestore();
    expect(rolledBack).toBe(true);
    expect([...problems]).toEqual([]);
    expect(events.filter(({ node }) => node !== 'd').every(({ type }) => type === 'Committed')).toBe(true);
    expect(events.filter(({ node }) => node === 'd').map(({ type }) => type)).toEqual(['HoldEnded']);
    for (const name of NAMES) expect(await fleet.mtu(name)).toBe(1300);
    // The next pass reports nothing again, and has nothing to do.
    expect((await fleet.pass()).events).toEqual([]);
  },
);

test('a failure of the store itself is reported as no problem of a node', async () => {
  await using fleet = await Fleet.open(NAMES);
  fleet.want('cr', all(1500));
  const spies = [vi.spyOn(Store.prototype, 'write'), vi.spyOn(Store.prototype, 'writeEach')];
  for (const spy of spies)
    spy.mockRejectedValue(new MultinicError('DiskFull', 'the disk is full; make room'));
  await expect(fleet.pass()).rejects.toThrow('the disk is full');
  for (const spy of spies) spy.mockRejectedValue(new Error('every write fails'));
  await expect(fleet.pass()).rejects.toThrow('every write fails');
  for (const spy of spies) spy.mockRestore();
  const { problems, events } = await fleet.pass();
  expect([...problems]).toEqual([]);
  expect(events).toHaveLength(NAMES.length);
});

test('texts that YAML spells in several ways make one commit, also for the next process', async () => {
  await using fleet = await Fleet.open(['a']);
  const texts = [' \n', '\n \n', '  x\n\n', '\n x', '\uFEFF', ' #\n', '\t', '\r\n', ' ', ''];
  const entries = texts.map((text, index) => ({ attachedNodeId: `i-${index}`, attachedNodeName: text }));
  fleet.write('cr', { nodeConfigs: [entryFor('a', 1500), ...entries, ' \n'] });
  const { main, invalid } = await fleet.pass();
  expect([...invalid]).toEqual([]);
  expect([...main.configs.values()].map((config) => config.entries.size)).toEqual([texts.length + 2]);
  expect((await fleet.pass()).main.commit).toBe(main.commit);
  await fleet.restart();
  expect((await fleet.pass()).main.commit).toBe(main.commit);
});

test('a commit with two committers and an impossible date stops no pass', async () => {
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.want('cr', all(1500, ['a', 'b']));
  await fleet.pass();
  const { tip } = await fleet.branch('a');
  const stamp = 'A <a@example.org>';
  for (const committers of [['99999999999999'], ['-99999999999999'], ['5', '1700000000']]) {
    const raw = [
      `tree ${tip.tree}`,
      `parent ${tip.oid}`,
      `author ${stamp} 5 +0000`,
      ...committers.map((time) => `committer ${stamp} ${time} +0000`),
      '',
      'past the policy',
    ].join('\n');
    const oid = await fleet.git(['hash-object', '-t', 'commit', '-w', '--literally', '--stdin'], {}, raw);
    await fleet.git(['update-ref', 'refs/heads/node/a', oid]);
    await fleet.restart();
    fleet.want('cr', { a: 1500, b: 1400 });
    const { branches } = await fleet.pass();
    const { committer } = branches.get('a')!.tip;
    expect(committer.name).toBe('A');
    expect(new Date(committer.time * 1000).toISOString()).toMatch(/^(1970|9999)/);
  }
});
