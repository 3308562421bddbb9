import { describe, expect, test } from 'vitest';
import { DEFAULT_GUARD, GUARD_WINDOW_S, stoppedRemovals, type Removal } from './guard.ts';

const removals = (count: number, extra: Partial<Removal> = {}): Removal[] =>
  Array.from({ length: count }, (_, index) => ({
    node: `n${index}`,
    confirmed: false,
    waiting: false,
    ...extra,
  }));

const stopped = (removed: readonly Removal[], cleanedLately: number, configuredBefore: number): string[] => [
  ...stoppedRemovals(removed, { cleanedLately, configuredBefore }, DEFAULT_GUARD),
];

test('removals count for an hour', () => {
  expect(GUARD_WINDOW_S).toBe(3600);
});

describe('removal', () => {
  test.each([
    { of: 3, now: 1, lately: 0, stops: false },
    { of: 3, now: 2, lately: 0, stops: true },
    { of: 3, now: 1, lately: 1, stops: true },
    { of: 0, now: 1, lately: 0, stops: false },
    { of: 30, now: 3, lately: 0, stops: false },
    { of: 30, now: 3, lately: 1, stops: true },
    { of: 39, now: 3, lately: 0, stops: false },
    { of: 39, now: 4, lately: 0, stops: true },
  ])(
    'of $now of $of nodes after $lately in the hour before: stopped $stops',
    ({ of, now, lately, stops }) => {
      expect(stopped(removals(now), lately, of)).toHaveLength(stops ? now : 0);
    },
  );

  test('that somebody confirmed goes, whatever else is stopped', () => {
    const [confirmed] = removals(1, { confirmed: true });
    expect(stopped([{ ...confirmed!, node: 'confirmed' }, ...removals(2)], 0, 3)).toEqual(['n0', 'n1']);
    expect(stopped(removals(3, { confirmed: true }), 5, 3)).toEqual([]);
  });

  test('that waits goes on waiting when there would be room, and takes the room of others', () => {
    const [waiting] = removals(1, { waiting: true });
    expect(stopped([waiting!], 0, 3)).toEqual(['n0']);
    expect(stopped([waiting!, { ...waiting!, node: 'new', waiting: false }], 0, 3)).toEqual(['n0', 'new']);
    expect(stopped([waiting!, { ...waiting!, node: 'new', waiting: false }], 0, 20)).toEqual(['n0']);
  });
});
