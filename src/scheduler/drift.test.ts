import type { Oid } from '../api/oid.ts';
import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import type { Difference } from '../api/observation.ts';
import { driftOf, fightsOf, limitRepairs, repairedAt, repairRuns } from './drift.ts';
import { decide, expectedRecord, MAX_ATTEMPTS, type NodeFacts, type RunRecord } from './due.ts';
import { DEFAULT_POLICY, planJobs, type Policy } from './schedule.ts';

const [A, B] = ['a', 'b'].map((digit) => oid(digit.repeat(40))) as [Oid, Oid];
const [TREE_A, TREE_B, TREE_HOST] = ['1', '2', '3'].map((digit) => oid(digit.repeat(40))) as [Oid, Oid, Oid];
const T0 = 1_700_000_000;
const HOUR = 3600;
const MTU: Difference = {
  kind: 'MtuChanged',
  name: 'multinic0',
  mac: '02:00:00:00:00:01',
  wanted: '1500',
  found: '1400',
};
const DOWN: Difference = { kind: 'LinkDown', name: 'multinic0', mac: '02:00:00:00:00:01' };
const BOOT: Difference = {
  kind: 'NextBoot',
  mac: '02:00:00:00:00:01',
  path: 'etc/netplan/50-cloud-init.yaml',
};

let serial = 0;
function record(result: RunRecord['result'], more: Partial<RunRecord> = {}): RunRecord {
  serial += 1;
  return {
    oid: oid(serial.toString(16).padStart(40, '0')),
    time: T0,
    result,
    tried: A,
    attempt: 1,
    machineId: 'machine',
    systemUUID: 'system',
    bootId: 'boot',
    tree: TREE_A,
    missing: [],
    found: [],
    ...more,
  };
}

const applied = (time = T0, more: Partial<RunRecord> = {}): RunRecord => record('Applied', { time, ...more });
const failed = (time = T0, more: Partial<RunRecord> = {}): RunRecord =>
  record('Failed', { time, tree: TREE_HOST, ...more });
const drifted = (time = T0, more: Partial<RunRecord> = {}): RunRecord =>
  record('Drifted', { time, tree: TREE_HOST, digest: 'd', differences: [MTU], ...more });
const asks = (request: 'retry' | 'confirm', by = 'alice'): RunRecord => {
  const { tried: _, ...rest } = record('Requested', { tree: TREE_HOST, request, by });
  return rest;
};

/** A node at tip A, which was applied. */
function node(facts: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name: 'worker-1',
    nodeId: 'i-1',
    tip: A,
    tipTime: T0 - HOUR,
    tipTree: TREE_A,
    wanted: true,
    machineId: 'machine',
    systemUUID: 'system',
    bootID: 'boot',
    ready: true,
    paused: false,
    history: [],
    ...facts,
  };
}

function verdict(facts: Partial<NodeFacts>, now = T0 + 1): string {
  const decision = decide(node(facts), now * 1000);
  if (!decision.due) return decision.reason;
  return decision.repair === true ? `repair ${decision.attempt}` : `due ${decision.attempt}`;
}

