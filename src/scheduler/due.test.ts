import type { Oid } from '../api/oid.ts';
import { oid } from '../../test/support/oid.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, MAX_ATTEMPTS, MAX_TRIES, type NodeFacts, type RunRecord } from './due.ts';

const [A, B, C, X] = ['a', 'b', 'c', 'e'].map((digit) => oid(digit.repeat(40))) as [Oid, Oid, Oid, Oid];
const EMPTY = oid('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
const [TREE_A, TREE_B] = ['1', '2'].map((digit) => oid(digit.repeat(40))) as [Oid, Oid];
const T0 = 1_700_000_000;

/** A node whose tip A was committed at T0, nothing tried yet. */
function node(facts: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name: 'worker-1',
    nodeId: 'i-1',
    tip: A,
    tipTime: T0,
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

let serial = 0;
function run(result: RunRecord['result'], more: Partial<RunRecord> = {}): RunRecord {
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
    tree: result === 'Applied' ? TREE_A : EMPTY,
    missing: [],
    found: [],
    ...more,
  };
}

/** A request has the host's tree, and nothing of a run. */
function request(kind: 'retry' | 'confirm', tree = EMPTY): RunRecord {
  return { oid: X, time: T0, result: 'Requested', attempt: 0, tree, missing: [], found: [], request: kind };
}

const { systemUUID: _, ...unrecorded } = run('Applied');
const found = [{ mac: '02:00:00:00:00:01', name: 'multinic3' }];
const soon = (T0 + 1) * 1000;
/** Short text of a decision: `due 2`, or the reason. */
function verdict(facts: Partial<NodeFacts>, now = soon): string {
  const decision = decide(node(facts), now);
  return decision.due ? `due ${decision.attempt}` : decision.reason;
}

describe('a Job is due', () => {
  const cases: [string, string, Partial<NodeFacts>][] = [
    ['nothing tried, something wanted', 'due 1', {}],
    ['nothing tried, nothing wanted', 'NothingWanted', { wanted: false, tipTree: EMPTY }],
    ['nothing tried, but a person asks', 'NothingWanted', { wanted: false, history: [request('retry')] }],
    ['the tip is on the host', 'UpToDate', { history: [run('Applied')] }],
    ['the tip moved on', 'due 1', { tip: B, tipTree: TREE_B, history: [run('Applied')] }],
    ['the tip moved, its files did not', 'UpToDate', { tip: B, history: [run('Applied')] }],
    [
      'reverted to what a failed run left in place',
      'UpToDate',
      { tip: B, history: [run('Failed', { tree: TREE_A })] },
    ],
    [
      'failed at the tip, whose files are there',
      'BackingOff',
      { history: [run('Failed', { tree: TREE_A })] },
    ],
    [
      'nobody knows, though the files are there',
      'BackingOff',
      { history: [run('Unknown', { tree: TREE_A })] },
    ],
    ['an unknown end under an older tip', 'due 1', { tip: B, history: [run('Unknown', { tree: TREE_A })] }],
    ['another machine', 'due 1', { tip: B, machineId: 'new', history: [run('Applied')] }],
    [
      'another machine with the machine ID of its template',
      'due 1',
      { tip: B, systemUUID: 'new', history: [run('Applied')] },
    ],
    ['a run of before UUIDs were recorded', 'UpToDate', { tip: B, history: [unrecorded] }],
    [
      'a node that does not say its machine ID',
      'UpToDate',
      { tip: B, machineId: '', history: [run('Applied')] },
    ],
    [
      'an agent that reads another machine ID than the inventory',
      'UpToDate',
      { machineId: 'new', history: [run('Applied')] },
    ],
    ['applied, then booted', 'UpToDate', { bootID: 'new', history: [run('Applied')] }],
    ['NICs missing, then booted', 'due 1', { bootID: 'new', history: [run('Pending', { tree: TREE_A })] }],
    [
      'failed under an older tip, then booted',
      'due 1',
      { tip: B, bootID: 'new', history: [run('Failed', { tree: TREE_A })] },
    ],
    ['a retry was asked for', 'due 1', { history: [request('retry', TREE_A), run('Applied')] }],
    ['a retry that has been answered', 'UpToDate', { history: [run('Applied'), request('retry')] }],
    [
      'a retry whose job was superseded',
      'due 1',
      { history: [run('Superseded', { tree: TREE_A }), request('retry', TREE_A), run('Applied')] },
    ],
    [
      'a confirm where nothing is to be confirmed',
      'UpToDate',
      { history: [request('confirm', TREE_A), run('Applied')] },
    ],
    [
      'said to be applied, but with other files',
      'BackingOff',
      { history: [run('Applied', { tree: TREE_B })] },
    ],
    ['superseded is not a state', 'due 1', { history: [run('Superseded', { tried: B })] }],
  ];
  test.each(cases)('%s: %s', (_, expected, facts) => {
    expect(verdict(facts)).toBe(expected);
  });
});

describe('what is due may have to wait', () => {
  const failed = Array.from({ length: MAX_ATTEMPTS }, () => run('Failed'));
  const cases: [string, string, Partial<NodeFacts>][] = [
    ['paused', 'Paused', { paused: true }],
    ['paused with nothing to do', 'UpToDate', { paused: true, history: [run('Applied')] }],
    ['not ready', 'NotReady', { ready: false }],
    ['an invalid tip', 'InvalidTip', { invalidTip: true, history: [run('Applied')] }],
    ['ten failures', 'GivenUp', { history: failed }],
    ['ten failures and a new tip', 'due 1', { tip: B, history: failed }],
    ['ten failures and a reboot', 'due 1', { bootID: 'new', history: failed }],
    ['ten failures and a request', 'due 1', { history: [request('retry'), ...failed] }],
    ['ten failures, none of them superseded', 'GivenUp', { history: [run('Superseded'), ...failed] }],
    ['nine failures and a superseded job', 'due 10', { history: [run('Superseded'), ...failed.slice(1)] }],
    [
      'failures before a success do not count',
      'due 2',
      { machineId: 'm', history: [run('Failed', { machineId: 'm' }), run('Applied'), ...failed] },
    ],
  ];
  test.each(cases)('%s: %s', (_, expected, facts) => {
    expect(verdict(facts, (T0 + 7200) * 1000)).toBe(expected);
  });

  test('boots that only the inventory reports have an end', () => {
    const tries = Array.from({ length: MAX_TRIES }, () => run('Failed'));
    const after = (count: number, seconds: number): string =>
      verdict({ bootID: 'wrong', history: tries.slice(0, count) }, (T0 + seconds) * 1000);
    expect([after(1, 1), after(2, 1), after(2, 60), after(29, 60)]).toEqual([
      'due 1',
      'BackingOff',
      'due 1',
      'due 1',
    ]);
    expect(after(30, 86_400)).toBe('GivenUp');
  });

  test('the bound on runs without a boot counts those of the newest boot', () => {
    const before = Array.from({ length: MAX_TRIES }, () => run('Failed', { bootId: 'boot-1' }));
    const newest = run('Failed', { bootId: 'boot-2' });
    expect(verdict({ bootID: 'boot-3', history: [newest, ...before] })).toBe('due 1');
  });

  test('every reboot gives ten more attempts', () => {
    const boots = ['boot-3', 'boot-2', 'boot-1'].flatMap((bootId) =>
      Array.from({ length: MAX_ATTEMPTS }, () => run('Pending', { bootId })),
    );
    const after = (bootID: string): string => verdict({ bootID, history: boots }, (T0 + 7200) * 1000);
    expect([after('boot-3'), after('boot-4')]).toEqual(['GivenUp', 'due 1']);
  });

  test('a clock that was a year ahead delays nothing, and gives no further attempts', () => {
    const ahead = { time: T0 + 365 * 86_400 };
    const failures = Array.from({ length: MAX_ATTEMPTS }, () => run('Failed', ahead));
    const after = (count: number, bootID = 'boot'): string =>
      verdict({ bootID, history: failures.slice(0, count) });
    expect([after(1), after(9), after(10)]).toEqual(['due 2', 'due 10', 'GivenUp']);
    expect(after(2, 'wrong')).toBe('due 1');
    // Each pass gives the next Job the same stamp.
    expect(decide(node({ history: [run('Failed', ahead)] }), soon)).toMatchObject({ stampSeconds: T0 });
  });

  test('a clock that was a little ahead makes the pause no longer than twice', () => {
    const history = [run('Failed', { time: T0 + 60 })];
    expect(verdict({ history }, T0 * 1000)).toBe('BackingOff');
    expect(verdict({ history }, (T0 + 120) * 1000)).toBe('due 2');
  });

  test('one minute, doubling to an hour', () => {
    const waits = Array.from({ length: 9 }, (_, n) => {
      const history = Array.from({ length: n + 1 }, () => run('Pending'));
      const decision = decide(node({ history }), T0 * 1000);
      return 'until' in decision ? (decision.until - T0 * 1000) / 60_000 : undefined;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test('the end of a wait belongs to the next attempt', () => {
    const history = [run('Failed')];
    expect(verdict({ history }, (T0 + 60) * 1000 - 1)).toBe('BackingOff');
    expect(verdict({ history }, (T0 + 60) * 1000)).toBe('due 2');
  });
});

describe('a host that knows other names or another commit', () => {
  const adopt = run('Adopt', { found });
  const diverged = run('Diverged', { record: X });
  const applied = run('Applied', { tried: C, tree: TREE_B });
  const cases: [string, string, Partial<NodeFacts>][] = [
    ['names are to be committed first', 'Adopt', { history: [adopt] }],
    ['names are committed', 'due 1', { tip: B, history: [adopt] }],
    ['the tip moved, but not by them', 'Adopt', { tip: B, namesAdopted: false, history: [adopt] }],
    ['there was nothing to commit', 'due 2', { namesAdopted: true, history: [adopt] }],
    ['asked again and again', 'BackingOff', { namesAdopted: true, history: [adopt, adopt] }],
    ['names of a boot ago', 'due 1', { bootID: 'new', history: [adopt] }],
    ['a retry looks again', 'due 1', { history: [request('retry'), adopt] }],
    [
      'nothing is wanted any more, but the host has names',
      'due 1',
      { tip: B, tipTree: EMPTY, history: [adopt] },
    ],
    ['a strange record', 'NeedsConfirm', { history: [diverged, applied] }],
    ['a strange record under a new tip', 'NeedsConfirm', { tip: B, history: [diverged, applied] }],
    ['a strange record, confirmed', 'due 1', { history: [request('confirm'), diverged, applied] }],
    ['a strange record, looked at again', 'due 1', { history: [request('retry'), diverged, applied] }],
    ['a record of this branch', 'due 2', { recordInBranch: true, history: [diverged, applied] }],
    ['and again another one', 'BackingOff', { recordInBranch: true, history: [diverged, diverged, applied] }],
    ['a record, and a store that knows nothing', 'due 2', { history: [diverged] }],
    ['the same, with names', 'Adopt', { history: [{ ...diverged, found }] }],
    ['the same, with names committed', 'due 1', { tip: B, history: [{ ...diverged, found }] }],
    ['another machine', 'due 1', { tip: B, machineId: 'new', history: [diverged, applied] }],
    ['another system', 'due 1', { tip: B, systemUUID: 'new', history: [diverged, applied] }],
  ];
  test.each(cases)('%s: %s', (_, expected, facts) => {
    expect(verdict(facts)).toBe(expected);
  });
});

describe('the record that the agent should find', () => {
  const old = run('Applied', { tried: B, tree: TREE_B });
  const diverged = run('Diverged', { record: X });
  const cases: [string, string | null, Partial<NodeFacts>][] = [
    ['none yet', null, {}],
    ['what was applied last', B, { history: [old] }],
    ['what was applied in part', B, { history: [run('Failed'), run('Pending', { tried: B })] }],
    ['failures change nothing', B, { history: [run('Failed'), run('Unknown'), old] }],
    ['a new machine has none', null, { machineId: 'new', history: [old] }],
    ['a new VM with the machine ID of its template has none', null, { systemUUID: 'new', history: [old] }],
    ['a commit of this branch', X, { recordInBranch: true, history: [diverged, old] }],
    ['still that one after a failure', X, { recordInBranch: true, history: [run('Failed'), diverged, old] }],
    ['a confirmed one', X, { history: [request('confirm'), diverged, old] }],
    ['a confirmed one after a failure', X, { history: [run('Failed'), request('confirm'), diverged, old] }],
    ['not the strange one that a retry looks at', B, { history: [request('retry'), diverged, old] }],
    [
      'confirmed: the host has none',
      null,
      { history: [request('confirm'), run('Diverged', { record: null }), old] },
    ],
    ['what a lost store finds', X, { history: [diverged] }],
    [
      'what was applied after all that',
      A,
      { tip: B, tipTree: TREE_B, history: [run('Applied'), request('confirm'), diverged, old] },
    ],
  ];
  test.each(cases)('%s', (_, expected, facts) => {
    const decision = decide(node(facts), (T0 + 86_400) * 1000);
    expect(decision).toMatchObject({ due: true, expectedRecord: expected });
  });
});

test('a stamp is the time when the run became due, and later than every stamp before', () => {
  expect(decide(node(), soon)).toMatchObject({ stampSeconds: T0 });
  const failure = run('Failed', { stamp: T0 });
  expect(decide(node({ history: [failure] }), (T0 + 9999) * 1000)).toMatchObject({ stampSeconds: T0 + 60 });
  const asked = { ...request('retry'), time: T0 + 500 };
  expect(decide(node({ history: [asked, failure] }), (T0 + 9999) * 1000)).toMatchObject({
    stampSeconds: T0 + 500,
  });
  const history = [run('Failed', { stamp: T0 + 500 }), run('Failed', { stamp: T0 + 4 })];
  expect(decide(node({ history }), (T0 + 9999) * 1000)).toMatchObject({ stampSeconds: T0 + 501 });
});

test.each(['Drifted', 'Observed'] as const)('a host that %s begins a new series of attempts', (result) => {
  const history = [run('Failed'), run(result), run('Failed'), run('Failed')];
  expect(verdict({ history }, (T0 + 9999) * 1000)).toBe('due 2');
});

const away = (more: Partial<RunRecord> = {}): RunRecord =>
  run('Failed', { reason: 'StoreUnreachable', ...more });

describe('a store that is away', () => {
  const later = (T0 + 2 * 3600) * 1000;

  test('is no attempt, however often it is met', () => {
    const history = Array.from({ length: MAX_TRIES + 5 }, () => away());
    expect(verdict({ history }, later)).toBe('due 1');
    expect(verdict({ history: [...history, run('Failed')] }, later)).toBe('due 2');
  });

  test('is asked for more and more seldom, at least each hour', () => {
    expect(verdict({ history: [away()] }, (T0 + 59) * 1000)).toBe('BackingOff');
    expect(verdict({ history: [away()] }, (T0 + 60) * 1000)).toBe('due 1');
    const history = Array.from({ length: 8 }, () => away());
    expect(verdict({ history }, (T0 + 3599) * 1000)).toBe('BackingOff');
    expect(verdict({ history }, (T0 + 3600) * 1000)).toBe('due 1');
  });

  test('is not asked for each minute when the inventory is wrong about the boot', () => {
    const history = Array.from({ length: 8 }, () => away({ bootId: 'other' }));
    expect(verdict({ history }, (T0 + 3599) * 1000)).toBe('BackingOff');
    expect(verdict({ history }, (T0 + 3600) * 1000)).toBe('due 1');
  });
});

test('a decision that is made again, at another time or with another answer to drift, is that on a new node', () => {
  const results = fc.constantFrom('Applied', 'Failed', 'Unknown', 'Pending', 'Drifted', 'Requested');
  const record = fc
    .tuple(results, fc.integer({ min: -90, max: 90 }))
    .map(([result, minutes]) => run(result as RunRecord['result'], { time: T0 + 60 * minutes }));
  const time = fc.integer({ min: -100, max: 200 }).map((minutes) => (T0 + 60 * minutes) * 1000);
  const answer = fc.constantFrom<'repair' | 'report'>('repair', 'report');
  const questions = fc.array(fc.tuple(time, answer), { minLength: 2 });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 12 }), questions, (history, asked) => {
      const known = node({ history });
      for (const [now, drift] of asked)
        expect(decide(known, now, drift)).toEqual(decide({ ...known }, now, drift));
    }),
  );
});
