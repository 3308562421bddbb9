import { expect, test } from 'vitest';
import { KEY, snapshotOf, T0, type NodeSetup } from '../../test/support/snapshot.ts';
import { configStatuses } from '../controller/config-status.ts';
import { reportOf } from '../controller/status-report.ts';
import type { IdleReason } from '../scheduler/due.ts';
import { formatLook, isReached, queueText, type Report } from './status-command.ts';

function reportWith(reason: IdleReason, more: Partial<Report> = {}): Report {
  const setup: NodeSetup = { decision: { due: false, reason } };
  const snapshot = snapshotOf({ w: setup });
  return { ...reportOf(snapshot, configStatuses(snapshot, new Map(), T0 * 1000)), ...more };
}

test.each<[string, Report, boolean]>([
  ['ready', reportWith('UpToDate'), true],
  ['ready, and its CR was edited since', reportWith('UpToDate', { unseen: [KEY] }), false],
  ['ready by the status of a controller that ended', reportWith('UpToDate', { stale: true }), false],
  ['its agent runs', reportWith('Running'), false],
  ['queued', reportWith('Queued'), false],
])('wait for a node, and for all: %s', (_, report, reached) => {
  expect(isReached(report, report.nodes, ['w'])).toBe(reached);
  expect(isReached(report, report.nodes, [])).toBe(reached);
});

test('the newest look at a host is its age, and what it found if that is not well', () => {
  const now = Date.UTC(2026, 0, 1, 12);
  const at = '2026-01-01T11:48:00.000Z';
  expect(formatLook(undefined, now)).toBe('');
  expect(formatLook({ asked: true }, now)).toBe('');
  expect(formatLook({ at }, now)).toBe('12m');
  expect(formatLook({ at, result: 'Observed' }, now)).toBe('12m');
  expect(formatLook({ at, result: 'Drifted' }, now)).toBe('12m Drifted');
});

test('the queue of observations is shown while a node waits in it', () => {
  const oldest = '2026-01-01T11:00:00Z';
  expect(queueText({})).toBeUndefined();
  expect(queueText({ observations: { waiting: 0, oldest } })).toBeUndefined();
  expect(queueText({ observations: { waiting: 1 } })).toBe(
    '1 node waits for an observation; the last look at the host that waits longest: never',
  );
  expect(queueText({ observations: { waiting: 4900, oldest } })).toBe(
    `4900 nodes wait for an observation; the last look at the host that waits longest: ${oldest}`,
  );
});