describe('a host that has drifted', () => {
  const cases: [string, string, Partial<NodeFacts>][] = [
    ['is repaired', 'repair 1', { history: [drifted(), applied()] }],
    [
      'is only reported where a person wants that',
      'Drifted',
      { drift: 'report', history: [drifted(), applied()] },
    ],
    ['is put right on request', 'due 1', { drift: 'report', history: [asks('retry'), drifted(), applied()] }],
    [
      'is put right by a request that came just before',
      'due 1',
      { drift: 'report', history: [drifted(), asks('retry'), applied()] },
    ],
    [
      'is put right by the next change',
      'due 1',
      { drift: 'report', tip: B, tipTree: TREE_B, history: [drifted(), applied()] },
    ],
    [
      'is put right by the edit that keeps its files',
      'due 1',
      { drift: 'report', tip: B, tipTree: TREE_HOST, history: [drifted(), applied()] },
    ],
    [
      'is only reported by a first observation',
      'Drifted',
      { drift: 'repair', history: [drifted(T0, { first: true }), applied()] },
    ],
    [
      'is put right on request after a first observation',
      'due 1',
      { history: [asks('retry'), drifted(T0, { first: true }), applied()] },
    ],
    [
      'is only reported if a run cannot mend it',
      'Drifted',
      { history: [drifted(T0, { differences: [BOOT], repairable: false }), applied()] },
    ],
    ['is not repaired while paused', 'Paused', { paused: true, history: [drifted(), applied()] }],
    ['is not repaired while its node is away', 'NotReady', { ready: false, history: [drifted(), applied()] }],
    ['needs nothing after its repair', 'UpToDate', { history: [applied(), drifted(), applied()] }],
    [
      'needs nothing once the difference is gone',
      'UpToDate',
      { history: [record('Observed'), drifted(), applied()] },
    ],
    ['is tried again when the repair fails', 'BackingOff', { history: [failed(), drifted(), applied()] }],
    [
      'begins a new series of attempts',
      'due 1',
      { history: [drifted(), ...Array.from({ length: MAX_ATTEMPTS }, () => failed()), applied()] },
    ],
    [
      'is given up after ten repairs',
      'GivenUp',
      {
        history: [...Array.from({ length: MAX_ATTEMPTS }, () => failed(T0 - 2 * HOUR)), drifted(), applied()],
      },
    ],
    [
      'is no attempt of an older series',
      'due 1',
      { tip: B, tipTree: TREE_B, history: [drifted(), failed(), applied()] },
    ],
  ];
  test.each(cases)('%s: %s', (_, expected, facts) => {
    expect(verdict(facts)).toBe(expected);
  });

  test('still has the record of what was applied', () => {
    expect(expectedRecord(node({ history: [drifted(), applied(T0, { tried: B })] }))).toBe(B);
  });

  test('is a drift until a run or an observation says otherwise', () => {
    const drift = drifted();
    expect(driftOf([drift, applied()])).toBe(drift);
    expect(driftOf([asks('retry'), record('Superseded'), drift, applied()])).toBe(drift);
    expect(driftOf([failed(), drift, applied()])).toBeUndefined();
    expect(driftOf([])).toBeUndefined();
  });

  test('was repaired by the run that came next', () => {
    expect(repairedAt([applied(T0 + 5), drifted(), applied()])).toBe(T0 + 5);
    expect(repairedAt([applied(T0 + 9), failed(T0 + 5), drifted(), applied()])).toBe(T0 + 9);
    expect(repairedAt([failed(T0 + 5), drifted(), applied()])).toBeUndefined();
    expect(repairedAt([applied(T0 + 5), record('Observed'), drifted(), applied()])).toBeUndefined();
    const asked = [asks('retry'), record('Superseded')];
    expect(repairedAt([...asked, applied(T0 + 5), drifted(), applied()])).toBe(T0 + 5);
    expect(repairedAt([applied(T0 + 5, { tried: B }), drifted(), applied()])).toBeUndefined();
  });
});

const inBoot = (n: number): Partial<RunRecord> => ({ bootId: `boot-${n}`, bootBefore: `boot-${n - 1}` });

const weekOf = (n: number): number => T0 + n * 7 * 24 * HOUR;

/** A drift and its repair. */
const cycle = (time: number, more: Partial<RunRecord> = {}): RunRecord[] => [
  applied(time + 60, more),
  drifted(time, more),
];

const historyOf = (...boots: number[]): RunRecord[] => [
  drifted(weekOf(boots[0]!), inBoot(boots[0]!)),
  ...boots.slice(1).flatMap((n) => cycle(weekOf(n), inBoot(n))),
  applied(T0, inBoot(0)),
];

const verdictAfter = (...boots: number[]): string =>
  verdict({ bootID: `boot-${boots[0]!}`, history: historyOf(...boots) }, weekOf(boots[0]!) + 1);

describe('a difference that comes back', () => {
  const three = [
    ...cycle(T0 - HOUR),
    ...cycle(T0 - 2 * HOUR),
    ...cycle(T0 - 3 * HOUR),
    applied(T0 - 9 * HOUR),
  ];

  test('is repaired three times in a day, and then left alone', () => {
    expect(verdict({ history: [drifted(), ...three.slice(2)] })).toBe('repair 1');
    expect(verdict({ history: [drifted(), ...three] })).toBe('DriftFight');
    expect(fightsOf([drifted(), ...three], drifted())).toEqual([MTU]);
  });

  test('is one difference, whatever was found', () => {
    const other = drifted(T0, { differences: [{ ...MTU, found: '1300' }], digest: 'other' });
    expect(verdict({ history: [other, ...three] })).toBe('DriftFight');
  });

  test('is not another difference of the same NIC', () => {
    expect(verdict({ history: [drifted(T0, { differences: [DOWN] }), ...three] })).toBe('repair 1');
  });

  test('is none that no run repairs, however often another difference beside it is repaired', () => {
    const used = { ...DOWN, inUse: 'carries net1' };
    const before = [used, BOOT].map((each) => ({ differences: [MTU, each] }));
    const history = [0, 1, 2].flatMap(() => before.flatMap((more) => [applied(), drifted(T0 - HOUR, more)]));
    const drift = drifted(T0, { differences: [used, BOOT], repairable: false });
    expect(fightsOf([drift, ...history], drift)).toEqual([]);
  });

  test('is forgotten after a day', () => {
    // The oldest of the three drifts is three hours older than T0.
    const day = T0 + 21 * HOUR;
    expect(verdict({ history: [drifted(day), ...three] }, day)).toBe('DriftFight');
    expect(verdict({ history: [drifted(day + 1), ...three] }, day + 1)).toBe('repair 1');
  });

  test('begins anew when a person asks for a run', () => {
    expect(verdict({ history: [asks('retry'), drifted(), ...three] })).toBe('due 1');
    expect(verdict({ history: [drifted(), applied(), asks('retry'), ...three] })).toBe('repair 1');
    expect(verdict({ history: [drifted(), applied(), asks('retry', 'multinic-agent'), ...three] })).toBe(
      'DriftFight',
    );
  });

  test('counts only what was repaired', () => {
    const history = [
      drifted(),
      record('Observed'),
      drifted(),
      record('Observed'),
      drifted(),
      record('Observed'),
      drifted(),
    ];
    expect(verdict({ history: [...history, applied()] })).toBe('repair 1');
  });

  test('is left alone after three boots running, however far apart', () => {
    expect(verdictAfter(3, 2, 1)).toBe('repair 1');
    expect(verdictAfter(4, 3, 2, 1)).toBe('DriftFight');
    // After boot 3 the host was as it should be.
    expect(verdictAfter(5, 4, 2, 1)).toBe('repair 1');
  });
});

