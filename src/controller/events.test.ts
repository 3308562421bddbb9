import { describe, expect, test } from 'vitest';
import { mac } from '../../test/support/mac.ts';
import { oid } from '../../test/support/oid.ts';
import { CONFIG, KEY, runOf, snapshotOf, type NodeSetup } from '../../test/support/snapshot.ts';
import type { Difference } from '../api/observation.ts';
import type { MirrorReport } from '../mirror/mirror.ts';
import type { IdleReason } from '../scheduler/due.ts';
import { eventsBetween } from './events.ts';

const idle = (reason: IdleReason): NodeSetup => ({ decision: { due: false, reason } });
const failed: NodeSetup = {
  ...idle('GivenUp'),
  facts: { history: [runOf('w', 'Failed', { reason: 'VerifyFailed', message: 'no carrier: plug it in' })] },
};
const applied: NodeSetup = { ...idle('UpToDate'), facts: { history: [runOf('w', 'Applied')] } };

const mended: NodeSetup = {
  ...idle('UpToDate'),
  facts: { history: [runOf('w', 'Applied'), runOf('w', 'Failed', { reason: 'VerifyFailed' })] },
};

/** Short text of an event: `Warning NodeFailed`. */
const nodeEvents = (before: NodeSetup | undefined, after: NodeSetup): string[] =>
  eventsBetween(before && snapshotOf({ w: before }), snapshotOf({ w: after })).map(
    ({ type, reason }) => `${type} ${reason}`,
  );

