// What is said of a node, and who pushed a commit, read from commits that are written by hand.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nic } from '../../test/support/agent.ts';
import { LooseObjects } from '../../test/support/loose-objects.ts';
import { filesOf, RawBranch } from '../../test/support/raw-branch.ts';
import { nodeRef } from '../network/node-ref.ts';
import type { LogOptions, Oid, Reader } from '../store/model/store-port.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import { openReader } from '../store/reader.ts';
import { outcomeRef } from './refs.ts';
import { describe as descriptionOf, pusherOf } from './timeline.ts';

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
function withRefs(refs: Readonly<Record<string, Oid | undefined>>): Reader {
  return {
    ref: async (name: string) => refs[name],
    commit: (id: Oid) => reader.commit(id),
    files: (id: Oid) => reader.files(id),
    list: (id: Oid) => reader.list(id),
    blob: (id: Oid) => reader.blob(id),
    log: (id: Oid, options?: LogOptions) => reader.log(id, options),
    isAncestor: (older: Oid, newer: Oid) => reader.isAncestor(older, newer),
    resolve: (text: string) => reader.resolve(text),
  } as unknown as Reader;
}

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
