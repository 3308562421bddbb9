// Commits of main, and what is read back from them.

import { describe, expect, test } from 'vitest';
import { oid } from '../../test/support/oid.ts';
import { Batch } from '../store/model/batch.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { admitConfig } from '../network/admission.ts';
import type { ConfigObject } from './home-port.ts';
import {
  commitConfig,
  commitsSince,
  mainConfig,
  readMain,
  sameConfig,
  type MainConfig,
} from './main-branch.ts';

const MAIN = oid('main');

/** A CR with this number of nodes: `i-0`, `i-1`, … */
function configOf(nodes: number, more: Partial<ConfigObject> = {}, known?: MainConfig): MainConfig {
  const nodeConfigs = Array.from({ length: nodes }, (_, index) => ({
    attachedNodeId: `i-${index}`,
    interfaces: [],
  }));
  const object: ConfigObject = {
    ref: { group: 'multinic.io', namespace: 'ns', name: 'cr' },
    uid: 'u',
    generation: 1,
    annotations: {},
    spec: { nodeConfigs },
    writer: { name: 'kubectl', email: '' },
    ...more,
  };
  return mainConfig(object, admitConfig(object), known);
}

/** The commit that brings main from one state of a CR to another. */
function commitOf(before: MainConfig | undefined, after: MainConfig | undefined) {
  const batch = new Batch();
  commitConfig(batch, MAIN, before, after);
  return batch.commits[0]!;
}

describe('the message of a commit', () => {
  test.each([
    [0, 'ns/cr: new, no node', 0],
    [3, 'ns/cr: new, i-0, i-1, i-2', 0],
    [4, 'ns/cr: new, 4 nodes', 4],
    [100, 'ns/cr: new, 100 nodes', 100],
    [101, 'ns/cr: new, 101 nodes', 0],
  ])('of %i nodes names them in the subject, in the body, or counts them', (nodes, subject, lines) => {
    const commit = commitOf(undefined, configOf(nodes));
    expect(commit.subject).toBe(subject);
    expect(commit.body?.split('\n').length ?? 0).toBe(lines);
  });

  test('says what became of a CR', () => {
    expect(commitOf(configOf(1), configOf(2, { generation: 2 })).subject).toBe(
      'ns/cr: generation 2, i-1 changed',
    );
    const removed = commitOf(configOf(1), undefined);
    expect(removed.subject).toBe('ns/cr: removed');
    expect([...removed.files]).toEqual([['configs/multinic.io/ns/cr', null]]);
  });
});

test.each([
  [128, 1],
  [129, 0],
])('a hash of %d characters is in %d trailers', (length, count) => {
  const spec = { nodeConfigs: [], specHash: 'h'.repeat(length) };
  const { trailers } = commitOf(undefined, configOf(0, { spec }));
  expect(trailers.filter(([key]) => key === 'Spec-Hash')).toHaveLength(count);
});

test('the commits after one of main are listed, oldest first', async () => {
  const [first, second, tip] = ['1', '2', '3'].map(oid) as [Oid, Oid, Oid];
  const parents = new Map([
    [tip, [second]],
    [second, [first]],
    [first, []],
  ]);
  const reader = { commit: async (id: Oid) => ({ oid: id, parents: parents.get(id) }) } as unknown as Reader;
  const since = async (from: Oid | undefined): Promise<Oid[]> =>
    (await commitsSince(reader, tip, from)).map((commit) => commit.oid);
  expect([await since(first), await since(tip)]).toEqual([[second, tip], []]);
  expect(await since(undefined)).toEqual([first, second, tip]);
});

test('what is committed reads back, and an entry without its CR is left out', async () => {
  const origin = { crd: 'c', namespace: 'n' };
  const config = configOf(2, { origin });
  const stray = 'configs/multinic.io/ns/other/nodes/00/i-9.yaml';
  const files = new Map([...(commitOf(undefined, config).files as Map<string, string>), [stray, '{}\n']]);
  const reader = { files: async () => files } as unknown as Reader;
  const main = await readMain(reader, MAIN);
  expect([...main.configs.keys()]).toEqual(['multinic.io/ns/cr']);
  const read = main.configs.get('multinic.io/ns/cr')!;
  expect(sameConfig(read, config)).toBe(true);
  expect(read.origin).toEqual(origin);
  expect([...read.entries.keys()].sort()).toEqual(['i-0', 'i-1']);
  const again = await readMain(reader, MAIN, main);
  expect(again.configs.get('multinic.io/ns/cr')!.entries.get('i-0')).toBe(read.entries.get('i-0'));
});

test('a CR keeps the origin that main knows, unless it is another CR', () => {
  const origin = { crd: 'c' };
  const known = configOf(0, { origin });
  expect(configOf(0, {}, known).origin).toEqual(origin);
  expect(configOf(0, { uid: 'other' }, known)).not.toHaveProperty('origin');
  expect(configOf(0)).not.toHaveProperty('origin');
});

test('two states are the same if neither the CR nor an entry differs', () => {
  expect(sameConfig(undefined, configOf(0))).toBe(false);
  expect(sameConfig(configOf(2), configOf(2))).toBe(true);
  expect(sameConfig(configOf(3), configOf(2))).toBe(false);
  expect(sameConfig(configOf(2), configOf(2, { generation: 2 }))).toBe(false);
});