/** Nodes with the same state. */
const alike = (count: number, setup: NodeSetup, name = 'n'): Record<string, NodeSetup> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}${index}`, setup]));

const mirrorEvents = (before: Partial<MirrorReport>, after: Partial<MirrorReport>): string[] =>
  eventsBetween(snapshotOf({}, before), snapshotOf({}, after)).map(
    ({ reason, message }) => `${reason}: ${message}`,
  );

const mtu = (found: string): Difference => ({
  kind: 'MtuChanged',
  name: 'multinic0',
  mac: mac('02:00:00:00:00:01'),
  wanted: '1500',
  found,
});

const drifted = (reason: IdleReason, id = 'd'): NodeSetup => {
  const drift = runOf('w', 'Drifted', { oid: oid(id.repeat(40)), differences: [mtu('1400')] });
  return { ...idle(reason), facts: { history: [drift, runOf('w', 'Applied')] } };
};

describe('events of a node', () => {
  test.each<[string, NodeSetup | undefined, NodeSetup, string[]]>([
    ['nothing changed', failed, failed, []],
    ['at the start, what is wrong', undefined, failed, ['Warning NodeFailed']],
    ['at the start, nothing of what is well', undefined, applied, []],
    ['configured', idle('Running'), applied, ['Normal Configured']],
    ['well again', failed, applied, ['Normal Recovered']],
    ['well again after a run was under way', idle('Running'), mended, ['Normal Recovered']],
    ['failed', idle('Running'), failed, ['Warning NodeFailed']],
    ['held', applied, { ...applied, held: true }, ['Normal Held']],
    ['paused', applied, idle('Paused'), ['Normal Paused']],
    ['a job that starts causes no event', applied, idle('Running'), []],
  ])('%s', (_, before, after, expected) => {
    expect(nodeEvents(before, after)).toEqual(expected);
  });

  describe('that drifted', () => {
    test.each<IdleReason>(['Drifted', 'Paused', 'RepairsStopped'])('is one warning: %s', (reason) => {
      const before = snapshotOf({ w: applied });
      const after = snapshotOf({ w: drifted(reason) });
      const events = eventsBetween(before, after).filter((event) => event.reason === 'Drifted');
      expect(events).toEqual([
        {
          type: 'Warning',
          reason: 'Drifted',
          node: 'w',
          config: CONFIG,
          message:
            'the host no longer has what was applied: multinic0 (02:00:00:00:00:01) has MTU 1400 instead of 1500',
        },
      ]);
      expect(nodeEvents(drifted(reason), drifted(reason))).toEqual([]);
    });

    test('and otherwise since, is another one', () => {
      expect(nodeEvents(drifted('Drifted'), drifted('Drifted', 'e'))).toEqual(['Warning Drifted']);
    });

    test('again after each repair, is a failure that says what comes back', () => {
      const repaired = [runOf('w', 'Applied'), runOf('w', 'Drifted', { differences: [mtu('1300')] })];
      const drift = runOf('w', 'Drifted', { oid: oid('e'.repeat(40)), differences: [mtu('1400')] });
      const history = [drift, ...repaired, ...repaired, ...repaired, runOf('w', 'Applied')];
      const fight = { ...idle('DriftFight'), facts: { history } };
      const [, event] = eventsBetween(snapshotOf({ w: applied }), snapshotOf({ w: fight }));
      expect(event).toMatchObject({ type: 'Warning', reason: 'NodeFailed' });
      expect(event!.message).toMatch(/^comes back after each repair: multinic0 .* has MTU 1400/);
    });

    test('with so many others that repairs stop, is one more warning', () => {
      const repairs = { drifted: 5, limit: 3, failed: 0, stopped: true };
      const before = snapshotOf({ w: applied });
      const after = { ...before, repairs };
      expect(eventsBetween(before, after)).toEqual([
        {
          type: 'Warning',
          reason: 'RepairsStopped',
          message:
            'nothing is repaired, because 5 nodes drifted within an hour: look at multinic drift, then run multinic confirm repairs',
        },
      ]);
      expect(eventsBetween(after, after)).toEqual([]);
    });
  });

  test('a thousand nodes that are unknown are one event of their CR', () => {
    const unknown: NodeSetup = { rejection: { code: 'NoSuchNode', message: 'no node has that ID' } };
    const nodes = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`n${index}`, unknown]));
    expect(eventsBetween(undefined, snapshotOf(nodes))).toEqual([
      {
        type: 'Normal',
        reason: 'NoSuchNode',
        config: CONFIG,
        message: expect.stringMatching(/^1000 nodes are unknown \(n0, .*, …\)/),
      },
    ]);
    expect(eventsBetween(undefined, snapshotOf({ w: unknown }))).toMatchObject([
      { node: 'w', message: 'no node has that ID' },
    ]);
    expect(eventsBetween(snapshotOf(nodes), snapshotOf(nodes))).toEqual([]);
  });

  test.each<[string, NodeSetup | undefined, NodeSetup, string]>([
    ['fail', undefined, failed, 'Warning NodeFailed no carrier: plug it in'],
    ['are paused', applied, idle('Paused'), 'Normal Paused '],
    ['recover', failed, applied, 'Normal Recovered configured at '],
  ])('a thousand nodes that %s at once are one event of their CR, five are five', (_, was, is, words) => {
    const news = (count: number) =>
      eventsBetween(was && snapshotOf(alike(count, was)), snapshotOf(alike(count, is)));
    expect(news(5).map(({ node }) => node)).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
    expect(news(6)).toMatchObject([{ message: expect.stringMatching(/^6 nodes \(n0, n1, n2, n3, n4, …\)/) }]);
    const [event, ...more] = news(1000);
    expect(more).toEqual([]);
    expect(event).toMatchObject({ config: CONFIG });
    expect(event).not.toHaveProperty('node');
    expect(`${event!.type} ${event!.reason} ${event!.message.split(', the first: ')[1]}`).toContain(words);
    expect(event!.message).toMatch(/^1000 nodes \(n0, n1, n10, n100, n101, …\), the first: /);
  });

  test('nodes with different reasons, or of different kinds of news, have events of their own', () => {
    const each = { ...idle('GivenUp'), facts: { history: [runOf('w', 'Failed', { reason: 'NoCarrier' })] } };
    const after = { ...alike(6, failed, 'a'), ...alike(6, each, 'b'), ...alike(6, idle('Paused'), 'c') };
    expect(eventsBetween(undefined, snapshotOf(after)).map(({ message }) => message.slice(0, 11))).toEqual([
      '6 nodes (a0',
      '6 nodes (b0',
      '6 nodes (c0',
    ]);
  });

  test('says which node of which CR, and what to do', () => {
    expect(eventsBetween(undefined, snapshotOf({ w: failed }))).toEqual([
      { type: 'Warning', reason: 'NodeFailed', node: 'w', config: CONFIG, message: 'no carrier: plug it in' },
    ]);
  });
});

describe('events of the mirror', () => {
  const problem = { path: 'spec', code: 'InvalidSpec' as const, message: 'write a list' };

  test('removals that are stopped, once, with what to do', () => {
    const stopped = { stopped: new Set(['a', 'b', 'c', 'd', 'e', 'f']) };
    expect(mirrorEvents({}, stopped)).toEqual([
      'RemovalStopped: 6 nodes would lose all their interfaces (a, b, c, d, e, …): nothing is cleaned until multinic confirm, or until their entries are back',
    ]);
    expect(mirrorEvents(stopped, stopped)).toEqual([]);
    expect(mirrorEvents(stopped, { stopped: new Set([...stopped.stopped, 'g']) })).toEqual([
      expect.stringContaining('1 node would lose all its interfaces (g)'),
    ]);
  });

  test.each<[string, Partial<MirrorReport>, string]>([
    ['an invalid CR', { invalid: new Map([[KEY, [problem]]]) }, `InvalidConfig: ${KEY}: spec: write a list`],
    ['what cannot be read', { unreadable: [problem] }, 'Unreadable: spec: write a list'],
    [
      'a list that proves nothing',
      { doubts: new Map([[KEY, 'a.yaml does not parse']]) },
      `ListIncomplete: ${KEY} is not listed, but may still exist: a.yaml does not parse`,
    ],
  ])('%s, once', (_, report, expected) => {
    expect(mirrorEvents({}, report)).toEqual([expected]);
    expect(mirrorEvents(report, report)).toEqual([]);
  });

  test('a hold that the CR ended', () => {
    const event = { type: 'HoldEnded', node: 'w', config: CONFIG, message: 'multinic1 comes back' } as const;
    expect(eventsBetween(undefined, snapshotOf({}, { events: [event] }))).toEqual([
      {
        type: 'Normal',
        reason: 'HoldEnded',
        node: 'w',
        config: CONFIG,
        message: 'the CR changed this node: the hold ended, multinic1 comes back',
      },
    ]);
  });
});
