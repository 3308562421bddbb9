import { describe, expect, test } from 'vitest';
import { conditionsOf, type JudgedNode } from './condition.ts';

type Nodes = Record<string, Omit<Partial<JudgedNode>, 'attachedNodeId' | 'attachedNodeName'>>;

/** Short text of conditions, by type: `Ready: False NodesFailed`. */
function brief(nodes: Nodes, invalid?: Parameters<typeof conditionsOf>[1]): Record<string, string> {
  return Object.fromEntries(
    conditions(nodes, invalid).map(({ type, status, reason }) => [type, `${status} ${reason}`]),
  );
}

function messages(nodes: Nodes): Record<string, string> {
  return Object.fromEntries(conditions(nodes).map(({ type, message }) => [type, message]));
}

function conditions(nodes: Nodes, invalid?: Parameters<typeof conditionsOf>[1]) {
  const judged = Object.entries(nodes).map(([name, node]): JudgedNode => ({
    attachedNodeId: `i-${name}`,
    attachedNodeName: name,
    state: 'Configured',
    ...node,
  }));
  return conditionsOf(judged, invalid, []);
}

const running = { state: 'InProgress', reason: 'Running' } as const;
const failed = { state: 'Failed', reason: 'ApplyFailed', message: 'no carrier: plug it in' } as const;
const backsOff = { ...failed, waitsFor: 'time' } as const;
const stopped = { state: 'Pending', reason: 'RemovalStopped', message: 'run multinic confirm' } as const;
const paused = { ...stopped, reason: 'Paused', paused: true } as const;
const absent = { state: 'Pending', reason: 'NoSuchNode', message: 'no node has the ID' } as const;

