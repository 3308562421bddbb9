// The browser's model of the fleet, from the frames of a stream.

import { expect, test } from 'vitest';
import type { LiveFrame, LiveItem, LiveNode } from '../../src/api/live.ts';
import { EMPTY, placeOf, reduce } from '../../src/ui/live/fleet-state.ts';
import { LineReader } from '../../src/ui/live/line-reader.ts';

const hello = (fresh: boolean): LiveFrame => ({
  frame: 'hello',
  epoch: 'e1',
  version: '1',
  principal: { name: 'p', role: 'read' },
  canPause: true,
  fresh,
});
const node = (name: string, state: LiveNode['state'] = 'Configured'): LiveItem => ({
  kind: 'node',
  key: name,
  value: { attachedNodeId: name, attachedNodeName: name, state, activity: 'rests' },
});
const items = (place: number, more: boolean, ...list: LiveItem[]): LiveFrame => ({
  frame: 'items',
  items: list,
  gone: [],
  place,
  more,
  total: 2,
});

test('a snapshot in parts is complete with its last part', () => {
  const half = reduce(EMPTY, [hello(true), items(1, true, node('a'))]);
  expect(half).toMatchObject({ complete: false, total: 2, place: 'e1:1' });
  const whole = reduce(half, [items(2, false, node('b'))]);
  expect(whole.complete).toBe(true);
  expect([...whole.nodes.keys()]).toEqual(['a', 'b']);
});

test('a change replaces one node, and leaves the state before as it was', () => {
  const before = reduce(EMPTY, [hello(true), items(1, false, node('a'))]);
  const after = reduce(before, [items(2, false, node('a', 'Failed'))]);
  expect(before.nodes.get('a')?.state).toBe('Configured');
  expect(after.nodes.get('a')?.state).toBe('Failed');
});

test('what is gone goes', () => {
  const before = reduce(EMPTY, [hello(true), items(1, false, node('a'), node('b'))]);
  const gone: LiveFrame = {
    frame: 'items',
    items: [],
    gone: [{ kind: 'node', key: 'a' }],
    place: 3,
    more: false,
    total: 1,
  };
  expect([...reduce(before, [gone]).nodes.keys()]).toEqual(['b']);
});

test('a stream that goes on keeps the nodes', () => {
  const before = reduce(EMPTY, [hello(true), items(1, false, node('a'))]);
  expect(reduce(before, [hello(false)]).nodes.size).toBe(1);
});

test('a fresh stream shows the nodes before until its snapshot is whole, and forgets them then', () => {
  const before = reduce(EMPTY, [hello(true), items(7, false, node('a'))]);
  const begun = reduce(before, [{ ...hello(true), epoch: 'e2' } as LiveFrame]);
  expect(begun).toMatchObject({ complete: true, hello: { epoch: 'e2' }, place: 'e1:7' });
  expect(placeOf(begun)).toBeUndefined();
  const half = reduce(begun, [items(1, true, node('b', 'Failed'))]);
  expect([...half.nodes.keys()]).toEqual(['a']);
  expect(placeOf(half)).toBe('e2:1');
  // The same stream goes on after a break within the snapshot.
  const goesOn = { ...hello(false), epoch: 'e2' } as LiveFrame;
  const whole = reduce(half, [goesOn, items(2, false, node('c'))]);
  expect([...whole.nodes.keys()]).toEqual(['b', 'c']);
  expect(whole).toMatchObject({ complete: true, place: 'e2:2' });
  expect(whole.incoming).toBeUndefined();
  expect(placeOf(whole)).toBe('e2:2');
});

test('lines that come in pieces, also within a letter, are put together', () => {
  const reader = new LineReader();
  const bytes = new TextEncoder().encode('{"a":"노드"}\n{"b":1}\n{"c"');
  const read = [...bytes].flatMap((byte) => reader.read(Uint8Array.of(byte)));
  expect(read).toEqual(['{"a":"노드"}', '{"b":1}']);
});