/** The time of the repair that a run made; undefined: the run is no repair. */
const repaired = (run: Partial<RunRecord>, before: Partial<RunRecord>): number | undefined =>
  repairedAt([applied(T0, run), drifted(T0 - 9), applied(T0 - HOUR, before)]);

describe('a repair is recognised', () => {
  test('by the commit, and by the files where the machine got another commit with the same files', () => {
    const before = { triedTree: TREE_A };
    expect(repaired({}, before)).toBe(T0);
    expect(repaired({ tried: B, triedTree: TREE_A }, before)).toBe(T0);
    expect(repaired({ tried: B, triedTree: TREE_B }, before)).toBeUndefined();
    expect(repaired({ tried: B }, before)).toBeUndefined();
  });

  test('also after a run of an earlier version, and where a NIC was missing', () => {
    const run = { tried: B, triedTree: TREE_A };
    expect(repaired(run, {})).toBe(T0);
    expect(repaired(run, { result: 'Pending', tree: TREE_HOST, triedTree: TREE_A })).toBe(T0);
    expect(repaired(run, { tree: TREE_B })).toBeUndefined();
  });

  test('and its failure is not one of the change', () => {
    const failure = failed(T0, { tried: B, triedTree: TREE_A });
    expect([...repairRuns([failure, drifted(), applied()])]).toEqual([failure]);
  });
});

const limitsOf = (histories: RunRecord[][], confirmedAt = 0): ReturnType<typeof limitRepairs> =>
  limitRepairs(
    histories.map((history) => ({ history })),
    confirmedAt,
  );

const undrifted = (count: number): RunRecord[][] => Array.from({ length: count }, () => [applied()]);

const drifting = (count: number, time = T0): RunRecord[][] =>
  Array.from({ length: count }, () => [drifted(time), applied()]);

