// The records of observations, and the files that a drifted host has.

import { expect, test } from 'vitest';
import { identity, nic } from '../../test/support/agent.ts';
import { oid } from '../../test/support/oid.ts';
import { Observation, type Difference } from '../api/observation.ts';
import { managedFiles, renderTree, treeId } from '../network/tree.ts';
import { Batch } from '../store/model/batch.ts';
import type { Commit, Reader } from '../store/model/store-port.ts';
import { filesOfHost, recordDrift, recordObserved } from './drift-record.ts';
import { parseOutcome, type OutcomeRecord } from './outcome-branch.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const COMMIT = oid('c');
const TIP = oid('t');
const ON_HOST = { oid: oid('ran') } as OutcomeRecord;
const TREE = renderTree(identity('netplan', 'a'), [nic(0), nic(1)]);
/** Files of the commit, and of the record of its run. */
const reader = {
  files: async (commit: string) => (commit === COMMIT ? TREE : managedFiles(TREE)),
} as unknown as Reader;

const DOWN: Difference = { kind: 'LinkDown', name: 'multinic0' };
const BOOT: Difference = { kind: 'NextBoot', path: 'etc/x' };

function finding(more: Partial<Observation> = {}) {
  const observation = Observation.parse({
    version: 1,
    mode: 'observe',
    node: 'a',
    job: 'j',
    commit: COMMIT,
    result: 'Drifted',
    step: 'compare',
    machineId: 'm',
    bootId: 'b',
    startedAt: '2025-01-21T10:32:00.000Z',
    durationMs: 1,
    ...more,
  });
  return { observation, stamp: 7, tip: TIP, onHost: ON_HOST };
}

/** The record of a drift, as it is written and as it reads back. */
async function drift(differences: Difference[], more: Partial<Observation> = {}, first = false) {
  const batch = new Batch();
  await recordDrift(reader, batch, { ...finding({ differences, ...more }), first }, new Map());
  const [written] = batch.commits;
  const { subject, body = '', trailers } = written!;
  const person = { name: 'c', email: 'c', time: 1 };
  const commit = { oid: TIP, tree: TIP, parents: [TIP, COMMIT], subject, body, trailers };
  const record = parseOutcome({ ...commit, author: person, committer: person } as Commit);
  return { subject, body, record, moves: batch.moves };
}

test('a record counts its differences and names those that were cut', async () => {
  expect((await drift([DOWN])).subject).toMatch(/\(1 difference\)$/);
  expect((await drift([DOWN, BOOT])).subject).toMatch(/\(2 differences\)$/);
  expect((await drift([DOWN])).body).toBe('multinic0 is down');
  const cut = await drift([DOWN], { omitted: 3 });
  expect(cut.subject).toMatch(/\(4 differences\)$/);
  expect(cut.body).toBe('multinic0 is down\nand 3 more');
});

test('a record reads back as it was written, on the outcome branch of its node', async () => {
  const digest = 'd'.repeat(64);
  const { record, moves } = await drift([DOWN, BOOT], { digest }, true);
  expect(record).toMatchObject({
    result: 'Drifted',
    stamp: 7,
    tried: COMMIT,
    digest,
    differences: [DOWN, BOOT],
    first: true,
    machineId: 'm',
    bootId: 'b',
    systemUUID: identity('netplan').systemUUID,
  });
  expect(moves).toEqual([{ ref: 'refs/heads/outcome/a', to: { mark: 1 }, from: TIP }]);
  const later = await drift([DOWN], { machineId: '', bootId: '' });
  for (const key of ['first', 'digest', 'machineId', 'bootId']) expect(later.record).not.toHaveProperty(key);
});

test('a drift that no run puts right is told apart', async () => {
  expect((await drift([BOOT])).record.repairable).toBe(false);
  expect((await drift([DOWN, BOOT])).record).not.toHaveProperty('repairable');
  expect((await drift([])).record).not.toHaveProperty('repairable');
});

test('the end of a drift has the files of the run', async () => {
  const batch = new Batch();
  await recordObserved(reader, batch, finding({ result: 'Observed' }));
  expect(batch.commits).toMatchObject([
    {
      parents: [TIP, COMMIT],
      files: managedFiles(TREE),
      subject: expect.stringMatching(/the drift is gone$/),
    },
  ]);
  expect(batch.moves).toEqual([{ ref: 'refs/heads/outcome/a', to: { mark: 1 }, from: TIP }]);
});

test('the files of a host are those of its commit with what the observer sent, if they have its tree', async () => {
  const other = 'etc/netplan/90-multinic1.yaml';
  const expected = new Map([...managedFiles(TREE), [FILE, 'x: 1\n']]);
  expected.delete(other);
  const host = { version: 1, node: 'a', job: 'j', commit: COMMIT, digest: 'd'.repeat(64) } as const;
  const files = { [FILE]: 'x: 1\n', [other]: null };
  const tree = treeId(expected);
  expect(await filesOfHost(reader, { onHost: ON_HOST, host: { ...host, files, tree } })).toEqual(expected);
  expect(
    await filesOfHost(reader, { onHost: ON_HOST, host: { ...host, files, tree: oid('other') } }),
  ).toBeUndefined();
  expect(await filesOfHost(reader, { onHost: ON_HOST })).toEqual(managedFiles(TREE));
});
