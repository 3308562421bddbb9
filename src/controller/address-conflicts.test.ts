import { describe, expect, test } from 'vitest';
import { snapshotOf, type NodeSetup } from '../../test/support/snapshot.ts';
import type { WaitsForAddress } from '../scheduler/due.ts';
import { activityOf } from './condition.ts';
import { nodeViews, type NodeView } from './config-status.ts';

const idle = (reason: 'Paused' | 'NotReady' | 'Running' | 'UpToDate'): NodeSetup => ({
  decision: { due: false, reason },
});
const waitsFor = (holder: string, more: Partial<WaitsForAddress> = {}): NodeSetup => ({
  decision: {
    due: false,
    reason: 'WaitsForAddress',
    address: `address of ${holder}`,
    holder,
    isKept: false,
    isStuck: true,
    ...more,
  },
});
const viewOf = (nodes: Record<string, NodeSetup>): NodeView =>
  nodeViews(snapshotOf(nodes)).find(({ node }) => node === 'a')!;
const RETRY = '. If the NICs of the two nodes are in separate networks: multinic retry ';

describe('why a node waits for an address', () => {
  test.each<[string, Record<string, NodeSetup>, string, 'moves' | 'stuck']>([
    [
      'the holder runs',
      { a: waitsFor('b', { isStuck: false }), b: idle('Running') },
      'address of b is still on node b. b: Running',
      'moves',
    ],
    [
      'the holder is not ready',
      { a: waitsFor('b'), b: idle('NotReady') },
      `address of b is still on node b. b: the node is not ready: applied when it is back${RETRY}a`,
      'moves',
    ],
    [
      'a chain to a paused node: the remedy is that of the last one',
      { a: waitsFor('b'), b: waitsFor('c'), c: idle('Paused') },
      `address of b is still on node b. b: address of c is still on node c. c: changes wait: multinic resume c${RETRY}b`,
      'stuck',
    ],
    [
      'a circle',
      { a: waitsFor('b', { isStuck: false }), b: waitsFor('a', { isStuck: false }) },
      'address of b is still on node b. b: address of a is still on node a, which waits too',
      'moves',
    ],
    [
      'the holder keeps what the CR gives it',
      { a: { ...waitsFor('b', { isKept: true }), held: true }, b: idle('UpToDate') },
      `address of b is still on node b, which keeps it: multinic.io/ns/cr gives it to that node, and a rollback or an edit to this one; roll b back too, or run multinic release a${RETRY}a`,
      'stuck',
    ],
    [
      'the holder is held',
      { a: waitsFor('b', { isKept: true }), b: { ...idle('UpToDate'), held: true } },
      '(multinic release b)',
      'stuck',
    ],
  ])('%s', (_, nodes, message, activity) => {
    const view = viewOf(nodes);
    expect(view).toMatchObject({ state: 'Pending', reason: 'WaitsForAddress' });
    expect(view.message).toContain(message);
    expect(activityOf(view)).toBe(activity);
  });

  test('a chain of hundreds is cut', () => {
    const names = ['a', ...Array.from({ length: 300 }, (_, index) => `n${index}`)];
    const nodes = Object.fromEntries(names.map((name, at) => [name, waitsFor(names[at + 1] ?? 'a')]));
    expect(viewOf(nodes).message).toMatch(/which waits too$/);
    expect(viewOf(nodes).message!.length).toBeLessThan(300);
  });
});
