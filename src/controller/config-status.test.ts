import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { CONFIG, KEY, runOf, snapshotOf, T0, tipOf, type NodeSetup } from '../../test/support/snapshot.ts';
import type { ConfigStatus } from '../api/status.ts';
import type { IdleReason } from '../scheduler/due.ts';
import { activityOf, type Activity } from './condition.ts';
import { reportOf } from './status-report.ts';
import { configStatuses, nodeViews, type NodeView } from './config-status.ts';

const idle = (reason: IdleReason): NodeSetup => ({ decision: { due: false, reason } });
const backingOff = { decision: { due: false, reason: 'BackingOff', until: 0 } } as const;
const due = {
  decision: { due: true, attempt: 1, stampSeconds: T0, expectedRecord: null, requested: false },
} as const;
const after = (setup: NodeSetup, ...args: [Parameters<typeof runOf>[1], object?]): NodeSetup => ({
  ...setup,
  facts: { history: [runOf('w', ...args)] },
});
const minutes = (count: number): number => (T0 + count * 60) * 1000;
const noSuchNode = { code: 'NoSuchNode', message: 'no node has the ID i-w: it joins' } as const;

const view = (setup: NodeSetup): NodeView => nodeViews(snapshotOf({ w: setup }))[0]!;
const statusOf = (nodes: Record<string, NodeSetup>, previous?: ConfigStatus, now = T0 * 1000): ConfigStatus =>
  configStatuses(snapshotOf(nodes), new Map(previous && [[KEY, previous]]), now).get(KEY)!;
const condition = (status: ConfigStatus, name: string) =>
  status.conditions.find(({ type }) => type === name)!;

