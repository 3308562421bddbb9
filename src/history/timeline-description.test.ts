// The description of a node, and the author of a push, from commits that the tests write by hand.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nic } from '../../test/support/agent.ts';
import { LooseObjects } from '../../test/support/loose-objects.ts';
import { filesOf, RawBranch } from '../../test/support/raw-branch.ts';
import { withRefs as readerWithRefs } from '../../test/support/with-refs.ts';
import { nodeRef } from '../network/node-ref.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import { openReader } from '../store/reader.ts';
import { outcomeRef } from './refs.ts';
import { describe as descriptionOf, diff, pusherOf } from './node-description.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const [WIDE, NARROW] = [[nic(0)], [nic(0, { mtu: 1400 })]];

let objects: LooseObjects;
let reader: Reader;
let raw: RawBranch;
let birth: Oid;
let spec: Oid;
let edit: Oid;

beforeAll(async () => {
  objects = await LooseObjects.open();
  reader = openReader(objects.dir);
  raw = new RawBranch(objects);
  birth = raw.ours('birth', []);
  spec = raw.ours('spec', WIDE, { parent: birth });
  edit = raw.edit(filesOf(NARROW), { parent: spec });
});

afterAll(async () => {
  await reader.close();
  await objects[Symbol.asyncDispose]();
});

/** The store with these refs. */
const withRefs = (refs: Parameters<typeof readerWithRefs>[1]): Reader => readerWithRefs(reader, refs);

/** A record of a push, on top of the records before. */
function pushed(name: string, old: Oid, tip: Oid, before?: Oid, ref = nodeRef('a')): Oid {
  const message = `push\n\nPrincipal: ${name}\nRef: ${ref}\nOld: ${old}\nNew: ${tip}\n`;
  return raw.commit(new Map([['x', '']]), 'c <controller@multinic.io>', message, { parent: before });
}

const record = (message: string, parent?: Oid): Oid =>
  raw.commit(new Map([['x', '']]), 'c <controller@multinic.io>', message, { parent });

describe('a node', () => {
  test('that nothing happened to has its base, and no more', async () => {
    const found = await descriptionOf(
      withRefs({ [nodeRef('a')]: spec, [outcomeRef('a')]: record('begin') }),
      'a',
    );
    expect(found).toMatchObject({ commit: spec, base: spec, network: WIDE });
    for (const key of ['hold', 'invalid', 'outcome']) expect(found).not.toHaveProperty(key);
    expect(await descriptionOf(withRefs({ [nodeRef('a')]: birth }), 'a')).not.toHaveProperty('base');
  });

  test('has its newest outcome at its tip, and none at an earlier commit', async () => {
    const ran = record('ran\n\nResult: Applied\n', record('begin'));
    const store = withRefs({ [nodeRef('a')]: edit, [outcomeRef('a')]: ran });
    expect((await descriptionOf(store, 'a')).outcome).toMatchObject({ result: 'Applied' });
    const earlier = await descriptionOf(store, 'a', spec);
    expect(earlier).toMatchObject({ commit: spec });
    expect(earlier).not.toHaveProperty('outcome');
  });

  test('that is held has the account of the push', async () => {
    const audit = pushed('operator', spec, edit);
    const held = await descriptionOf(withRefs({ [nodeRef('a')]: edit, [AUDIT_REF]: audit }), 'a');
    expect(held.hold).toMatchObject({ commit: edit, principal: 'operator' });
    const alone = await descriptionOf(withRefs({ [nodeRef('a')]: edit }), 'a');
    expect(alone.hold).not.toHaveProperty('principal');
  });

  test('with a tip that cannot be read says why', async () => {
    const broken = raw.edit(new Map([...filesOf(WIDE), [FILE, '{']]), { parent: spec });
    const { invalid } = await descriptionOf(withRefs({ [nodeRef('a')]: broken }), 'a');
    expect(invalid).toContain(FILE);
  });

  test('that there is not, and a commit of no branch of the node', async () => {
    await expect(descriptionOf(withRefs({}), 'a')).rejects.toMatchObject({ code: 'NoSuchNode' });
    const store = withRefs({ [nodeRef('a')]: spec });
    await expect(descriptionOf(store, 'a', edit)).rejects.toMatchObject({ code: 'NotInBranch' });
  });
});

test('a commit was pushed by whoever brought it, also below others', async () => {
  const next = raw.edit(filesOf(WIDE), { parent: edit });
  const last = raw.edit(filesOf(NARROW), { parent: next });
  const first = pushed('alice', spec, edit, record('begin'));
  const other = pushed('eve', spec, last, first, nodeRef('b'));
  const store = withRefs({ [AUDIT_REF]: pushed('bob', edit, last, other) });
  const by = (commit: Oid): Promise<string | undefined> => pusherOf(store, 'a', commit);
  expect([await by(edit), await by(next), await by(last)]).toEqual(['alice', 'bob', 'bob']);
  expect([await by(spec), await pusherOf(withRefs({}), 'a', edit)]).toEqual([undefined, undefined]);
});

const mtus = (text: string): string[] => text.match(/^[-+] .*mtu: \d+$/gm)?.map((each) => each.trim()) ?? [];
const shown = (text: string): string[] =>
  [...text.matchAll(/^diff --git a\/(\S+)/gm)].map(([, path]) => path!);

/** The host's files without node.yaml, as an outcome branch has them. */
const onHost = (network: typeof WIDE, parent?: Oid): Oid => {
  const files = new Map([...filesOf(network)].filter(([path]) => path !== 'node.yaml'));
  return raw.commit(files, 'c <controller@multinic.io>', 'ran', { parent });
};

describe('a diff', () => {
  test('of a commit with one of the same branch has node.yaml where it differs', async () => {
    const store = withRefs({ [nodeRef('a')]: edit, [outcomeRef('a')]: onHost(WIDE) });
    const named = new Map([...filesOf(NARROW), ['node.yaml', '# another\n']]);
    const renamed = raw.edit(named, { parent: edit });
    const moved = withRefs({ [nodeRef('a')]: renamed, [outcomeRef('a')]: onHost(WIDE) });
    expect(shown(await diff(moved, 'a', { from: spec, to: renamed }))).toEqual([FILE, 'node.yaml']);
    // The newest change has the commit before it; the first commit has none.
    expect(shown(await diff(store, 'a', {}))).toEqual([FILE]);
    expect(shown(await diff(store, 'a', { to: birth }))).toEqual(['node.yaml']);
  });

  test('with a record of the host leaves node.yaml out, on either side, because the host has none', async () => {
    const host = onHost(WIDE);
    const store = withRefs({ [nodeRef('a')]: edit, [outcomeRef('a')]: host });
    for (const [query, expected] of [
      [{ from: host, to: edit }, ['-', '+']],
      [{ from: edit, to: host }, ['-', '+']],
      [{ host: true }, ['-', '+']],
    ] as const) {
      const text = await diff(store, 'a', query);
      expect(shown(text)).toEqual([FILE]);
      expect(mtus(text).map((each) => each[0])).toEqual(expected);
    }
    expect(mtus(await diff(store, 'a', { from: host, to: edit }))[1]).toMatch(/mtu: 1400$/);
    expect(mtus(await diff(store, 'a', { from: edit, to: host }))[1]).toMatch(/mtu: 1500$/);
    // A node without a run has no record: all of its files are wanted, and the host has none of them.
    expect(shown(await diff(withRefs({ [nodeRef('a')]: edit }), 'a', { host: true }))).toEqual([FILE]);
  });
});