describe('the conditions of a CR', () => {
  test.each<[string, Nodes, Record<string, string>]>([
    [
      'all configured',
      { a: {} },
      {
        Ready: 'True Applied',
        Reconciling: 'False Settled',
        Stalled: 'False NotStalled',
        InProgress: 'False Completed',
        Applied: 'True AllNodesConfigured',
      },
    ],
    ['one held', { a: {}, b: { held: true } }, { Ready: 'True NodesHeld', Stalled: 'False NotStalled' }],
    ['no nodes', {}, { Ready: 'True Applied', InProgress: 'False Completed' }],
    [
      'one on its way',
      { a: {}, b: running },
      {
        Ready: 'False Progressing',
        Reconciling: 'True NodesOnTheirWay',
        Stalled: 'False NotStalled',
        InProgress: 'True ProcessingNodes',
        Applied: 'False NodesOutstanding',
      },
    ],
    [
      'what is left waits for a person',
      { a: {}, b: stopped },
      {
        Ready: 'False NodesWaiting',
        Reconciling: 'False NodesWaiting',
        Stalled: 'True RemovalStopped',
        InProgress: 'False Stopped',
        Applied: 'False NodesOutstanding',
      },
    ],
    [
      'one waits, another moves',
      { a: stopped, b: running },
      { Ready: 'False Progressing', Reconciling: 'True NodesOnTheirWay', Stalled: 'False NotStalled' },
    ],
    [
      'one paused',
      { a: paused },
      {
        Ready: 'False NodesPaused',
        Reconciling: 'False NodesPaused',
        Stalled: 'False NotStalled',
        InProgress: 'False Stopped',
      },
    ],
    [
      'one paused, and another waits for a person',
      { a: paused, b: stopped },
      { Ready: 'False NodesPaused', Reconciling: 'False NodesWaiting', Stalled: 'True RemovalStopped' },
    ],
    ['one paused that has nothing to do', { a: { paused: true } }, { Ready: 'True Applied' }],
    [
      'a failure is reported first',
      { a: paused, b: failed, c: running },
      { Ready: 'False NodesFailed', Reconciling: 'True NodesOnTheirWay', Stalled: 'False NotStalled' },
    ],
    [
      'a failure alone moves nothing',
      { a: failed },
      { Reconciling: 'False NodesWaiting', Stalled: 'True ApplyFailed', InProgress: 'False Stopped' },
    ],
    [
      'a failure that is tried again moves',
      { a: backsOff, b: failed },
      { Ready: 'False NodesFailed', Reconciling: 'True Retrying', Stalled: 'False NotStalled' },
    ],
    [
      'a host that differs, which a person has to answer',
      { a: {}, b: { state: 'Failed', reason: 'Drifted', drifted: true } },
      { Ready: 'False NodesFailed', Reconciling: 'False NodesWaiting', Stalled: 'True Drifted' },
    ],
    [
      'a difference that comes back',
      { a: { state: 'Failed', reason: 'DriftFight', drifted: true } },
      { Ready: 'False NodesFailed', Reconciling: 'False NodesWaiting', Stalled: 'True DriftFight' },
    ],
    [
      'repairs that stopped',
      { a: { state: 'Pending', reason: 'RepairsStopped', drifted: true } },
      { Ready: 'False NodesWaiting', Reconciling: 'False NodesWaiting', Stalled: 'True RepairsStopped' },
    ],
    [
      'a repair at work',
      { a: { ...running, drifted: true } },
      { Ready: 'False Progressing', Reconciling: 'True NodesOnTheirWay', Stalled: 'False NotStalled' },
    ],
    [
      'a host that differs while its node is paused',
      { a: { ...paused, drifted: true } },
      { Ready: 'False NodesPaused', Reconciling: 'False NodesPaused', Stalled: 'False NotStalled' },
    ],
    [
      'a node that has not joined yet',
      { a: absent },
      { Ready: 'False Progressing', Reconciling: 'True NodesOnTheirWay', Stalled: 'False NotStalled' },
    ],
    [
      'a node that nobody waits for any more',
      { a: { ...absent, waitsFor: 'person' } },
      { Ready: 'False NodesWaiting', Reconciling: 'False NodesWaiting', Stalled: 'True NoSuchNode' },
    ],
  ])('%s', (_, nodes, expected) => {
    expect(brief(nodes)).toMatchObject(expected);
  });

  test('an invalid CR is stalled, whatever its nodes do', () => {
    const problems = [
      { path: 'spec.nodeConfigs', code: 'InvalidNodeConfigs' as const, message: 'write a list' },
    ];
    expect(brief({ a: running }, problems)).toEqual({
      Ready: 'False InvalidConfig',
      Reconciling: 'False InvalidConfig',
      Stalled: 'True InvalidConfig',
      InProgress: 'False InvalidConfig',
      Applied: 'False InvalidConfig',
    });
    expect(conditions({}, problems)[0]!.message).toMatch(/write a list\. Nothing was changed$/);
  });

  test('are never Reconciling and Stalled both, whatever the nodes are', () => {
    const kinds: Nodes[string][] = [{}, running, failed, backsOff, stopped, paused, absent];
    for (const a of kinds) {
      for (const b of kinds) {
        for (const c of kinds) {
          const { Reconciling, Stalled } = brief({ a, b, c });
          expect([Reconciling, Stalled].filter((each) => each!.startsWith('True')).length).toBeLessThan(2);
        }
      }
    }
  });

  test('messages name a node and what to do', () => {
    expect(messages({ a: {}, b: failed, c: stopped, d: running })).toMatchObject({
      Ready: '1 of 4 nodes failed. b: no carrier: plug it in',
      Reconciling: '1 of 4 nodes is in progress. d: Running',
      InProgress: 'Processing network configurations for 1 node',
    });
    expect(messages({ a: {}, c: stopped })).toMatchObject({
      Ready: '1 of 2 nodes is configured. c: run multinic confirm',
      Stalled: '1 of 2 nodes waits for a person. c: run multinic confirm',
    });
  });

  test('one node is one node, in words', () => {
    const rest = 'paused with changes that are not applied';
    expect(messages({ a: paused }).Ready).toBe(`1 node is ${rest}`);
    expect(messages({ a: paused, b: paused }).Ready).toBe(`2 nodes are ${rest}`);
    expect(messages({ a: failed }).Ready).toMatch(/^1 of 1 node failed\. /);
    expect(messages({ a: stopped })).toMatchObject({
      Ready: expect.stringMatching(/^0 of 1 node is configured\. /),
      Stalled: expect.stringMatching(/^1 of 1 node waits for a person\. /),
    });
    expect(messages({ a: running })).toMatchObject({
      Reconciling: expect.stringMatching(/^1 of 1 node is in progress\. /),
      InProgress: 'Processing network configurations for 1 node',
      Applied: '0 of 1 node is configured',
    });
    expect(messages({ a: running, b: running }).InProgress).toBe(
      'Processing network configurations for 2 nodes',
    );
    expect(messages({ a: {} })).toMatchObject({
      Ready: '1 node is configured',
      Applied: '1 of 1 node is configured',
    });
  });

  test('warnings stand in Ready, and change nothing else', () => {
    const warnings = ['a', 'b', 'c', 'd', 'e'].map((path) => ({
      path,
      code: 'DuplicateMac' as const,
      message: 'is there twice',
    }));
    const node: JudgedNode = { attachedNodeId: 'i-1', attachedNodeName: '', state: 'Configured' };
    const [ready] = conditionsOf([node], undefined, warnings);
    expect(ready).toMatchObject({ status: 'True', reason: 'Applied' });
    expect(ready!.message).toMatch(/^1 node is configured\. Warning: .*; and 2 more$/);
  });
});
