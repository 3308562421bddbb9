import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LiveItem, LiveNode } from '../api/live.ts';
import { LiveItems } from './live-items.ts';

function node(key: string, message: string): LiveItem {
  const value: LiveNode = {
    attachedNodeId: key,
    attachedNodeName: key,
    state: 'Pending',
    activity: 'moves',
    message,
  };
  return { kind: 'node', key, value };
}

/** Reads what there is for a reader at a place, in parts. @returns its new place */
function read(items: LiveItems, known: Map<string, string>, place: number, limit: number): number {
  for (let at = place; ;) {
    const part = items.after(at, limit);
    expect(part.items.length + part.gone.length).toBeLessThanOrEqual(limit);
    for (const { key, value } of part.items) known.set(key, (value as LiveNode).message ?? '');
    for (const { key } of part.gone) known.delete(key);
    if (part.total < known.size && !part.more) throw new Error('the total is too small');
    at = part.place;
    if (!part.more) return at;
  }
}

test('a reader gets what changed since its place, and nothing twice', () => {
  const items = new LiveItems();
  expect(items.set([node('a', '1'), node('b', '1')])).toBe(true);
  const { place, total } = items.after(0, 10);
  expect(total).toBe(2);
  expect(items.set([node('a', '1'), node('b', '1')])).toBe(false);
  expect(items.after(place, 10).items).toEqual([]);
  items.set([node('a', '2')]);
  expect(items.after(place, 10)).toMatchObject({
    items: [node('a', '2')],
    gone: [{ kind: 'node', key: 'b' }],
    more: false,
    total: 1,
  });
});

test('a reader whose place is before what is forgotten begins anew', () => {
  const items = new LiveItems(1);
  items.set([node('a', '1'), node('b', '1'), node('c', '1')]);
  const { place } = items.after(0, 10);
  items.set([node('c', '1')]);
  expect(items.knows(place)).toBe(false);
  expect(items.knows(items.place)).toBe(true);
  expect(items.knows(items.place + 1)).toBe(false);
});

test('readers of any pace know the newest state in the end', () => {
  const fleet = fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { maxLength: 8 });
  const step = fc.record({ fleet, message: fc.constantFrom('1', '2', '3'), reads: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 4 }),
      (steps, limit) => {
        const items = new LiveItems(3);
        let known = new Map<string, string>();
        let place = 0;
        const catchUp = (): void => {
          if (!items.knows(place)) {
            known = new Map();
            place = 0;
          }
          place = read(items, known, place, limit);
        };
        for (const { fleet, message, reads } of steps) {
          items.set(fleet.map((key) => node(key, message)));
          if (reads) catchUp();
        }
        catchUp();
        const last = steps.at(-1)!;
        expect(known).toEqual(new Map(last.fleet.map((key) => [key, last.message])));
      },
    ),
  );
});
