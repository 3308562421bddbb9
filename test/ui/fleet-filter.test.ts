// Search, filter and sort of the fleet's screen, and its address.

import { expect, test } from 'vitest';
import type { LiveNode } from '../../src/api/live.ts';
import { chosen, countsOf, readView } from '../../src/ui/screens/fleet-filter.ts';
import { formatPlace, parsePlace } from '../../src/ui/live/place.ts';

const node = (name: string, more: Partial<LiveNode> = {}): LiveNode => ({
  attachedNodeId: `i-${name}`,
  attachedNodeName: name,
  node: name,
  state: 'Configured',
  activity: 'rests',
  ...more,
});

const NODES = [
  node('worker-10', { held: true }),
  node('worker-2', {
    state: 'Failed',
    activity: 'stuck',
    message: 'no carrier',
    interfaces: [
      { name: 'multinic0', macAddress: '02:00:00:00:01:01', address: '192.168.7.4/24', state: 'Failed' },
    ],
  }),
  node('worker-1', { state: 'InProgress', activity: 'moves', drifted: true }),
];
const names = (query: Record<string, string>): string[] =>
  chosen(NODES, readView(query)).map(({ attachedNodeName }) => attachedNodeName);

test('nodes come in the order of their numbers', () => {
  expect(names({})).toEqual(['worker-1', 'worker-2', 'worker-10']);
  expect(names({ sort: '-node' })).toEqual(['worker-10', 'worker-2', 'worker-1']);
});

test('by state, what needs a person comes first', () => {
  expect(names({ sort: 'state' })).toEqual(['worker-2', 'worker-1', 'worker-10']);
});

test.each([
  ['CARRIER', ['worker-2']],
  ['192.168.7.4 worker', ['worker-2']],
  ['02:00:00:00:01:01', ['worker-2']],
  ['i-worker-10', ['worker-10']],
  ['nothing', []],
])('a search for %s finds %s', (q, found) => expect(names({ q })).toEqual(found));

test.each([
  ['attention', ['worker-2']],
  ['held', ['worker-10']],
  ['drifted', ['worker-1']],
  ['Failed', ['worker-2']],
  ['no such filter', ['worker-1', 'worker-2', 'worker-10']],
])('the filter %s shows %s', (show, found) => expect(names({ show })).toEqual(found));

test('each filter says how many nodes it shows', () => {
  expect(Object.fromEntries(countsOf(NODES))).toEqual({
    Configured: 1,
    InProgress: 1,
    Pending: 0,
    Failed: 1,
    attention: 1,
    held: 1,
    paused: 0,
    drifted: 1,
  });
});

test('a place is read from the address that it makes', () => {
  const place = { screen: 'node', subject: 'a/b ?#%', query: { from: 'c&d' } } as const;
  expect(parsePlace(formatPlace(place.screen, place.subject, { ...place.query, to: '' }))).toEqual(place);
});

test.each(['', '#', '#/', '#/nonsense', '#key=secret', '#/node/%E0%A4%A'])(
  'the address %j is a place too',
  (hash) => expect(parsePlace(hash).subject).toBe(''),
);
