import { expect, test } from 'vitest';
import { snapshotOf } from '../../test/support/snapshot.ts';
import type { Seen } from '../scheduler/observe-due.ts';
import { reportOf, withLooks, type NodeLook } from './status-report.ts';

const AT = Date.UTC(2026, 0, 1, 12, 0, 30);

function lookAt(seen: Seen | undefined, outOfReach: readonly string[] = []): NodeLook | undefined {
  const snapshot = snapshotOf({ w: { decision: { due: false, reason: 'UpToDate' } } });
  const observing = { waiting: new Map(), outOfReach: new Set(outOfReach) };
  const observed = { of: (node: string) => (node === 'w' ? seen : undefined) };
  return withLooks(reportOf(snapshot, new Map()), observing, observed).nodes[0]!.observation;
}

test.each<[string, Seen | undefined, NodeLook | undefined]>([
  ['a host that nobody looked at', undefined, undefined],
  ['a host of which only the file is known', { print: 'a' }, undefined],
  ['the newest look', { at: AT, result: 'Observed' }, { at: '2026-01-01T12:00:30.000Z', result: 'Observed' }],
  ['a look of an earlier version', { at: AT }, { at: '2026-01-01T12:00:30.000Z' }],
  [
    'a look that a run has to follow',
    { at: AT, result: 'Unclear', reason: 'NamesFound' },
    { at: '2026-01-01T12:00:30.000Z', result: 'Unclear', reason: 'NamesFound' },
  ],
  ['a request', { asked: AT }, { asked: true }],
  [
    'a request that is answered',
    { at: AT, asked: AT - 1, result: 'Drifted' },
    { at: '2026-01-01T12:00:30.000Z', result: 'Drifted' },
  ],
  ['looks that found nothing out', { failures: 3, retryAt: AT }, { failures: 3 }],
])('the status has %s', (_, seen, expected) => {
  expect(lookAt(seen)).toEqual(expected);
});

test('the status says that a host is out of reach', () => {
  expect(lookAt({ asked: AT }, ['w'])).toEqual({ asked: true, outOfReach: true });
});

test('the status of a home’s file has no looks, because each of them would write the file', () => {
  const snapshot = snapshotOf({ w: { decision: { due: false, reason: 'UpToDate' } } });
  expect(reportOf(snapshot, new Map()).nodes[0]).not.toHaveProperty('observation');
});

test('the status has the length of the queue and the host that waits longest for an observation, by the hour', () => {
  const waiting = new Map([
    ['Boot', 3],
    ['Interval', 2],
  ] as const);
  const observing = { oldest: { node: 'w', at: AT }, waiting };
  const report = reportOf({ ...snapshotOf({}), observing }, new Map());
  expect(report.observations).toEqual({ waiting: 5, oldest: '2026-01-01T12:00:00Z' });
});
