// What a branch says, read from commits that are written by hand.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { identity, nic } from '../../test/support/agent.ts';
import { LooseObjects } from '../../test/support/loose-objects.ts';
import { filesOf, RawBranch } from '../../test/support/raw-branch.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { openReader } from '../store/reader.ts';
import { baseAt, Branches, newestIdentity, readBranch } from './node-branch.ts';
import { rollbackTarget } from './rollback.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const [WIDE, NARROW, SMALL] = [[nic(0)], [nic(0, { mtu: 1400 })], [nic(0, { mtu: 1300 })]];

let objects: LooseObjects;
let reader: Reader;
let raw: RawBranch;
let birth: Oid;
/** The branch's only spec commit, at second 20. */
let spec: Oid;

beforeAll(async () => {
  objects = await LooseObjects.open();
  reader = openReader(objects.dir);
  raw = new RawBranch(objects);
  birth = raw.ours('birth', [], { time: 10 });
  spec = raw.ours('spec', WIDE, { parent: birth, time: 20 });
});

afterAll(async () => {
  await reader.close();
  await objects[Symbol.asyncDispose]();
});

const rollbackBy = (by: string): string => `a: back\n\nChange: rollback\nBy: ${by}\n`;

const edit = (network: typeof WIDE, parent: Oid, time = 30): Oid =>
  raw.edit(filesOf(network), { parent, time });

describe('a hold', () => {
  test('is none at the base, and none after an edit that goes back to the base', async () => {
    expect(await readBranch(reader, 'a', spec)).not.toHaveProperty('hold');
    const back = edit(WIDE, edit(NARROW, spec));
    expect(await readBranch(reader, 'a', back)).not.toHaveProperty('hold');
  });

  test('is by the oldest commit since which the network differs from the base', async () => {
    const first = edit(NARROW, spec, 30);
    const { hold, base, network } = await readBranch(reader, 'a', edit(SMALL, first, 40));
    expect(hold).toEqual({
      commit: first,
      author: { name: 'Alice', email: 'alice@example.org' },
      since: 30,
    });
    expect([base.commit?.oid, base.network, network]).toEqual([spec, WIDE, SMALL]);
  });

  test('begins anew after an edit that went back to the base', async () => {
    const again = edit(SMALL, edit(WIDE, edit(NARROW, spec)));
    expect((await readBranch(reader, 'a', again)).hold?.commit).toBe(again);
  });

  test('begins with a tip that could not be read', async () => {
    const broken = raw.edit(new Map([...filesOf(WIDE), [FILE, '{']]), { parent: spec });
    expect((await readBranch(reader, 'a', broken)).invalid?.code).toBe('InvalidTree');
    expect((await readBranch(reader, 'a', edit(NARROW, broken))).hold?.commit).toBe(broken);
  });

  test('has the account of a command, and no account that a person wrote in a message', async () => {
    const ours = 'Alice <controller@multinic.io>';
    const command = raw.commit(filesOf(NARROW), ours, rollbackBy('operator'), { parent: spec });
    expect((await readBranch(reader, 'a', command)).hold).toMatchObject({ principal: 'operator' });
    const pushed = raw.edit(filesOf(NARROW), { parent: spec }, rollbackBy('root'));
    expect((await readBranch(reader, 'a', pushed)).hold).not.toHaveProperty('principal');
  });
});

test('a reading is remembered for its tip, and for no other', async () => {
  const branches = new Branches(reader);
  const later = edit(NARROW, spec);
  expect(branches.known('a', spec)).toBeUndefined();
  const read = await branches.at('a', spec);
  expect(branches.known('a', spec)).toBe(read);
  expect(branches.known('a', later)).toBeUndefined();
  expect(branches.known('b', spec)).toBeUndefined();
  expect(await branches.at('a', spec)).toBe(read);
  const next = await branches.at('a', later);
  expect([next.tip.oid, next.network]).toEqual([later, NARROW]);
  expect(branches.known('a', spec)).toBeUndefined();
});

describe('a reading that goes on from an earlier one', () => {
  test('keeps the base and the hold, and equals a whole reading', async () => {
    const first = edit(NARROW, spec);
    const known = await readBranch(reader, 'a', first);
    const tip = edit(SMALL, first);
    const branch = await readBranch(reader, 'a', tip, known);
    expect(branch).toEqual(await readBranch(reader, 'a', tip));
    expect(branch.base).toBe(known.base);
    expect(branch.hold?.commit).toBe(first);
  });

  test('takes nothing from a branch of other commits', async () => {
    const known = await readBranch(reader, 'a', edit(NARROW, spec));
    const { base } = await readBranch(reader, 'a', raw.ours('birth', [], { time: 11 }), known);
    expect(base).toEqual({ network: [] });
  });

  test('takes no hold from before a new base', async () => {
    const known = await readBranch(reader, 'a', edit(NARROW, spec));
    const next = raw.ours('spec', NARROW, { parent: known.tip.oid });
    const tip = edit(SMALL, next);
    expect((await readBranch(reader, 'a', tip, known)).hold?.commit).toBe(tip);
  });
});