describe("a node's state", () => {
  const missing = {
    reason: 'InterfacesMissing',
    message: '02:00:00:00:00:01 is not on the machine: attach it',
  };
  const away = { reason: 'StoreUnreachable', message: 'the store does not answer' };
  const failure = { reason: 'VerifyFailed', message: 'no carrier: plug it in' };
  test.each<[string, NodeSetup, string]>([
    ['configured', idle('UpToDate'), 'Configured'],
    ['held', { ...idle('UpToDate'), held: true }, 'Configured Held'],
    ['nothing wanted', idle('NothingWanted'), 'Configured NoInterfaces'],
    ['due', due, 'InProgress JobStarting'],
    ['its agent runs', idle('Running'), 'InProgress Running'],
    ['its job waits for the agent', idle('Waiting'), 'InProgress Waiting'],
    ['its outcome is being recorded', idle('Recording'), 'InProgress Recording'],
    ['not mirrored yet', {}, 'Pending NotMirrored'],
    ['enough others run', idle('Queued'), 'Pending Queued'],
    ['an older job goes first', idle('Withdrawing'), 'Pending Withdrawing'],
    ['a failure is tried again', after(backingOff, 'Failed', failure), 'Failed VerifyFailed'],
    ['missing NICs are looked for again', after(backingOff, 'Pending', missing), 'Pending InterfacesMissing'],
    ['nobody knows', after(backingOff, 'Unknown', { reason: 'OutcomeLost' }), 'Pending OutcomeLost'],
    ['the store is away', after(backingOff, 'Failed', away), 'Pending StoreUnreachable'],
    ['given up after failures', after(idle('GivenUp'), 'Failed', failure), 'Failed VerifyFailed'],
    ['not ready', idle('NotReady'), 'Pending NodeNotReady'],
    ['gone, and nothing to do', { ...idle('UpToDate'), facts: { gone: true } }, 'Pending NodeGone'],
    ['gone, and something to do', { ...idle('NotReady'), facts: { gone: true } }, 'Pending NodeGone'],
    ['an invalid tip', idle('InvalidTip'), 'Failed InvalidTip'],
    ['a strange host', idle('NeedsConfirm'), 'Failed NeedsConfirm'],
    ['a bad entry', { ...idle('UpToDate'), problem: 'has no MAC: add it' }, 'Failed InvalidEntry'],
  ])('%s', (_, setup, expected) => {
    const { state, reason } = view(setup);
    expect([state, reason ?? []].flat().join(' ')).toBe(expected);
  });

  test.each<[string, NodeSetup, Activity]>([
    ['configured', idle('UpToDate'), 'rests'],
    ['paused', idle('Paused'), 'rests'],
    ['its job waits', idle('Waiting'), 'moves'],
    ['not mirrored yet', {}, 'moves'],
    ['enough others run', idle('Queued'), 'moves'],
    ['a failure is tried again', after(backingOff, 'Failed', failure), 'moves'],
    ['missing NICs are looked for again', after(backingOff, 'Pending', missing), 'moves'],
    ['the store is away', after(backingOff, 'Failed', away), 'moves'],
    ['not ready', idle('NotReady'), 'moves'],
    ['gone', { ...idle('NotReady'), facts: { gone: true } }, 'moves'],
    ['no such node', { rejection: noSuchNode }, 'moves'],
    ['given up after failures', after(idle('GivenUp'), 'Failed', failure), 'stuck'],
    ['given up on reports', after(idle('GivenUp'), 'Unknown', { reason: 'OutcomeLost' }), 'stuck'],
    ['given up on missing NICs', after(idle('GivenUp'), 'Pending', missing), 'stuck'],
    ['an invalid tip', idle('InvalidTip'), 'stuck'],
    ['a strange host', idle('NeedsConfirm'), 'stuck'],
    ['a bad entry', { ...idle('UpToDate'), problem: 'has no MAC: add it' }, 'stuck'],
  ])('%s: %3$s', (_, setup, expected) => {
    expect(activityOf(view(setup))).toBe(expected);
  });

  test.each<[string, NodeSetup, string, RegExp]>([
    [
      'its removal is stopped',
      { ...due, stopped: true },
      'RemovalStopped',
      /multinic confirm, or put its entry back$/,
    ],
    [
      'its change is stopped',
      { ...idle('ChangeStopped'), facts: { change: oid('c'.repeat(40)) } },
      'ChangeStopped',
      /multinic confirm c{10}, or multinic retry \S+ for this node alone$/,
    ],
    [
      'given up on missing NICs',
      after(idle('GivenUp'), 'Pending', missing),
      'InterfacesMissing',
      /attach it$/,
    ],
    ['names that cannot be adopted', idle('Adopt'), 'Adopt', /multinic retry w$/],
    [
      'its inventory entry is bad',
      { ...idle('NotReady'), facts: { problem: 'host.yaml is no YAML: mend it' } },
      'NodeNotReady',
      /^host\.yaml is no YAML: mend it$/,
    ],
  ])('%s: waits for a person', (_, setup, reason, message) => {
    expect(view(setup)).toMatchObject({ state: 'Pending', reason });
    expect(activityOf(view(setup))).toBe('stuck');
    expect(view(setup).message).toMatch(message);
  });

  test('a stopped removal does not say why it was stopped: that many go, or that the inventory alone asks for it', () => {
    expect(view({ ...due, stopped: true }).message).not.toMatch(/too many/);
  });

  test('after an undone failure and a rollback, the tip is what is applied', () => {
    const tree = oid('t'.repeat(40));
    const history = [
      runOf('w', 'Failed', { tried: oid('b'.repeat(40)), tree }),
      runOf('w', 'Applied', { tried: oid('a'.repeat(40)), tree }),
    ];
    expect(view({ ...idle('UpToDate'), facts: { history, tipTree: tree } }).appliedCommit).toBe(tipOf('w'));
    expect(view({ ...idle('Running'), facts: { history } }).appliedCommit).toBe(oid('a'.repeat(40)));
  });

  test('what is wanted, what is applied, and by which job', () => {
    const history = [
      runOf('w', 'Failed', { time: T0 + 60, job: 'job-2' }),
      runOf('w', 'Applied', { tried: oid('a'.repeat(40)), job: 'job-1' }),
    ];
    const common = {
      desiredCommit: tipOf('w'),
      appliedCommit: oid('a'.repeat(40)),
      lastProcessed: '2023-11-14T22:14:20Z',
    };
    expect(view({ ...backingOff, facts: { history } })).toMatchObject({ ...common, lastJobName: 'job-2' });
    const job = { name: 'job-3', node: 'w', commit: tipOf('w'), attempt: 2, phase: 'running' } as const;
    expect(view({ ...idle('Running'), facts: { history }, job })).toMatchObject({
      ...common,
      lastJobName: 'job-3',
    });
  });
});

