import { expect, test } from 'vitest';
import type { Difference } from '../api/observation.ts';
import { oid } from '../../test/support/oid.ts';
import type { NodeLook, NodeReport } from '../controller/status-report.ts';
import type { DriftEntry } from '../history/drifts.ts';
import { hasHost, lookedOf, summaryOf, whatOf, type Looked } from './observe-command.ts';

const AT = '2026-01-01T00:00:00.000Z';
const DOWN: Difference = { kind: 'LinkDown', name: 'multinic0', mac: '02:00:00:00:00:01' };

const viewOf = (observation: NodeLook, more: Partial<NodeReport> = {}): NodeReport => ({
  attachedNodeId: 'i-w',
  attachedNodeName: 'w',
  node: 'w',
  state: 'Configured',
  observation,
  ...more,
});
const driftOf = (node: string, differences: Difference[]): DriftEntry => ({
  node,
  commit: oid('d'),
  since: 1,
  differences,
  first: false,
});

/** The table row of `observe --wait` for one observation. */
function shown(view: NodeReport | undefined, ...drifts: DriftEntry[]): [Looked['result'], string] {
  const looked = lookedOf('w', view, drifts);
  return [looked.result, whatOf(looked)];
}

test.each<[string, NodeReport | undefined, DriftEntry[], [Looked['result'], string]]>([
  ['as its commit has it', viewOf({ at: AT, result: 'Observed' }), [], ['Observed', '']],
  [
    'drifted',
    viewOf({ at: AT, result: 'Drifted' }),
    [driftOf('v', []), driftOf('w', [DOWN, { kind: 'FileMissing', path: 'etc/x' }])],
    ['Drifted', 'multinic0 (02:00:00:00:00:01) is down, and 1 more: multinic drift w'],
  ],
  [
    'drifted, and repaired before the command read how',
    viewOf({ at: AT, result: 'Drifted' }),
    [],
    ['Drifted', 'repaired since: multinic log w'],
  ],
  [
    'unclear',
    viewOf({ at: AT, result: 'Unclear', reason: 'RecordDiffers' }),
    [],
    ['Unclear', 'RecordDiffers: a run finds out, see multinic status w'],
  ],
  [
    'not observed in time',
    viewOf({ at: AT, result: 'Observed', asked: true }),
    [],
    [undefined, 'not observed in time'],
  ],
  [
    'not looked at, because each observation failed',
    viewOf({ asked: true, failures: 2 }),
    [],
    [undefined, 'not observed in time; 2 observations learned nothing'],
  ],
  [
    'out of reach',
    viewOf(
      { asked: true, outOfReach: true },
      { state: 'Pending', reason: 'NotReady', message: 'it is down' },
    ),
    [],
    [undefined, 'cannot be observed (NotReady: it is down)'],
  ],
  [
    'of a node with only a history',
    undefined,
    [],
    [undefined, 'no CR names this node, and its host has no commit of ours'],
  ],
])('a host %s', (_, view, drifts, expected) => {
  expect(shown(view, ...drifts)).toEqual(expected);
});

test('what programs read has the time, the result and all differences', () => {
  const view = viewOf({ at: AT, result: 'Drifted' });
  expect(lookedOf('w', view, [driftOf('w', [DOWN])])).toEqual({
    node: 'w',
    at: AT,
    result: 'Drifted',
    differences: [DOWN],
  });
});

test('of all nodes, those without anything of ours are left out', () => {
  expect(hasHost(undefined)).toBe(false);
  expect(hasHost(viewOf({ asked: true, outOfReach: true }))).toBe(false);
  expect(hasHost(viewOf({ asked: true, outOfReach: true }, { state: 'Pending' }))).toBe(true);
  expect(hasHost(viewOf({ at: AT, result: 'Observed' }))).toBe(true);
});

test('a fleet has a summary', () => {
  const found: Looked[] = [
    { node: 'a', result: 'Observed' },
    { node: 'b', message: 'not observed in time' },
    { node: 'c', result: 'Observed' },
  ];
  expect(summaryOf(found)).toBe('3 hosts: 2 Observed, 1 not observed');
});