describe('all repairs stop', () => {
  test('when more than three nodes drifted within an hour', () => {
    expect(limitsOf([...drifting(3), ...undrifted(7)]).stopped).toBe(false);
    expect(limitsOf([...drifting(4), ...undrifted(6)])).toEqual({
      drifted: 4,
      limit: 3,
      failed: 0,
      stopped: true,
    });
  });

  test('when more than a tenth of many nodes drifted', () => {
    expect(limitsOf([...drifting(10), ...undrifted(90)]).stopped).toBe(false);
    expect(limitsOf([...drifting(11), ...undrifted(89)]).stopped).toBe(true);
    expect([limitsOf(undrifted(39)).limit, limitsOf(undrifted(40)).limit]).toEqual([3, 4]);
  });

  test('not when they drifted one after the other', () => {
    const hourly = Array.from({ length: 20 }, (_, n) => drifting(1, T0 + n * 1300)).flat();
    expect(limitsOf(hourly)).toMatchObject({ drifted: 3, stopped: false });
    expect(limitsOf(hourly.toReversed())).toMatchObject({ drifted: 3 });
    expect(limitsOf([...drifting(1), ...drifting(1, T0 + HOUR - 1)]).drifted).toBe(2);
    expect(limitsOf([...drifting(1), ...drifting(1, T0 + HOUR)]).drifted).toBe(1);
  });

  test('not when one node drifts again and again', () => {
    const again = Array.from({ length: 9 }, (_, n) => [applied(T0 + n), drifted(T0 + n)]).flat();
    expect(limitsOf([again, ...undrifted(3)])).toMatchObject({ drifted: 1, stopped: false });
    // Such a node counts as long as one of its drifts lies within the hour.
    const twice = [drifted(T0 + 1800), applied(T0), drifted(T0), applied(T0)];
    expect(limitsOf([twice, ...drifting(1, T0 + HOUR)]).drifted).toBe(2);
  });

  test('not for what first observations found', () => {
    const first = Array.from({ length: 9 }, () => [drifted(T0, { first: true }), applied()]);
    expect(limitsOf(first).stopped).toBe(false);
  });

  test('not for what no run mends, such as NICs that pods stand on', () => {
    const used = { differences: [{ ...DOWN, inUse: 'carries net1' }], repairable: false } as const;
    const left = Array.from({ length: 9 }, () => [drifted(T0, used), applied()]);
    expect(limitsOf(left)).toMatchObject({ drifted: 0, stopped: false });
  });

  test('until a person confirms: their end proves nothing', () => {
    const ended = drifting(9).map((history) => [applied(T0 + 60), ...history]);
    expect(limitsOf(ended).stopped).toBe(true);
    expect(limitsOf(ended, T0).stopped).toBe(false);
    expect(limitsOf([...ended, ...drifting(4, T0 + 99)], T0).stopped).toBe(true);
  });

  test('when three repairs failed, and none of them was made up for', () => {
    const bad = [
      [failed(), drifted(T0 - 9000), applied()],
      [failed(), drifted(T0 - 19_000), applied()],
    ];
    const third = [failed(), drifted(T0 - 29_000), applied()];
    expect(limitsOf(bad).stopped).toBe(false);
    expect(limitsOf([...bad, third])).toMatchObject({ failed: 3, stopped: true });
    expect(limitsOf([...bad, [applied(), ...third]]).stopped).toBe(false);
    expect(limitsOf([...bad, third], T0).stopped).toBe(false);
  });

  test('not when repairs did not reach the store, as while the controller starts anew', () => {
    const away = [failed(T0, { reason: 'StoreUnreachable' }), drifted(T0 - 9), applied()];
    expect(limitsOf([away, away, away])).toMatchObject({ failed: 0, stopped: false });
    // An earlier repair still counts if it failed by itself.
    const both = [failed(T0, { reason: 'StoreUnreachable' }), failed(), drifted(T0 - 29_000), applied()];
    expect(limitsOf([both, both, both])).toMatchObject({ failed: 3, stopped: true });
  });

  const policy: Policy = { ...DEFAULT_POLICY, concurrency: 100 };
  const fleet = Array.from({ length: 4 }, (_, n) =>
    node({ name: `worker-${n}`, nodeId: `i-${n}`, history: [drifted(), applied()] }),
  );

  test('and no repair starts, until the confirmation', () => {
    const plan = planJobs(fleet, [], policy, T0 * 1000);
    expect(plan.start).toEqual([]);
    expect([...plan.reasons.values()]).toEqual(fleet.map(() => ({ due: false, reason: 'RepairsStopped' })));
    expect(planJobs(fleet, [], { ...policy, repairsConfirmedAt: T0 }, T0 * 1000).start).toHaveLength(4);
  });

  test('and changes and requests go on', () => {
    const changed = node({ name: 'changed', tip: B, tipTree: TREE_B, history: [applied()] });
    const asked = node({ name: 'asked', nodeId: 'i-2', history: [asks('retry'), drifted(), applied()] });
    const started = planJobs([...fleet, changed, asked], [], policy, T0 * 1000).start.map(
      (each) => each.node,
    );
    expect(started.toSorted()).toEqual(['asked', 'changed']);
  });

  test('and a failed repair stops no change', () => {
    const change = oid('c'.repeat(40));
    const failing = Array.from({ length: 3 }, (_, n) =>
      node({
        name: `failed-${n}`,
        nodeId: `i-f${n}`,
        change,
        history: [failed(T0, { change }), drifted(T0 - 9999 * (n + 1)), applied(T0 - HOUR, { change })],
      }),
    );
    const next = node({ name: 'next', change, history: [] });
    expect(planJobs([...failing, next], [], policy, T0 * 1000).reasons.get('next')).toMatchObject({
      due: true,
    });
  });

  test('the policy says what follows on drift, unless the node does', () => {
    const report: Policy = { ...policy, drift: 'report', repairsConfirmedAt: T0 };
    const own = node({ name: 'own', nodeId: 'i-own', drift: 'repair', history: [drifted(), applied()] });
    const plan = planJobs([fleet[0]!, own], [], report, T0 * 1000);
    expect(plan.reasons.get('worker-0')).toEqual({ due: false, reason: 'Drifted' });
    expect(plan.start.map((each) => each.node)).toEqual(['own']);
  });
});