describe('the status of a CR', () => {
  test('a node that waits is pending', () => {
    const status = statusOf({ a: idle('UpToDate'), b: idle('Paused'), c: { rejection: noSuchNode } });
    expect(status.summary).toEqual({
      totalNodes: 3,
      configuredNodes: 1,
      failedNodes: 0,
      pendingNodes: 2,
      heldNodes: 0,
    });
    expect(condition(status, 'Reconciling').status).toBe('True');
    expect(condition(status, 'Stalled').status).toBe('False');
  });

  test.each<[string, NodeSetup, string]>([
    ['has not joined', { rejection: noSuchNode }, 'NoSuchNode'],
    ['is gone', { ...idle('NotReady'), facts: { gone: true } }, 'NodeGone'],
  ])('a node that %s is waited for 15 minutes, then a person is', (_, setup, reason) => {
    const begun = statusOf({ a: setup, b: idle('Paused') }, undefined, minutes(0));
    expect(begun.nodeStatuses[0]).toMatchObject({ reason, waitingSince: '2023-11-14T22:13:20Z' });
    const soon = statusOf({ a: setup, b: idle('Paused') }, begun, minutes(14));
    expect(condition(soon, 'Reconciling').status).toBe('True');
    const late = statusOf({ a: setup, b: idle('Paused') }, soon, minutes(15));
    expect(condition(late, 'Stalled')).toMatchObject({ status: 'True', reason });
    expect(condition(late, 'Reconciling').status).toBe('False');
    const joined = statusOf({ a: idle('Running'), b: idle('Paused') }, late, minutes(16));
    expect(joined.nodeStatuses[0]).not.toHaveProperty('waitingSince');
    expect(condition(joined, 'Stalled').status).toBe('False');
  });

  test('one that moves beside it is', () => {
    const status = statusOf({ a: idle('Running'), b: idle('Paused') });
    expect(status.summary.pendingNodes).toBe(2);
    expect(condition(status, 'Reconciling').status).toBe('True');
    expect(condition(status, 'Stalled').status).toBe('False');
  });

  test('it has the schema, and nothing that is only for us', () => {
    const status = statusOf({ a: idle('Paused') });
    expect(status).toMatchObject({ observedGeneration: 2, observedSpecHash: 'hash' });
    expect(Object.keys(status.nodeStatuses[0]!).toSorted()).toEqual([
      'attachedNodeId',
      'attachedNodeName',
      'desiredCommit',
      'message',
      'reason',
      'state',
    ]);
  });

  test('a transition time changes with its condition only', () => {
    const before = statusOf({ a: idle('Running') });
    const now = statusOf({ a: idle('UpToDate') }, before, (T0 + 60) * 1000);
    expect(condition(now, 'Ready').lastTransitionTime).toBe('2023-11-14T22:14:20Z');
    expect(condition(now, 'Stalled').lastTransitionTime).toBe('2023-11-14T22:13:20Z');
  });

  test('a node that is gone with its entry holds its CR up no more, clean or not', () => {
    const gone = { facts: { gone: true as const }, entryGone: true };
    for (const reason of ['NotReady', 'UpToDate'] as const) {
      const left = { a: idle('UpToDate'), b: { ...idle(reason), ...gone } };
      expect(statusOf(left).summary).toMatchObject({ totalNodes: 1, pendingNodes: 0 });
      expect(reportOf(snapshotOf(left), new Map()).historyOnly).toEqual(['b']);
    }
    const named = statusOf({ b: { ...idle('NotReady'), facts: { gone: true } } });
    expect(named.summary).toMatchObject({ totalNodes: 1, pendingNodes: 1 });
    expect(reportOf(snapshotOf({ a: idle('UpToDate') }), new Map())).not.toHaveProperty('historyOnly');
  });

  test('a node whose entry is gone stays until it is clean', () => {
    const nodes = (setup: NodeSetup): number =>
      statusOf({ a: idle('UpToDate'), b: { ...setup, entryGone: true } }).summary.totalNodes;
    expect([nodes(idle('Running')), nodes(idle('NothingWanted'))]).toEqual([2, 1]);
    const clean = snapshotOf({ b: { ...idle('NothingWanted'), entryGone: true } });
    expect(nodeViews(clean)).toEqual([]);
    expect(reportOf(clean, new Map())).toMatchObject({ nodes: [], historyOnly: ['b'] });
    expect(nodeViews(snapshotOf({ b: { ...idle('Running'), entryGone: true } }))[0]!.config).toBe(
      [CONFIG.group, CONFIG.namespace, CONFIG.name].join('/'),
    );
  });
});

describe('the view of a node in a later snapshot', () => {
  const taken = { reason: 'AddressTaken', message: 'the network has it' };
  const nics = [{ mac: '02:00:00:00:00:01', addresses: ['192.168.1.1'] }];
  const addresses = { nics, asked: new Set<string>(), applied: new Set<string>() };
  const given = after(idle('GivenUp'), 'Failed', taken);

  test('is the same object as long as nothing about the node changed', () => {
    const before = snapshotOf({ w: idle('UpToDate') });
    expect(nodeViews({ ...before })[0]).toBe(nodeViews(before)[0]);
  });

  test('has a job that is new, although nothing else changed', () => {
    const before = snapshotOf({ w: idle('UpToDate') });
    expect(nodeViews(before)[0]!.lastJobName).toBeUndefined();
    const job = { name: 'j', node: 'w', commit: tipOf('w'), attempt: 1, phase: 'waiting' } as const;
    expect(nodeViews({ ...before, jobs: [job] })[0]!.lastJobName).toBe('j');
  });

  test('names another holder of its address, although nothing about the node changed', () => {
    const before = snapshotOf({ w: { ...given, facts: { ...given.facts, addresses } } });
    const heldBy = (node: string) => ({ ...before, holders: { of: () => new Set([node]) } });
    expect(nodeViews(heldBy('a'))[0]!.message).toContain('on node a');
    expect(nodeViews(heldBy('b'))[0]!.message).toContain('on node b');
  });
});
