import { expect, test } from 'vitest';
import type { ConfigStatus, NodeState } from '../api/status.ts';
import { fitStatus } from './status-budget.ts';
import { readReason } from '../api/reasons/reasons.ts';

const node = (name: string, state: NodeState, extra: object = {}) => ({
  attachedNodeId: name,
  attachedNodeName: name,
  state,
  ...extra,
});
const statusOf = (nodes: ConfigStatus['nodeStatuses']): ConfigStatus => ({
  observedGeneration: 1,
  conditions: [
    {
      type: 'Ready',
      status: 'False',
      reason: readReason('R'),
      message: 'm',
      observedGeneration: 1,
      lastTransitionTime: 't',
    },
  ],
  nodeStatuses: nodes,
  summary: { totalNodes: nodes.length, configuredNodes: 0, failedNodes: 0, pendingNodes: 0, heldNodes: 0 },
});
const size = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

test('what fits is left as it is', () => {
  const status = statusOf([node('a', 'Configured')]);
  expect(fitStatus(status, 1000)).toEqual(status);
});

test('when it does not fit, those that a person has to see stay, in their order, and the rest is counted', () => {
  const nodes = [
    ...Array.from({ length: 50 }, (_, i) => node(`ok-${i}`, 'Configured')),
    node('failed', 'Failed', { message: 'x'.repeat(1000) }),
    node('held', 'Configured', { held: true }),
    node('works', 'InProgress'),
  ];
  const status = statusOf(nodes);
  const budget = size(statusOf([])) + 1_400;
  const fitted = fitStatus(status, 0, budget);
  const names = fitted.nodeStatuses.map(({ attachedNodeId }) => attachedNodeId);
  expect(names.slice(-3)).toEqual(['failed', 'held', 'works']);
  expect(names.length).toBeGreaterThan(3);
  expect(fitted.nodeStatusesOmitted).toBe(nodes.length - names.length);
  expect(fitted.summary).toEqual(status.summary);
  expect(fitted.conditions[0]!.message).toMatch(/near the limit.*split it/);
  expect(size({ ...fitted, conditions: status.conditions })).toBeLessThanOrEqual(budget);
});

test('a CR that is nearly full by its spec alone says so', () => {
  const fitted = fitStatus(statusOf([]), 95_000, 100_000);
  expect(fitted.conditions[0]!.message).toMatch(/95 of 100 kB/);
});

const nics = {
  interfaces: [
    {
      name: 'multinic0',
      macAddress: '02:00:00:00:00:01',
      address: '10.0.0.1/24',
      state: 'Configured' as const,
    },
  ],
};
const withNics = (status: ConfigStatus): string[] =>
  status.nodeStatuses.flatMap(({ attachedNodeName, interfaces }) =>
    interfaces === undefined ? [] : attachedNodeName,
  );

test('interfaces are left out first, once half of the budget is used, and nodes in trouble keep theirs', () => {
  const status = statusOf([
    ...Array.from({ length: 20 }, (_, i) => node(`ok-${i}`, 'Configured', nics)),
    node('failed', 'Failed', nics),
    node('drifted', 'Configured', { ...nics, drifted: true }),
  ]);
  expect(fitStatus(status, 0, 2 * size(status))).toEqual(status);
  const some = fitStatus(status, 0, 2 * size(status) - 2);
  expect(withNics(some)).toEqual(['failed', 'drifted']);
  expect(some.nodeStatuses).toHaveLength(22);
  expect(some.nodeStatusesOmitted).toBeUndefined();
});

test('interfaces never count for the warning, nor take a node its place', () => {
  const status = statusOf(Array.from({ length: 20 }, (_, i) => node(`failed-${i}`, 'Failed', nics)));
  const bare = statusOf(Array.from({ length: 20 }, (_, i) => node(`failed-${i}`, 'Failed')));
  const fitted = fitStatus(status, 0, Math.ceil(size(bare) / 0.89));
  expect(fitted).toEqual(bare);
});
