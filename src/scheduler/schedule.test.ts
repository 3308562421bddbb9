import type { Oid } from '../api/oid.ts';
import { oid } from '../../test/support/oid.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RESULTS } from '../api/results.ts';
import { decide, MAX_ATTEMPTS, MAX_TRIES, type NodeFacts, type RunRecord } from './due.ts';
import { jobStamp } from './job-name.ts';
import { DEFAULT_POLICY, planJobs, type Plan, type Policy } from './schedule.ts';
import type { JobRequest, JobStatus } from './job-port.ts';

const EMPTY = oid('empty');
const CHANGE = oid('change');
const T0 = 1_700_000_000;
const NOW = (T0 + 1) * 1000;

function node(name: string, facts: Partial<NodeFacts> = {}): NodeFacts {
  return {
    name,
    nodeId: `i-${name}`,
    tip: oid(`tip ${name}`),
    tipTime: T0,
    tipTree: oid('tree'),
    wanted: true,
    change: CHANGE,
    machineId: 'machine',
    systemUUID: 'system',
    bootID: 'boot',
    ready: true,
    paused: false,
    history: [],
    ...facts,
  };
}

function run(of: NodeFacts, result: RunRecord['result'], more: Partial<RunRecord> = {}): RunRecord {
  return {
    oid: oid('outcome'),
    time: T0,
    result,
    tried: of.tip,
    attempt: 1,
    machineId: 'machine',
    bootId: 'boot',
    tree: result === 'Applied' ? of.tipTree : EMPTY,
    missing: [],
    found: [],
    ...more,
  };
}

function tried(name: string, result: RunRecord['result'], more: Partial<NodeFacts> = {}): NodeFacts {
  const fresh = node(name, more);
  return { ...fresh, history: [run(fresh, result)] };
}

function job(of: NodeFacts, phase: JobStatus['phase'], more: Partial<JobStatus> = {}): JobStatus {
  return {
    name: `multinic-agent-${of.nodeId}-20231114221320`,
    node: of.name,
    commit: of.tip,
    attempt: 1,
    phase,
    ...more,
  };
}

const stuck = (of: NodeFacts, since: number): JobStatus =>
  job(of, 'waiting', { late: true, stuck: true, since });

const policy = (more: Partial<Policy> = {}): Policy => ({ ...DEFAULT_POLICY, ...more });
const started = (plan: Plan): string[] => plan.start.map((request) => request.node);
const reason = (plan: Plan, name: string): string => {
  const decision = plan.reasons.get(name);
  return decision === undefined ? 'none' : decision.due ? 'due' : decision.reason;
};

const probesOf = (facts: NodeFacts): readonly string[] | undefined =>
  planJobs([facts], [], policy({ probes: ['192.168.100.1'] }), NOW).start[0]?.probes;

