// The order in which CRs that trade nodes are committed: all gains before all losses.

import { describe, expect, test } from 'vitest';
import { configSteps } from './config-steps.ts';
import type { ValidConfig } from './judge.ts';
import type { MainState } from './main-branch.ts';
import type { Entry } from './node-entry.ts';

type Crs = Readonly<Record<string, readonly string[]>>;

/** An entry by its ID; `?` begins the key of an entry without one. */
const entryOf = (id: string): Entry =>
  ({ key: id, ...(!id.startsWith('?') && { nodeId: id }) }) as unknown as Entry;
const configOf = (ids: readonly string[]): object => ({
  entries: new Map(ids.map((id) => [id, entryOf(id)])),
});

/** The states of each CR from `before` to `after`, in order: `one: a b`. */
function steps(before: Crs, after: Crs): string[] {
  const main = { configs: new Map(Object.entries(before).map(([key, ids]) => [key, configOf(ids)])) };
  const valid = new Map(
    Object.entries(after).map(([key, ids]) => [
      key,
      { object: { key }, config: configOf(ids) } as unknown as ValidConfig,
    ]),
  );
  return configSteps(valid, main as unknown as MainState).map(
    ({ key, object, config }) =>
      `${key}${(object as unknown as { key: string }).key === key ? '' : ' of another'}: ${[...config.entries.keys()].join(' ')}`,
  );
}

describe('the states of CRs', () => {
  test.each<[string, Crs, Crs, string[]]>([
    ['that are new come as they are', {}, { one: ['a'], two: ['b'] }, ['one: a', 'two: b']],
    ['that stay come as they are', { one: ['a'] }, { one: ['a'] }, ['one: a']],
    [
      'that only lose come last',
      { one: ['a', 'b'], two: ['c'] },
      { one: ['a'], two: ['c', 'b'] },
      ['two: c b', 'one: a'],
    ],
    [
      'that lose one and gain a new one take one state',
      { one: ['a'], two: ['b'] },
      { one: ['x'], two: ['b'] },
      ['two: b', 'one: x'],
    ],
    [
      'that trade take two: with all nodes, then as written',
      { one: ['a'], two: ['b'] },
      { one: ['b'], two: ['a'] },
      ['one: b a', 'two: a b', 'one: b', 'two: a'],
    ],
    [
      'that pass nodes on in a chain gain before they lose',
      { one: ['a'], two: ['b'] },
      { one: [], two: ['a'] },
      ['two: a b', 'one: ', 'two: a'],
    ],
    [
      'go by the node and not by the spelling of its ID',
      { one: ['AB-CD'], two: ['b'] },
      { one: ['b'], two: ['abcd'] },
      ['one: b AB-CD', 'two: abcd b', 'one: b', 'two: abcd'],
    ],
    [
      'with entries without an ID go by their keys',
      { one: ['?a'], two: ['?b'] },
      { one: ['?b'], two: ['?a'] },
      ['one: ?b ?a', 'two: ?a ?b', 'one: ?b', 'two: ?a'],
    ],
  ])('%s', (_, before, after, expected) => {
    expect(steps(before, after)).toEqual(expected);
  });
});
