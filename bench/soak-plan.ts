// The events of a simulated month, the same for the same seed: what happens on each day, and in which hour.

import { randomOf } from '../test/support/random.ts';

export const KINDS = [
  'edit',
  'rollout',
  'push',
  'rollback',
  'drift',
  'failure',
  'leave',
  'join',
  'absence',
  'reboot',
] as const;
export type Kind = (typeof KINDS)[number];

/**
 * Events of a day: fewer in a fleet of less than 100 nodes. A failure is an edit whose runs fail for hours; an absence is a
 * node that comes back after hours.
 */
function countsOf(nodes: number): Readonly<Record<Kind, number>> {
  const atMost = (most: number): number => Math.ceil(most * Math.min(1, nodes / 100));
  const few = Math.min(10, Math.ceil(nodes / 50));
  return {
    edit: atMost(24),
    rollout: 1,
    push: atMost(6),
    rollback: 1,
    drift: atMost(12),
    failure: atMost(4),
    leave: few,
    join: few,
    absence: few,
    // Each node boots once a month.
    reboot: Math.ceil(nodes / 30),
  };
}

/** Events of each hour of a day, by the day's number. */
export function eventsOf(day: number, nodes: number): Kind[][] {
  const random = randomOf(day + 1);
  const hours: Kind[][] = Array.from({ length: 24 }, () => []);
  for (const kind of KINDS)
    for (let count = countsOf(nodes)[kind]; count > 0; count -= 1)
      hours[Math.floor(random() * 24)]!.push(kind);
  return hours;
}