describe('one job a node', () => {
  const a = node('a');
  test('a request says all that the agent needs', () => {
    const plan = planJobs([{ ...a, apply: 'files' }], [], policy(), NOW);
    expect(plan).toEqual({
      start: [
        {
          name: 'multinic-agent-i-a-20231114221320',
          node: 'a',
          nodeId: 'i-a',
          commit: a.tip,
          expectedRecord: null,
          attempt: 1,
          apply: 'files',
          deadlineSeconds: 120,
        },
      ],
      withdraw: [],
      reasons: new Map([['a', expect.objectContaining({ due: true, attempt: 1 })]]),
      repairs: { drifted: 0, limit: 3, failed: 0, stopped: false },
    });
  });

  test('probes are the policy’s, unless the node has its own', () => {
    expect(probesOf(a)).toEqual(['192.168.100.1']);
    expect(probesOf({ ...a, probes: ['192.168.100.2:22'] })).toEqual(['192.168.100.2:22']);
  });

  const older = { commit: oid('older') };
  const cases: [string, NodeFacts, JobStatus, Partial<Plan>, string][] = [
    ['a waiting job of the tip is waited for', a, job(a, 'waiting'), { start: [], withdraw: [] }, 'Waiting'],
    ['a running job is never stopped', a, job(a, 'running', older), { start: [], withdraw: [] }, 'Running'],
    [
      'a waiting job of an older commit goes, and only then comes the next',
      a,
      job(a, 'waiting', older),
      { start: [], withdraw: [job(a, 'waiting').name], nextPassAt: NOW },
      'Withdrawing',
    ],
    [
      'an end is recorded before anything else',
      a,
      job(a, 'finished'),
      { start: [], withdraw: [] },
      'Recording',
    ],
    [
      'a waiting job of a paused node goes',
      { ...a, paused: true },
      job(a, 'waiting'),
      { start: [], withdraw: [job(a, 'waiting').name] },
      'Paused',
    ],
    [
      'a waiting job stays when the clock stepped back',
      { ...a, history: [run(a, 'Failed', { time: T0 + 50 })] },
      job(a, 'waiting'),
      { start: [], withdraw: [] },
      'Waiting',
    ],
  ];
  test.each(cases)('%s', (_, facts, status, expected, why) => {
    const plan = planJobs([facts], [status], policy(), NOW);
    expect(plan).toMatchObject(expected);
    expect(reason(plan, 'a')).toBe(why);
  });

  test('a job whose end is recorded does not stand in the way, nor lend its name', () => {
    const done = job(a, 'finished');
    const plan = planJobs(
      [{ ...a, history: [run(a, 'Superseded', { job: done.name })] }],
      [done],
      policy(),
      NOW,
    );
    expect(plan.start.map(({ name }) => name)).toEqual(['multinic-agent-i-a-20231114221321']);
  });

  test('a job that is late holds no slot, but late jobs hold no more slots than there are', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const nodes = names.map((name) => node(name));
    const late = (...of: string[]): JobStatus[] =>
      nodes.filter(({ name }) => of.includes(name)).map((each) => job(each, 'waiting', { late: true }));
    const two = policy({ concurrency: 2 });
    const plan = planJobs(nodes, late('a', 'b'), two, NOW);
    expect(started(plan)).toEqual(['c', 'd']);
    expect(reason(plan, 'a')).toBe('Waiting');
    expect(plan.withdraw).toEqual([]);
    expect(started(planJobs(nodes, late('a', 'b', 'c'), two, NOW))).toEqual(['d']);
  });
  test('a stuck job holds a place until another node wants it, and gives way before the other one starts', () => {
    const [b, two] = [node('b'), policy({ concurrency: 2 })];
    expect(planJobs([a], [stuck(a, 1)], two, NOW).postpone).toBeUndefined();
    const both = [stuck(a, 2), stuck(b, 1)];
    const plan = planJobs([a, b, node('c')], both, two, NOW);
    // Postpones the Job that has waited longest.
    expect(plan).toMatchObject({ postpone: [both[1]!.name], start: [], withdraw: [], nextPassAt: NOW });
    expect(['a', 'b', 'c'].map((name) => reason(plan, name))).toEqual(['Waiting', 'Waiting', 'Queued']);
    expect(started(planJobs([a, node('c')], [both[0]!], two, NOW))).toEqual(['c']);
  });

  test('a postponed job starts again under its name when its time has come, behind all others', () => {
    const away = job(a, 'waiting', { late: true, retryAt: NOW });
    const early = { ...away, retryAt: NOW + 1 };
    expect(planJobs([a], [early], policy(), NOW)).toMatchObject({ start: [], withdraw: [] });
    expect(planJobs([a], [away], policy(), NOW).start).toMatchObject([{ name: away.name, attempt: 1 }]);
    const plan = planJobs([a, node('b')], [away], policy({ concurrency: 1 }), NOW);
    expect(started(plan)).toEqual(['b']);
    expect(reason(plan, 'a')).toBe('Waiting');
    expect(planJobs([{ ...a, tip: oid('next') }], [away], policy(), NOW)).toMatchObject({
      start: [],
      withdraw: [away.name],
    });
    expect(planJobs([{ ...a, paused: true }], [away], policy(), NOW).withdraw).toEqual([away.name]);
    // The next Job has another name.
    const next = job(a, 'waiting', { name: 'multinic-agent-i-a-20231114221321' });
    expect(planJobs([a], [away, next], policy(), NOW)).toMatchObject({ start: [], withdraw: [away.name] });
  });

  test('a job that outlives its recorded end holds its own node, and no slot of others', () => {
    const left = job(a, 'running');
    const unknown = { ...a, history: [run(a, 'Unknown', { job: left.name })] };
    const one = policy({ concurrency: 1 });
    expect(reason(planJobs([unknown, node('b')], [left], one, NOW), 'a')).toBe('Running');
    expect(started(planJobs([unknown, node('b')], [left], one, NOW))).toEqual(['b']);
    // An unrecorded outcome may be a failure that the change caused.
    expect(started(planJobs([a, node('b')], [left], one, NOW))).toEqual([]);
  });

  test('beside a running job a waiting one goes', () => {
    const waiting = job(a, 'waiting', { name: 'multinic-agent-i-a-20231114221329' });
    expect(planJobs([a], [job(a, 'running'), waiting], policy(), NOW).withdraw).toEqual([waiting.name]);
  });

  test('of a node that is gone: running is left alone and counts, waiting goes', () => {
    const gone = node('gone');
    const jobs = [job(gone, 'running'), job(gone, 'waiting', { name: 'multinic-agent-x-20231114221320' })];
    const plan = planJobs([a], jobs, policy({ concurrency: 2 }), NOW);
    expect(plan.withdraw).toEqual(['multinic-agent-x-20231114221320']);
    expect(plan.start).toEqual([]);
    expect(reason(plan, 'a')).toBe('Queued');
  });

  test('two nodes with one ID do not share a name', () => {
    const plan = planJobs([node('a', { nodeId: 'I-1' }), node('b', { nodeId: 'i-1' })], [], policy(), NOW);
    expect(new Set(plan.start.map(({ name }) => name)).size).toBe(2);
  });
});

