// The path of a node in the API, which knows nothing of some nodes that the page shows.

import { expect, test } from 'vitest';
import type { LiveNode } from '../../src/api/live.ts';
import { EMPTY } from '../../src/ui/live/fleet-state.ts';
import { pathOf } from '../../src/ui/screens/node-path.ts';

const node = (name: string, desiredCommit?: string): [string, LiveNode] => [
  name,
  {
    node: name,
    attachedNodeId: name,
    attachedNodeName: name,
    state: 'Failed',
    activity: 'stuck',
    ...(desiredCommit !== undefined && { desiredCommit }),
  },
];
const state = { ...EMPTY, complete: true, nodes: new Map([node('born', 'c1'), node('bad')]) };

test('a node with a commit, and one that no CR names any more, are asked for', () => {
  expect(pathOf('born', state)).toBe('/nodes/born');
  expect(pathOf('a node/of before', state)).toBe('/nodes/a%20node%2Fof%20before');
});

test('a node whose entry was never good is not asked for, and none before the state is whole', () => {
  expect(pathOf('bad', state)).toBeUndefined();
  expect(pathOf('born', { ...state, complete: false })).toBeUndefined();
});
