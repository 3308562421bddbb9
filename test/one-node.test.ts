// One node's trouble stays that node's: its name, its branch, its pace.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { MultinicError } from '../src/api/errors.ts';
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

test('a branch that git cannot write', async () => {
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

test('a branch that moves while all are written: the others are written, and it is decided anew', async () => {
  await using fleet = await Fleet.open(NAMES);
  fleet.want('cr', all(1500));
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  fleet.want('cr', all(1400));
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;

  fleet.want('cr', all(1300));
  const original = Store.prototype.writeEach;
  const writes: number[] = [];
  const spy = vi.spyOn(Store.prototype, 'writeEach').mockImplementation(async function (this: Store, batch) {
    writes.push(batch.moves.length);
    // The first write finds that somebody rolled d back just before.
    if (writes.length === 1) await fleet.commands.rollback('d', undefined, BY);
    return original.call(this, batch);
  });
  const { events, problems } = await fleet.pass();
  spy.mockRestore();
  expect(writes[0]).toBe(NAMES.length);
  expect(writes.length).toBeLessThanOrEqual(2);
  expect([...problems]).toEqual([]);
  expect(events.filter(({ node }) => node !== 'd').every(({ type }) => type === 'Committed')).toBe(true);
  expect(events.filter(({ node }) => node === 'd').map(({ type }) => type)).toEqual(['HoldEnded']);
  for (const name of NAMES) expect(await fleet.mtu(name)).toBe(1300);
  // Nobody says it twice, and nothing is left to do.
  expect((await fleet.pass()).events).toEqual([]);
});

test("a failure of the store itself is nobody's: no node has a problem", async () => {
  await using fleet = await Fleet.open(NAMES);
  fleet.want('cr', all(1500));
  const spy = vi
    .spyOn(Store.prototype, 'writeEach')
    .mockRejectedValue(new MultinicError('DiskFull', 'the disk is full; make room'));
  await expect(fleet.pass()).rejects.toThrow('the disk is full');
  spy.mockRejectedValue(new Error('every write fails'));
  await expect(fleet.pass()).rejects.toThrow('every write fails');
  spy.mockRestore();
  const { problems, events } = await fleet.pass();
  expect([...problems]).toEqual([]);
  expect(events).toHaveLength(NAMES.length);
});