describe('a change that fails is stopped', () => {
  const failures = ['f1', 'f2', 'f3'].map((name) => tried(name, 'Failed'));
  const further = node('further');
  test('after three failed nodes', () => {
    expect(started(planJobs([...failures.slice(1), further], [], policy(), NOW))).toEqual(['further']);
    const plan = planJobs([...failures, further], [], policy(), NOW);
    expect(started(plan)).toEqual([]);
    expect(reason(plan, 'further')).toBe('ChangeStopped');
  });
  test('an agent that never reports is a failure; missing NICs, names and a store that was away are not', () => {
    const [f1, f2] = failures as [NodeFacts, NodeFacts];
    const with3 = (third: NodeFacts): string =>
      reason(planJobs([f1, f2, third, further], [], policy(), NOW), 'further');
    expect(with3(tried('u', 'Unknown'))).toBe('ChangeStopped');
    for (const result of ['Pending', 'Adopt', 'Diverged', 'Applied'] as const) {
      expect(with3(tried('n', result))).toBe('due');
    }
    const away = tried('n', 'Failed');
    const history = away.history.map((run) => ({ ...run, reason: 'StoreUnreachable' as const }));
    expect(with3({ ...away, history })).toBe('due');
  });
  test('a run that names no commit is no failure of it', () => {
    const [f1, f2, f3] = failures as [NodeFacts, NodeFacts, NodeFacts];
    const { tried: _, ...unnamed } = run(f3, 'Unknown', { change: CHANGE });
    const nodes = [f1, f2, { ...f3, history: [unnamed] }, further];
    expect(reason(planJobs(nodes, [], policy(), NOW), 'further')).toBe('due');
  });
  test('unless a person asks for the node; a request of the controller is none', () => {
    const asks = (by: string): NodeFacts => ({
      ...further,
      history: [run(further, 'Requested', { request: 'retry', by, time: NOW / 1000 - 1 })],
    });
    expect(started(planJobs([...failures, asks('operator'), node('other')], [], policy(), NOW))).toEqual([
      'further',
    ]);
    expect(reason(planJobs([...failures, asks('multinic-agent')], [], policy(), NOW), 'further')).toBe(
      'ChangeStopped',
    );
  });
  test('until it is confirmed', () => {
    const plan = planJobs([...failures, further], [], policy({ confirmed: new Set([CHANGE]) }), NOW);
    expect(started(plan)).toEqual(['further']);
  });
  test('but not the next change, nor the retries of nodes that were tried', () => {
    const next = node('next', { change: oid('next') });
    const later = (T0 + 3600) * 1000;
    expect(started(planJobs([...failures, next, further], [], policy(), later)).toSorted()).toEqual([
      'f1',
      'f2',
      'f3',
      'next',
    ]);
  });
  test('its waiting jobs go', () => {
    expect(planJobs([...failures, further], [job(further, 'waiting')], policy(), NOW).withdraw).toHaveLength(
      1,
    );
  });
  test('a mended change (a new one) does not inherit its failures', () => {
    const mended = failures.map((facts) => ({ ...facts, tip: oid('mended'), change: oid('mended') }));
    expect(
      started(planJobs([...mended, node('further', { change: oid('mended') })], [], policy(), NOW)),
    ).toHaveLength(4);
  });
  test('a node that failed in it and was reverted since still counts, where history says so', () => {
    const reverted = failures.map((facts) => ({
      ...facts,
      tip: oid('revert'),
      tipTree: EMPTY,
      history: facts.history.map((record) => ({ ...record, change: CHANGE })),
    }));
    expect(reason(planJobs([...reverted, further], [], policy(), NOW), 'further')).toBe('ChangeStopped');
  });
});