describe('a tip that came past the push policy is invalid', () => {
  test('with a link', async () => {
    const tree = objects.tree(filesOf(NARROW), (path) => (path === FILE ? '120000' : '100644'));
    const { invalid } = await readBranch(reader, 'a', objects.commit({ tree, parents: [spec] }));
    expect([invalid?.code, invalid?.message]).toEqual([
      'InvalidTip',
      `${FILE} has mode 120000: make it a plain file (100644), or release the node`,
    ]);
  });

  test('with another node.yaml', async () => {
    const files = new Map(filesOf(WIDE));
    files.set('node.yaml', `${files.get('node.yaml')}# mine\n`);
    const branch = await readBranch(reader, 'a', raw.edit(files, { parent: spec }));
    expect([branch.invalid?.code, branch.network, branch.anchor.oid]).toEqual(['InvalidTip', WIDE, spec]);
  });

  test('and so is each one above a base that cannot be read', async () => {
    const odd = new Map([...filesOf(WIDE), [FILE, '{']]);
    const unreadable = raw.commit(odd, 'c <controller@multinic.io>', 'a: add\n\nChange: spec\n', {
      parent: birth,
    });
    const { invalid, network, base } = await readBranch(reader, 'a', edit(NARROW, unreadable));
    expect([invalid?.code, network, base.commit?.oid]).toEqual(['InvalidTree', [], unreadable]);
  });

  test('and one without any commit of the controller is no branch', async () => {
    const stranger = raw.edit(filesOf(WIDE));
    await expect(readBranch(reader, 'a', stranger)).rejects.toMatchObject({ code: 'InvalidTip' });
  });
});

test('the identity is that of the newest commit of the controller that says who the node is', async () => {
  const odd = new Map([['node.yaml', 'name: 3\n']]);
  const nobody = raw.commit(odd, 'c <CONTROLLER@multinic.io>', 'a: identity\n', { parent: spec });
  expect(await newestIdentity(reader, await reader.commit(nobody))).toEqual(identity('netplan', 'a'));
  const root = raw.commit(odd, 'c <controller@multinic.io>', 'a: birth\n', {});
  await expect(newestIdentity(reader, await reader.commit(root))).rejects.toMatchObject({
    code: 'InvalidTip',
  });
});

test('the base of an earlier time is that of the newest spec commit until then', async () => {
  const between = edit(SMALL, spec, 35);
  const tip = raw.ours('spec', NARROW, { parent: between, time: 40 });
  const branch = await readBranch(reader, 'a', tip);
  const at = (time: number): ReturnType<typeof baseAt> => baseAt(reader, branch, time);
  expect(await at(40)).toEqual(NARROW);
  expect(await at(39)).toEqual(WIDE);
  expect(await at(20)).toEqual(WIDE);
  expect(await at(19)).toEqual([]);
  expect(await baseAt(reader, await readBranch(reader, 'a', birth), 100)).toEqual([]);
});

describe('a rollback goes back', () => {
  test('to the newest commit with another network, past those that cannot be read', async () => {
    const broken = raw.edit(new Map([...filesOf(WIDE), [FILE, '{']]), { parent: spec });
    const tip = edit(NARROW, edit(NARROW, broken));
    const branch = await readBranch(reader, 'a', tip);
    expect(await rollbackTarget(reader, branch)).toEqual({ commit: spec, network: WIDE });
  });

  test('to a named commit of the branch alone', async () => {
    const branch = await readBranch(reader, 'a', spec);
    expect(await rollbackTarget(reader, branch, birth)).toEqual({ commit: birth, network: [] });
    const other = edit(NARROW, spec);
    await expect(rollbackTarget(reader, branch, other)).rejects.toMatchObject({ code: 'NotInBranch' });
    // The caller knows that the commit is on the branch, although the reader does not.
    expect(await rollbackTarget(reader, branch, other, { onBranch: true })).toEqual({
      commit: other,
      network: NARROW,
    });
  });

  test('nowhere from a branch with one network, or from a tip that cannot be read', async () => {
    const only = await readBranch(reader, 'a', birth);
    await expect(rollbackTarget(reader, only)).rejects.toMatchObject({ code: 'NothingToRollBack' });
    const broken = raw.edit(new Map([...filesOf(WIDE), [FILE, '{']]), { parent: spec });
    const invalid = await readBranch(reader, 'a', broken);
    await expect(rollbackTarget(reader, invalid)).rejects.toMatchObject({ code: 'InvalidTip' });
  });
});
