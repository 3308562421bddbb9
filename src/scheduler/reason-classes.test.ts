// The table of reasons says when a next try can succeed. The scheduler decides without the table, so each decision with
// a reason is compared with the class that the table gives the reason.

import { describe, expect, test } from 'vitest';
import { AGENT_REASONS } from '../api/reasons/agent-reasons.ts';
import type { Retry } from '../api/reasons/reason-rows.ts';
import { factsOf, REASONS, type Reason } from '../api/reasons/reasons.ts';
import { oid } from '../../test/support/oid.ts';
import type { Decision, IdleReason, NodeFacts, RunRecord } from './due.ts';
import { MAX_ATTEMPTS, MAX_TRIES } from './due.ts';
import type { JobStatus } from './job-port.ts';
import { DEFAULT_POLICY, planJobs, type Policy } from './schedule.ts';

const T0 = 1_700_000_000;
const NOW = (T0 + 1) * 1000;
const YEAR_MS = 365 * 24 * 3_600_000;
const EMPTY = oid('empty');
const CHANGE = oid('change');

const NODE: NodeFacts = {
  name: 'worker-1',
  nodeId: 'i-1',
  tip: oid('tip'),
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
};

function run(result: RunRecord['result'], more: Partial<RunRecord> = {}): RunRecord {
  return {
    oid: oid('outcome'),
    time: T0,
    result,
    tried: NODE.tip,
    change: CHANGE,
    attempt: 1,
    machineId: 'machine',
    bootId: 'boot',
    tree: result === 'Applied' ? NODE.tipTree : EMPTY,
    missing: [],
    found: [],
    ...more,
  };
}

const failures = (count: number, more: Partial<RunRecord> = {}): RunRecord[] =>
  Array.from({ length: count }, () => run('Failed', more));

function request(kind: 'retry' | 'confirm', { tree = EMPTY }: Partial<RunRecord> = {}): RunRecord {
  const { tried: _, change: __, ...asked } = run('Requested', { attempt: 0, tree, request: kind });
  return asked;
}

function job(phase: JobStatus['phase'], commit = NODE.tip): JobStatus {
  return { name: 'multinic-agent-i-1-20231114221320', node: NODE.name, commit, attempt: 1, phase };
}

interface Situation {
  readonly node?: Partial<NodeFacts>;
  readonly others?: readonly NodeFacts[];
  readonly jobs?: readonly JobStatus[];
  readonly policy?: Partial<Policy>;
}

function decisionOf({ node, others = [], jobs = [], policy }: Situation, now = NOW): Decision {
  const plan = planJobs([{ ...NODE, ...node }, ...others], jobs, { ...DEFAULT_POLICY, ...policy }, now);
  return plan.reasons.get(NODE.name)!;
}

const inShort = (decision: Decision): string => (decision.due ? 'due' : decision.reason);

/** Further nodes, none of which needs a run. */
const besides = (count: number, history: readonly RunRecord[]): NodeFacts[] =>
  Array.from({ length: count }, (_, index) => ({
    ...NODE,
    name: `other-${index}`,
    nodeId: `i-other-${index}`,
    history,
  }));

const drifted = run('Drifted', { tree: oid('drifted tree'), stamp: T0 });
const applied = run('Applied');
const unnamed = run('Adopt', { found: [{ mac: '02:00:00:00:00:01', name: 'multinic3' }] });
const diverged = run('Diverged', { record: oid('foreign') });

interface Case {
  readonly has: Situation;
  /** The same situation after the act that ends it. */
  readonly ends: Situation;
  /** The actor: time, a person, or another party of the table. */
  readonly by: Exclude<Retry, 'never'>;
}

