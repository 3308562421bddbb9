import { oid } from '../../test/support/oid.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision, IdleReason } from './due.ts';
import {
  decideObservation,
  isOutOfReach,
  observationsAtOnce,
  Pace,
  planObservations,
  type ObservableNode,
  type ObservePolicy,
  type Seen,
} from './observe-due.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const T0 = 1_700_000_000_000;
const A = oid('a'.repeat(40));
const HOURLY: ObservePolicy = { intervalMs: HOUR, began: T0 - 24 * HOUR };

function idle(reason: IdleReason): Decision {
  return { due: false, reason };
}

/** A node that was run at T0, in the boot that it is in. */
function node(facts: Partial<ObservableNode> = {}): ObservableNode {
  return {
    name: 'worker-1',
    against: A,
    decision: idle('UpToDate'),
    bootID: 'boot',
    machineId: 'machine',
    systemUUID: 'system',
    run: { at: T0, bootID: 'boot', machineId: 'machine', systemUUID: 'system' },
    ...facts,
  };
}

const run: Decision = { due: true, attempt: 1, stampSeconds: 1, expectedRecord: A, requested: false };
const seen = (at: number, more: Partial<Seen> = {}): Seen => ({
  at,
  bootID: 'boot',
  machineId: 'machine',
  systemUUID: 'system',
  ...more,
});
const uuid = '01020304-0506-0708-090a-0b0c0d0e0f10';
const swapped = '04030201-0605-0807-090a-0b0c0d0e0f10';

/** Short text of a decision: the cause, or empty. */
function verdict(facts: Partial<ObservableNode>, now: number, policy = HOURLY): string | undefined {
  const decision = decideObservation(node(facts), policy, now);
  return decision.due ? decision.cause : undefined;
}

const minutesAfterRepair = (minutes: number, lookedAt?: number): string | undefined =>
  verdict(
    { repairedAt: T0, ...(lookedAt !== undefined && { seen: seen(T0 + lookedAt * MINUTE) }) },
    T0 + minutes * MINUTE,
  );

const intervalOf = (name: string): number =>
  (decideObservation(node({ name }), HOURLY, T0) as { at: number }).at - T0;