describe('a stop lasts', () => {
  const further = node('further');
  const [rollback, next] = [oid('rollback'), oid('next')];
  /** Three nodes that failed in CHANGE, and what came after on each, newest first. */
  const failedThen = (tip: Oid, after: Partial<RunRecord>[], change = CHANGE): NodeFacts[] =>
    ['f1', 'f2', 'f3'].map((name) => {
      const of = node(name);
      const later = after.map((more) => run(of, 'Applied', { tried: tip, tree: EMPTY, ...more }));
      return {
        ...of,
        tip,
        tipTree: EMPTY,
        change,
        history: [...later, run(of, 'Failed', { change: CHANGE })],
      };
    });
  const further3 = (nodes: NodeFacts[]): string =>
    reason(planJobs([...nodes, further], [], policy(), NOW), 'further');

  test.each<[string, NodeFacts[]]>([
    ['when the rollbacks are applied', failedThen(rollback, [{ change: CHANGE }])],
    ['when the next change is applied', failedThen(next, [{ change: next }], next)],
    ['when both are', failedThen(next, [{ change: next }, { change: CHANGE, tried: rollback }], next)],
    ['when an agent finds other names', failedThen(oid('tip f1'), [{ result: 'Adopt' }])],
  ])('%s', (_, nodes) => {
    expect(further3(nodes)).toBe('ChangeStopped');
  });

  test.each(['Applied', 'Pending'] as const)('until the same commit is %s on one of them', (result) => {
    const [f1, ...others] = failedThen(rollback, [{ change: CHANGE }]);
    const retried = { ...f1!, history: [run(node('f1'), result, { change: CHANGE }), ...f1!.history] };
    expect(further3([retried, ...others])).toBe('due');
  });

  test('a node counts once, however often it failed', () => {
    const [f1] = failedThen(rollback, [{ change: CHANGE, result: 'Failed' }]);
    expect(further3([f1!])).toBe('due');
  });
});