const SITUATIONS: Record<Exclude<IdleReason, 'UpToDate' | 'NothingWanted'> | 'BackingOff', Case> = {
  InvalidTip: { by: 'commit', has: { node: { invalidTip: true } }, ends: { node: { tip: oid('release') } } },
  Paused: { by: 'person', has: { node: { paused: true } }, ends: { node: { paused: false } } },
  NotReady: { by: 'itself', has: { node: { ready: false } }, ends: { node: { ready: true } } },
  Adopt: {
    by: 'person',
    has: { node: { namesAdopted: false, history: [unnamed] } },
    ends: { node: { namesAdopted: false, history: [request('retry'), unnamed] } },
  },
  NeedsConfirm: {
    by: 'person',
    has: { node: { history: [diverged, run('Applied', { tree: EMPTY })] } },
    ends: { node: { history: [request('confirm'), diverged, run('Applied', { tree: EMPTY })] } },
  },
  GivenUp: {
    by: 'person',
    has: { node: { history: failures(MAX_ATTEMPTS) } },
    ends: { node: { history: [request('retry'), ...failures(MAX_ATTEMPTS)] } },
  },
  ChangeStopped: {
    by: 'person',
    has: { others: besides(3, failures(1)) },
    ends: { others: besides(3, failures(1)), policy: { confirmed: new Set([CHANGE]) } },
  },
  Drifted: {
    by: 'person',
    has: { node: { drift: 'report', history: [drifted, applied] } },
    ends: { node: { drift: 'report', history: [request('retry'), drifted, applied] } },
  },
  DriftFight: {
    by: 'person',
    has: { node: { history: fight() } },
    ends: { node: { history: [request('retry'), ...fight()] } },
  },
  RepairsStopped: {
    by: 'person',
    has: { node: { history: [drifted, applied] }, others: besides(9, [drifted, applied]) },
    ends: {
      node: { history: [drifted, applied] },
      others: besides(9, [drifted, applied]),
      policy: { repairsConfirmedAt: T0 + 1 },
    },
  },
  Waiting: { by: 'itself', has: { jobs: [job('waiting')] }, ends: {} },
  Running: { by: 'itself', has: { jobs: [job('running')] }, ends: {} },
  Recording: { by: 'itself', has: { jobs: [job('finished')] }, ends: {} },
  Withdrawing: { by: 'itself', has: { jobs: [job('waiting', oid('older'))] }, ends: {} },
  Queued: { by: 'itself', has: { policy: { concurrency: 0 } }, ends: {} },
  BackingOff: { by: 'itself', has: { node: { history: failures(1) } }, ends: { node: { history: [] } } },
};

/** Three repairs of one difference, and then the same difference again. */
function fight(): RunRecord[] {
  const differences = [{ kind: 'LinkDown', name: 'multinic0', mac: '02:00:00:00:00:01' }] as const;
  const drift = run('Drifted', { tree: oid('drifted tree'), differences });
  const repaired = [run('Applied'), drift];
  return [drift, ...repaired, ...repaired, ...repaired, run('Applied')];
}

describe('a decision without a run', () => {
  test.each(Object.entries(SITUATIONS))('%s ends as the table says', (reason, { has, ends, by }) => {
    expect(inShort(decisionOf(has))).toBe(reason);
    expect(inShort(decisionOf(ends))).toBe('due');
    // Time alone ends only the pause between two attempts.
    expect(inShort(decisionOf(has, NOW + YEAR_MS))).toBe(reason === 'BackingOff' ? 'due' : reason);
    expect(factsOf(reason as Reason)?.retry).toBe(by);
  });

  test.each([
    ['UpToDate', { history: [applied] }],
    ['NothingWanted', { wanted: false }],
  ] as const)('%s is no state that waits', (reason, node) => {
    expect(inShort(decisionOf({ node }, NOW + YEAR_MS))).toBe(reason);
    expect(REASONS[reason]).toMatchObject({ retry: 'never', actor: 'nobody' });
  });
});

/**
 * Codes of failed runs, by the class of the table. Warnings and faults of the program are left out, because no run is
 * tried again for them.
 */
const codesOf = (retry: Retry): (keyof typeof AGENT_REASONS)[] =>
  (Object.keys(AGENT_REASONS) as (keyof typeof AGENT_REASONS)[]).filter(
    (code) => REASONS[code].retry === retry,
  );

const after = (node: Partial<NodeFacts>, now = NOW): string => inShort(decisionOf({ node }, now));

describe('a run that failed', () => {
  test.each(codesOf('itself'))('with %s is tried again by itself', (reason) => {
    const history = failures(1, { reason });
    expect(after({ history })).toBe('BackingOff');
    expect(after({ history }, NOW + YEAR_MS)).toBe('due');
  });

  test.each(codesOf('commit'))('with %s is tried again at once with a new commit', (reason) => {
    const history = failures(MAX_ATTEMPTS, { reason });
    expect(after({ history }, NOW + YEAR_MS)).toBe('GivenUp');
    expect(after({ history, tip: oid('new tip'), tipTree: oid('new tree') })).toBe('due');
  });

  test.each(codesOf('person'))('with %s is tried again at once when a person asks', (reason) => {
    const history = failures(MAX_ATTEMPTS, { reason });
    expect(after({ history }, NOW + YEAR_MS)).toBe('GivenUp');
    expect(after({ history: [request('retry'), ...history] })).toBe('due');
  });

  test('is never given up if nobody but the operator can help, because it tried nothing', () => {
    const endless = (Object.keys(AGENT_REASONS) as (keyof typeof AGENT_REASONS)[]).filter(
      (reason) => after({ history: failures(MAX_TRIES, { reason }) }, NOW + YEAR_MS) === 'due',
    );
    expect(endless).toEqual(['StoreUnreachable']);
    expect(REASONS.StoreUnreachable).toMatchObject({ retry: 'itself', actor: 'operator' });
  });
});
