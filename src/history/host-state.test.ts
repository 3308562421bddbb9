// The host by the newest record of its outcome branch, which may be a person's request on top of a run.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { nic } from '../../test/support/agent.ts';
import { LooseObjects } from '../../test/support/loose-objects.ts';
import { filesOf, RawBranch } from '../../test/support/raw-branch.ts';
import { withRefs } from '../../test/support/with-refs.ts';
import { nodeRef } from '../network/node-ref.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { openReader } from '../store/reader.ts';
import { hostState } from './host-state.ts';
import { outcomeRef } from './refs.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const [WIDE, NARROW] = [[nic(0)], [nic(0, { mtu: 1400 })]];

let objects: LooseObjects;
let reader: Reader;
let raw: RawBranch;
let tip: Oid;
let begin: Oid;

beforeAll(async () => {
  objects = await LooseObjects.open();
  reader = openReader(objects.dir);
  raw = new RawBranch(objects);
  tip = raw.ours('spec', NARROW, { parent: raw.ours('birth', []) });
  begin = record('nothing applied yet', new Map());
});

afterAll(async () => {
  await reader.close();
  await objects[Symbol.asyncDispose]();
});

const record = (message: string, files: ReadonlyMap<string, string>, parent?: Oid): Oid =>
  raw.commit(files, 'c <controller@multinic.io>', message, { parent });

/** The state of a node whose outcome branch ends with this record. */
const stateWith = (outcome: Oid | undefined) =>
  hostState(withRefs(reader, { [nodeRef('a')]: tip, [outcomeRef('a')]: outcome }), 'a');

test('a host on which nothing has run has no record and no NICs', async () => {
  for (const outcome of [undefined, begin])
    expect(await stateWith(outcome)).toEqual({ network: [], files: {}, desired: NARROW });
});

test('the newest record has the files of the host and their NICs, a request too', async () => {
  const applied = record('ran\n\nResult: Applied\n', filesOf(WIDE), begin);
  const asked = record('asked\n\nResult: Requested\nRequest: retry\n', filesOf(WIDE), applied);
  for (const [commit, result] of [
    [applied, 'Applied'],
    [asked, 'Requested'],
  ] as const) {
    const state = await stateWith(commit);
    expect(state).toMatchObject({ commit, record: { result }, network: WIDE, desired: NARROW });
    // The identity of the node is no file of the host.
    expect(Object.keys(state.files)).toEqual([FILE]);
    expect(state).not.toHaveProperty('unreadable');
  }
});

test('files that are no NICs of ours are shown all the same, with the reason', async () => {
  const state = await stateWith(record('ran\n\nResult: Drifted\n', new Map([[FILE, '{']]), begin));
  expect(state).toMatchObject({ network: [], files: { [FILE]: '{' }, desired: NARROW });
  expect(state.unreadable).toContain(FILE);
});

test('there is no state of a node without a branch', async () => {
  await expect(hostState(withRefs(reader, {}), 'a')).rejects.toMatchObject({ code: 'NoSuchNode' });
});