describe('turns', () => {
  test('a small change does not wait for a large one', () => {
    const large = Array.from({ length: 20 }, (_, n) => node(`large-${n}`, { change: oid('large') }));
    const small = node('small', { change: oid('small'), tipTime: T0 + 1 });
    expect(started(planJobs([...large, small], [], policy({ concurrency: 2 }), NOW))).toEqual([
      'large-0',
      'small',
    ]);
    const running = large
      .slice(0, 2)
      .map((facts, n) => job(facts, 'running', { name: `multinic-agent-l${n}-20231114221320` }));
    expect(started(planJobs([...large, small], running, policy({ concurrency: 3 }), NOW))).toEqual(['small']);
  });
  test('people first, then first attempts, then the oldest tip', () => {
    const asks = tried('asks', 'Applied');
    const request: RunRecord = {
      oid: oid('r'),
      time: T0,
      result: 'Requested',
      request: 'retry',
      attempt: 0,
      tree: asks.tipTree,
      missing: [],
      found: [],
    };
    const nodes = [
      tried('again', 'Failed'),
      node('b'),
      node('old', { tipTime: T0 - 9 }),
      node('a'),
      { ...asks, history: [request, ...asks.history] },
    ];
    expect(started(planJobs(nodes, [], policy(), (T0 + 60) * 1000))).toEqual([
      'asks',
      'old',
      'a',
      'b',
      'again',
    ]);
  });
});

test('the next pass is due when the first wait ends', () => {
  const a = tried('a', 'Failed');
  const b = { ...a, name: 'b', history: [run(a, 'Failed', { time: T0 - 20 })] };
  expect(planJobs([a, b], [], policy(), NOW).nextPassAt).toBe((T0 + 40) * 1000);
});

describe('for any nodes and jobs', () => {
  const result = fc.constantFrom<RunRecord['result'][]>(...RESULTS, 'Requested');
  const tip = fc.constantFrom(oid('t1'), oid('t2'));
  const record = fc.record({
    oid: fc.constant(oid('o')),
    time: fc.integer({ min: T0 - 9999, max: T0 + 9999 }),
    result,
    tried: tip,
    attempt: fc.constant(1),
    stamp: fc.integer({ min: T0 - 99, max: T0 + 99 }),
    machineId: fc.constantFrom('machine', 'machine', 'other'),
    bootId: fc.constantFrom('boot', 'boot', 'other'),
    tree: fc.constantFrom(EMPTY, oid('tree')),
    request: fc.constantFrom('retry' as const, 'confirm' as const),
    record: fc.constantFrom(null, oid('r')),
    missing: fc.constant([]),
    found: fc.constantFrom([], [{ mac: '02:00:00:00:00:01', name: 'multinic0' }]),
  });
  const facts = fc
    .array(
      fc.record({
        tip,
        tipTime: fc.integer({ min: T0 - 50, max: T0 }),
        wanted: fc.boolean(),
        change: fc.constantFrom(oid('c1'), oid('c2')),
        ready: fc.boolean(),
        paused: fc.boolean(),
        invalidTip: fc.boolean(),
        history: fc.array(record, { maxLength: 6 }),
      }),
      { maxLength: 12 },
    )
    .map((list) => list.map((more, n) => node(`n${n}`, more)));
  const jobs = fc
    .array(
      fc.record({
        node: fc.integer({ min: 0, max: 14 }).map((n) => `n${n}`),
        commit: tip,
        phase: fc.constantFrom<JobStatus['phase'][]>('waiting', 'running', 'finished'),
        attempt: fc.constant(1),
      }),
      { maxLength: 8 },
    )
    .map((list) =>
      list.map((more, n) => ({ ...more, name: `multinic-agent-i-${more.node}-2023111422132${n}` })),
    );
  const world = fc.record({
    nodes: facts,
    jobs,
    concurrency: fc.integer({ min: 1, max: 6 }),
    stopAfter: fc.integer({ min: 1, max: 4 }),
  });

  test('the limits hold, and the order of the input does not matter', () => {
    fc.assert(
      fc.property(world, fc.func(fc.integer()), ({ nodes, jobs, ...limits }, shuffle) => {
        const plan = planJobs(nodes, jobs, policy(limits), NOW);
        const shuffled = nodes.toSorted((a, b) => shuffle(a.name) - shuffle(b.name));
        expect(planJobs(shuffled, jobs.toReversed(), policy(limits), NOW)).toEqual(plan);

        const onTheirWay = jobs.filter(({ phase }) => phase !== 'finished');
        expect(plan.start.length).toBeLessThanOrEqual(Math.max(0, limits.concurrency - onTheirWay.length));
        const names = [...jobs.map(({ name }) => name), ...plan.start.map(({ name }) => name)];
        expect(new Set(names).size).toBe(names.length);
        for (const request of plan.start) {
          const of = nodes.find(({ name }) => name === request.node) as NodeFacts;
          expect(decide(of, NOW).due).toBe(true);
          expect([of.paused, !of.ready, of.invalidTip]).not.toContain(true);
          expect(request.commit).toBe(of.tip);
          expect(onTheirWay.some((status) => status.node === of.name)).toBe(false);
          for (const { stamp } of of.history) expect(jobStamp(request.name)).toBeGreaterThan(stamp ?? 0);
        }
        for (const name of plan.withdraw) {
          expect(jobs.find((status) => status.name === name)?.phase).toBe('waiting');
        }
        expect([...plan.reasons.keys()].toSorted()).toEqual(nodes.map(({ name }) => name).toSorted());
        const due = [...plan.reasons].filter(([, decision]) => decision.due).map(([name]) => name);
        expect(started(plan).toSorted()).toEqual(due.toSorted());
      }),
      { seed: 3, numRuns: 2000 },
    );
  });
});