describe('a host is looked at', () => {
  const soon = T0 + 10 * MINUTE;
  const cases: [string, string | undefined, Partial<ObservableNode>, number?][] = [
    ['never, while the interval is not over', undefined, {}],
    ['after the interval since the run', 'Interval', {}, T0 + 1.2 * HOUR],
    ['not sooner than a fifth before the interval is over', undefined, {}, T0 + 0.79 * HOUR],
    ['after the interval since the observation', undefined, { seen: seen(T0 + HOUR) }, T0 + 1.5 * HOUR],
    ['after a boot that nobody saw', 'Boot', { bootID: 'new' }],
    ['not after a boot that a run saw', undefined, { seen: seen(T0, { bootID: 'old' }) }],
    [
      'not after a boot that an observation saw',
      undefined,
      { bootID: 'new', seen: seen(T0, { bootID: 'new' }) },
    ],
    ['not if the boot is not known', undefined, { bootID: '' }],
    ['not if no run said its boot', undefined, { run: { at: T0 } }],
    ['on another machine', 'Boot', { machineId: 'new' }],
    ['on another machine from the same image', 'Boot', { systemUUID: 'new' }],
    [
      'not on the same machine, whose UUID is read the other way round',
      undefined,
      { systemUUID: swapped, run: { at: T0, bootID: 'boot', systemUUID: uuid } },
    ],
    ['when a person asks', 'Asked', { seen: seen(T0, { asked: T0 + 1 }) }],
    ['not again for the same request', undefined, { seen: seen(T0 + 1, { asked: T0 + 1 }) }],
    ['when the file of the machine was edited', 'Edited', { print: 'b', seen: seen(T0, { print: 'a' }) }],
    ['not when that file is as it was', undefined, { print: 'a', seen: seen(T0, { print: 'a' }) }],
    ['not when nothing is known of that file', undefined, { print: 'a', seen: seen(T0) }],
    [
      'not yet, after an observation that found nothing out',
      undefined,
      { seen: seen(T0, { retryAt: soon + 1 }) },
    ],
    ['again, when that pause is over', 'Again', { seen: seen(T0, { retryAt: soon }) }],
    [
      'not in that pause, though the node booted',
      undefined,
      { bootID: 'new', seen: seen(T0, { retryAt: soon + 1 }) },
    ],
    ['never, if nothing was ever applied', undefined, { against: null, bootID: 'new' }],
    ['never, while a run is due', undefined, { decision: run, bootID: 'new' }],
    [
      'never, while a run is to come',
      undefined,
      { decision: { due: false, reason: 'BackingOff', until: 0 }, bootID: 'new' },
    ],
    [
      'when a person asks, though a run is to come',
      'Asked',
      { decision: { due: false, reason: 'BackingOff', until: 0 }, seen: seen(T0, { asked: T0 + 1 }) },
    ],
    [
      'not when a person asks, while a run is due',
      undefined,
      { decision: run, seen: seen(T0, { asked: T0 + 1 }) },
    ],
  ];
  test.each(cases)('%s', (_, expected, facts, now = soon) => {
    expect(verdict(facts, now)).toBe(expected);
  });

  test.each<[IdleReason, boolean]>([
    ['UpToDate', true],
    ['Paused', true],
    ['InvalidTip', true],
    ['ChangeStopped', true],
    ['Drifted', true],
    ['DriftFight', true],
    ['RepairsStopped', true],
    ['NothingWanted', false],
    ['NotReady', false],
    ['Waiting', false],
    ['Running', false],
    ['Recording', false],
    ['Withdrawing', false],
    ['Queued', false],
    ['Adopt', false],
    ['NeedsConfirm', false],
    ['GivenUp', true],
  ])('while the node is %s: %s', (reason, expected) => {
    expect(verdict({ decision: idle(reason), bootID: 'new' }, soon) === 'Boot').toBe(expected);
  });

  test.each<[string, boolean, Partial<ObservableNode>]>([
    ['that can be looked at', false, {}],
    ['with a run that is due', false, { decision: run }],
    ['whose first run is at work', false, { against: null, decision: idle('Running') }],
    ['whose run waits for a place', false, { against: null, decision: idle('Queued') }],
    [
      'whose run waits for its next attempt',
      false,
      { decision: { due: false, reason: 'BackingOff', until: 1 } },
    ],
    ['on which nothing was ever applied', true, { against: null, decision: idle('NothingWanted') }],
    [
      'whose first run failed',
      true,
      { against: null, decision: { due: false, reason: 'BackingOff', until: 1 } },
    ],
    ['that is not ready', true, { decision: idle('NotReady') }],
    ['that waits for a person', true, { decision: idle('NeedsConfirm') }],
  ])('a request does not wait for nothing: a node %s is out of reach: %s', (_, expected, facts) => {
    expect(isOutOfReach(node(facts))).toBe(expected);
  });

  test('one, five and fifteen minutes after a repair', () => {
    expect([
      minutesAfterRepair(0.9),
      minutesAfterRepair(1),
      minutesAfterRepair(1.5, 1),
      minutesAfterRepair(5, 1.2),
      minutesAfterRepair(14, 6),
      minutesAfterRepair(15, 6),
      minutesAfterRepair(16, 15),
    ]).toEqual([undefined, 'Repaired', undefined, 'Repaired', undefined, 'Repaired', undefined]);
  });

  test('once for several times after a repair that were missed', () => {
    expect(verdict({ repairedAt: T0, seen: seen(T0 + 16 * MINUTE) }, T0 + 17 * MINUTE)).toBeUndefined();
  });

  test('not for a repair of long ago of which nothing is remembered', () => {
    const none = { ...HOURLY, intervalMs: 0 };
    expect(verdict({ repairedAt: T0 }, T0 + HOUR, none)).toBe('Repaired');
    expect(verdict({ repairedAt: T0 }, T0 + HOUR + 1, none)).toBeUndefined();
    expect(verdict({ repairedAt: T0 }, T0 + 1.1 * HOUR, { ...HOURLY, intervalMs: 0 })).toBeUndefined();
  });

  test('only after boots, repairs and on request, with an interval of 0', () => {
    const never = { ...HOURLY, intervalMs: 0 };
    expect(verdict({}, T0 + 1000 * HOUR, never)).toBeUndefined();
    expect(decideObservation(node(), never, T0)).toEqual({ due: false });
    expect(verdict({ bootID: 'new' }, T0, never)).toBe('Boot');
    expect(verdict({}, T0 + MINUTE, { ...HOURLY, intervalMs: 1 })).toBe('Interval');
  });

  test('the jitter spreads nodes, and is the same at each reading', () => {
    const times = Array.from({ length: 500 }, (_, index) => intervalOf(`worker-${index}`));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0.8 * HOUR);
    expect(Math.max(...times)).toBeLessThanOrEqual(1.2 * HOUR);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(0.38 * HOUR);
    expect(intervalOf('worker-7')).toBe(intervalOf('worker-7'));
  });

  test('an interval after the run that ended when the controller started', () => {
    const atStart = (name: string): number =>
      (decideObservation(node({ name }), { intervalMs: HOUR, began: T0 }, T0) as { at: number }).at;
    const times = Array.from({ length: 20 }, (_, index) => atStart(`worker-${index}`) - T0);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0.8 * HOUR);
  });

  test('after a boot that may be old in its turn, and at once if there is no interval or it is remembered', () => {
    const old = { bootID: 'new', isOldBoot: true } as const;
    const began = { intervalMs: HOUR, began: T0 + 100 * HOUR };
    const at = (decideObservation(node(old), began, began.began) as { at: number }).at - began.began;
    expect(at).toBeGreaterThan(0);
    expect(at).toBeLessThan(HOUR);
    expect(verdict(old, began.began, { ...began, intervalMs: 0 })).toBe('Boot');
    expect(verdict({ bootID: 'new' }, began.began, began)).toBe('Boot');
    expect(verdict({ ...old, seen: seen(began.began) }, began.began + 1, began)).toBe('Boot');
    expect(verdict({ ...old, machineId: 'another' }, began.began, began)).toBe('Boot');
  });

  test('within an interval from the start, where nothing is remembered', () => {
    const lost = { intervalMs: HOUR, began: T0 + 100 * HOUR };
    const atAfterLoss = (name: string): number =>
      (decideObservation(node({ name }), lost, lost.began) as { at: number }).at - lost.began;
    const times = Array.from({ length: 500 }, (_, index) => atAfterLoss(`worker-${index}`));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...times)).toBeLessThan(HOUR);
    expect(times.filter((time) => time < HOUR / 2).length).toBeGreaterThan(200);
  });
});