/** A controller that records whatever its agent reports, until nothing is to be done or a week is over. */
function jobsInAWeek(facts: NodeFacts, agent: (job: number) => RunRecord): JobRequest[] {
  const started: JobRequest[] = [];
  let now = T0 * 1000;
  for (const end = now + 7 * 86_400_000; now < end && started.length < 100;) {
    const plan = planJobs([facts], [], policy(), now);
    const [request] = plan.start;
    if (request === undefined) {
      if (plan.nextPassAt === undefined) return started;
      now = plan.nextPassAt;
      continue;
    }
    now += 1000;
    const stamp = jobStamp(request.name) as number;
    const outcome = { ...agent(started.length), time: Math.floor(now / 1000), job: request.name, stamp };
    facts = { ...facts, history: [outcome, ...facts.history] };
    started.push(request);
  }
  return started;
}

test('a node that can never succeed gets ten attempts, then rest', () => {
  const facts = node('a');
  const attempts = jobsInAWeek(facts, () => run(facts, 'Failed')).map((request) => request.attempt);
  expect(attempts).toEqual(Array.from({ length: MAX_ATTEMPTS }, (_, n) => n + 1));
});

test('whatever agents report, and however wrong the inventory is, Jobs come to an end', () => {
  const of = node('a');
  const report = fc.record({
    result: fc.constantFrom<RunRecord['result'][]>(
      'Applied',
      'Pending',
      'Failed',
      'Adopt',
      'Diverged',
      'Unknown',
    ),
    machineId: fc.option(fc.constantFrom('machine', 'other'), { nil: undefined }),
    bootId: fc.option(fc.constantFrom('boot', 'boot', 'other', 'third'), { nil: undefined }),
    tree: fc.constantFrom(EMPTY, of.tipTree),
    record: fc.constantFrom(null, oid('r')),
  });
  const agent = fc.array(report, { minLength: 1, maxLength: 12 });
  const questions = fc.record({ recordInBranch: fc.boolean(), namesAdopted: fc.boolean() });
  fc.assert(
    fc.property(agent, questions, (reports, answers) => {
      const jobs = jobsInAWeek({ ...of, ...answers }, (job) => {
        const { machineId, bootId, ...known } = reports[job % reports.length]!;
        const { machineId: _, bootId: __, ...plain } = run(of, known.result);
        return {
          ...plain,
          ...known,
          ...(machineId !== undefined && { machineId }),
          ...(bootId !== undefined && { bootId }),
        };
      });
      // Two boots that the inventory does not know, and its own.
      expect(jobs.length).toBeLessThanOrEqual(2 * MAX_TRIES + MAX_ATTEMPTS);
    }),
    { seed: 3, numRuns: 2000 },
  );
});