const fleet = (size: number, facts: Partial<ObservableNode> = {}): ObservableNode[] =>
  Array.from({ length: size }, (_, index) =>
    node({ name: `worker-${String(index).padStart(4, '0')}`, ...facts }),
  );

const planOf = (
  nodes: readonly ObservableNode[],
  { jobs = [] as Parameters<typeof planObservations>[1], allowed = 100, now = T0 } = {},
): ReturnType<typeof planObservations> => planObservations(nodes, jobs, allowed, HOURLY, now);

describe('which hosts are looked at now', () => {
  test('five at once, and one more for each 250 nodes', () => {
    expect([1, 100, 1499, 1500, 5000].map(observationsAtOnce)).toEqual([5, 5, 5, 6, 20]);
    expect(planOf(fleet(100, { bootID: 'new' })).start).toHaveLength(5);
    expect(
      planOf(fleet(100, { bootID: 'new' }), { jobs: [{ node: 'worker-0000' }, { node: 'worker-0001' }] })
        .start,
    ).toHaveLength(3);
    const jobs = fleet(5).map(({ name }) => ({ node: name }));
    expect(planOf(fleet(100, { bootID: 'new' }), { jobs }).start).toEqual([]);
  });

  test('no more than the pace allows, and the next a moment later', () => {
    const { start, nextPassAt, waiting } = planOf(fleet(10, { bootID: 'new' }), { allowed: 2 });
    expect(start).toHaveLength(2);
    expect(nextPassAt).toBe(T0 + 500);
    expect(waiting).toEqual(new Map([['Boot', 8]]));
    expect(planOf(fleet(3, { bootID: 'new' }), { allowed: 2 }).nextPassAt).toBe(T0 + 500);
    expect(planOf(fleet(2, { bootID: 'new' }), { allowed: 2 }).nextPassAt).toBeUndefined();
  });

  test('nobody wakes the controller for the pace while all places are taken', () => {
    const { nextPassAt } = planOf(fleet(10, { bootID: 'new' }), { allowed: 5 });
    expect(nextPassAt).toBeUndefined();
  });

  test('not twice at once', () => {
    expect(planOf(fleet(1, { bootID: 'new' }), { jobs: [{ node: 'worker-0000' }] }).start).toEqual([]);
  });

  test('on five nodes beside those whose pods do not end: each of these blocks its own node alone', () => {
    const dead = ['worker-0000', 'worker-0001', 'worker-0002', 'worker-0003', 'worker-0004'];
    const jobs = dead.map((node) => ({ node, recorded: true as const }));
    const { start } = planOf(fleet(100, { bootID: 'new' }), { jobs });
    expect(start).toHaveLength(5);
    expect(start.filter(({ node: { name } }) => dead.includes(name))).toEqual([]);
  });

  test('requests, then boots, then repairs, then intervals; among them who waited longest', () => {
    const now = T0 + 2 * HOUR;
    const nodes = [
      node({ name: 'interval-2', run: { at: T0 + 5, bootID: 'boot' } }),
      node({ name: 'interval-1', run: { at: T0 - 10 * HOUR, bootID: 'boot' } }),
      node({ name: 'repair', repairedAt: now - 2 * MINUTE, run: { at: now - 2 * MINUTE, bootID: 'boot' } }),
      node({ name: 'boot', bootID: 'new' }),
      node({ name: 'asked', seen: seen(T0, { asked: T0 + 1 }) }),
    ];
    expect(planOf(nodes, { now }).start.map((each) => each.node.name)).toEqual([
      'asked',
      'boot',
      'repair',
      'interval-1',
      'interval-2',
    ]);
  });

  test('wakes the controller when the next one becomes due', () => {
    const nodes = fleet(20);
    const { start, nextPassAt } = planOf(nodes);
    expect(start).toEqual([]);
    const due = nodes.map((each) => (decideObservation(each, HOURLY, T0) as { at: number }).at);
    expect(nextPassAt).toBe(Math.min(...due));
  });

  test('the pace is two a second, and saves nothing up', () => {
    const pace = new Pace();
    const at = (ms: number): number => {
      const allowed = pace.allowedAt(T0 + ms);
      pace.took(allowed);
      return allowed;
    };
    expect([at(0), at(100), at(499), at(500), at(1000), at(60_000), at(60_001), at(50_000)]).toEqual([
      2, 0, 0, 1, 1, 2, 0, 0,
    ]);
    // A clock that goes back adds nothing, however often it is read.
    const back = Array.from({ length: 600 }, (_, n) => at(49_999 - n));
    expect(Math.max(...back)).toBe(0);
  });
});

test('a plan that is made again at another time is the plan of nodes that are new', () => {
  const at = fc.integer({ min: -2 * HOUR, max: 4 * HOUR }).map((ms) => T0 + ms);
  const decision = fc.constantFrom<Decision>(idle('UpToDate'), idle('Paused'), idle('NotReady'), run);
  const memory = fc.record(
    { at, retryAt: at, asked: at, bootID: fc.constantFrom('boot', 'earlier') },
    { requiredKeys: [] },
  );
  const facts = fc.record({ decision, seen: memory, repairedAt: at }, { requiredKeys: [] });
  const fleet = fc.array(facts, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fleet,
      fc.array(at, { minLength: 2 }),
      fc.constantFrom(0, HOUR),
      (each, times, intervalMs) => {
        const nodes = each.map((one, index) => node({ ...one, name: `worker-${index}` }));
        const policy = { ...HOURLY, intervalMs };
        for (const now of times) {
          const fresh = nodes.map((one) => ({ ...one }));
          expect(planObservations(nodes, [], 2, policy, now)).toEqual(
            planObservations(fresh, [], 2, policy, now),
          );
        }
      },
    ),
  );
});
