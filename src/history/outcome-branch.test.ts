import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { identity } from '../../test/support/agent.ts';
import { renderTree, treeId } from '../network/tree.ts';
import type { Outcome } from '../api/outcome.ts';
import { mac } from '../../test/support/mac.ts';
import { Batch } from '../store/model/batch.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import {
  Outcomes,
  parseOutcome,
  recordOutcome,
  recordRequest,
  type EndedJob,
  type OutcomeRecord,
} from './outcome-branch.ts';

/** An outcome branch from its results, oldest first: `Failed c1` is a failed run of the change c1. */
class Branch {
  readonly #commits = new Map<Oid, Commit>();
  #tip: Oid = oid('none');
  /** Commits that were read since the branch was last added to. */
  read = 0;

  constructor(...results: string[]) {
    this.#add('', [], []);
    for (const result of results) this.add(result);
  }

  get tip(): Oid {
    return this.#tip;
  }

  add(text: string): void {
    const [result = '', change] = text.split(' ');
    const trailers: [string, string][] = [['Result', result]];
    if (change !== undefined) trailers.push(['Main-Commit', oid(change)]);
    this.#add(text, [this.#tip], trailers);
    this.read = 0;
  }

  #add(subject: string, parents: Oid[], trailers: Commit['trailers']): void {
    const person = { name: 'a', email: 'a@b', time: this.#commits.size };
    this.#tip = oid(`o${this.#commits.size}`);
    this.#commits.set(this.#tip, {
      oid: this.#tip,
      tree: oid('t'),
      parents,
      author: person,
      committer: person,
      subject,
      body: '',
      trailers,
    });
  }

  readonly reader = {
    commit: async (oid: Oid) => {
      this.read += 1;
      return this.#commits.get(oid)!;
    },
    files: async () => renderTree(identity('netplan'), []),
  } as unknown as Reader;
}

async function recent(branch: Branch, outcomes = new Outcomes(branch.reader)): Promise<string[]> {
  const records = await outcomes.recent('w', branch.tip);
  return records.map(({ result, change }) => [result, ...textOf(change)].join(' '));
}

/** The text that a test's id stands for. */
function textOf(id: Oid | undefined): string[] {
  return id === undefined ? [] : [Buffer.from(id, 'hex').toString().replaceAll('\0', '')];
}

describe('how far back outcomes are read', () => {
  test('to the failures that a rollback and the next change followed', async () => {
    const results = ['Applied c1', 'Failed c2', 'Failed c2', 'Applied c2', 'Applied c3'];
    expect(await recent(new Branch(...results))).toEqual(results.toReversed());
  });

  test('no further than three changes, and one record that shows where they end', async () => {
    const results = Array.from({ length: 50 }, (_, n) => `Applied c${n}`);
    expect(await recent(new Branch(...results))).toEqual([
      'Applied c49',
      'Applied c48',
      'Applied c47',
      'Applied c46',
    ]);
  });

  test('to what put the host in its state, however many changes failed since', async () => {
    const failures = Array.from({ length: 50 }, (_, n) => `Failed c${n}`);
    expect((await recent(new Branch('Applied c', ...failures))).at(-1)).toBe('Applied c');
  });

  test('bounded, whatever was tried', async () => {
    expect(await recent(new Branch(...Array.from({ length: 150 }, () => 'Applied c')))).toHaveLength(100);
    expect(await recent(new Branch(...Array.from({ length: 1100 }, () => 'Failed c')))).toHaveLength(1000);
    const drifts = Array.from({ length: 1100 }, (_, index) => (index % 2 === 0 ? 'Drifted' : 'Observed'));
    expect((await recent(new Branch('Applied c', ...drifts))).at(-1)).toBe('Applied c');
  });

  test('a new outcome costs one commit, and equals a full read', async () => {
    const branch = new Branch('Applied c1', 'Failed c2', 'Requested', 'Applied c2', 'Applied c3');
    const outcomes = new Outcomes(branch.reader);
    await recent(branch, outcomes);
    for (const result of ['Failed c4', 'Applied c4', 'Applied c5', 'Applied c6']) {
      branch.add(result);
      const records = await recent(branch, outcomes);
      expect(branch.read).toBe(1);
      expect(records).toEqual(await recent(branch));
    }
  });

  test('read again for a node that was forgotten', async () => {
    const branch = new Branch('Applied c1', 'Failed c2');
    const outcomes = new Outcomes(branch.reader);
    const records = await recent(branch, outcomes);
    outcomes.keep(new Set(['w']));
    branch.read = 0;
    expect(await recent(branch, outcomes)).toEqual(records);
    expect(branch.read).toBe(0);
    outcomes.keep(new Set());
    expect(await recent(branch, outcomes)).toEqual(records);
    expect(branch.read).toBeGreaterThan(0);
  });
});

test('a warning of a run that is well is to be found in the log', async () => {
  const branch = new Branch();
  const batch = new Batch();
  await recordOutcome(branch.reader, batch, undefined, {
    node: 'w',
    job: 'j',
    stamp: 1,
    commit: branch.tip,
    attempt: 1,
    outcome: {
      version: 1,
      node: 'w',
      job: 'j',
      commit: oid('1'.repeat(40)),
      result: 'Applied',
      message: 'systemd-networkd still holds …',
      step: 'report',
      tree: treeId(new Map()),
      machineId: 'm',
      bootId: 'b',
      startedAt: '2025-01-21T10:32:00.000Z',
      durationMs: 1,
      written: [],
      removed: [],
      missing: [],
      found: [],
      warnings: ['NetworkdHoldsOldFile'],
    },
  });
  const recorded = batch.commits.at(-1);
  expect(recorded?.body).toBe('systemd-networkd still holds …');
  expect(recorded?.trailers).toContainEqual(['Result', 'Applied']);
  expect(recorded?.trailers).toContainEqual(['Warning', 'NetworkdHoldsOldFile']);
});

const TIP = oid('tip');
const FAILED: Outcome = {
  version: 1,
  node: 'w',
  job: 'j',
  commit: oid('c'),
  result: 'Failed',
  reason: 'HostIo',
  message: 'no disk',
  step: 'write',
  tree: treeId(new Map()),
  machineId: 'm',
  bootId: 'b',
  startedAt: '2025-01-21T10:32:00.000Z',
  durationMs: 1_500,
  written: [],
  removed: [],
  missing: [],
  found: [],
};

/** A batch's newest commit as a reader of the branch finds it. */
function read(batch: Batch): OutcomeRecord & { readonly trailers: Commit['trailers'] } {
  const { parents, subject, body = '', ...written } = batch.commits.at(-1)!;
  const trailers = written.trailers as Commit['trailers'];
  const person = { name: 'c', email: 'c', time: 1 };
  const people = { author: person, committer: person };
  const commit: Commit = {
    oid: TIP,
    tree: TIP,
    parents: parents as Oid[],
    subject,
    body,
    trailers,
    ...people,
  };
  return { ...parseOutcome(commit), trailers };
}

/** The record of a job's end, as it reads back. @param outcome undefined: the agent never reported */
async function ended(outcome: Partial<Outcome> | undefined, more: Partial<EndedJob> = {}) {
  const branch = new Branch('Applied c');
  const batch = new Batch();
  const job = { node: 'w', job: 'j', stamp: 7, commit: branch.tip, attempt: 2, ...more };
  const whole = outcome === undefined ? job : { ...job, outcome: { ...FAILED, ...outcome } };
  await recordOutcome(branch.reader, batch, branch.tip, whole);
  expect(batch.moves).toEqual([{ ref: 'refs/heads/outcome/w', to: { mark: 1 }, from: branch.tip }]);
  return read(batch);
}

describe('the end of a job reads back as it was recorded', () => {
  test('a failure, without what it does not have', async () => {
    const record = await ended({});
    expect(record).toMatchObject({
      result: 'Failed',
      reason: 'HostIo',
      message: 'no disk',
      attempt: 2,
      job: 'j',
      stamp: 7,
      machineId: 'm',
      bootId: 'b',
      systemUUID: identity('netplan').systemUUID,
    });
    expect(record.trailers).toContainEqual(['Duration', '1.50s']);
    for (const key of ['leftOut', 'record', 'baseline', 'differences', 'request', 'by'])
      expect(record).not.toHaveProperty(key);
  });

  test('what a run left out, found and kept on record', async () => {
    const found = [
      { mac: mac('02:00:00:00:00:01'), name: 'multinic0' },
      { mac: mac('02:00:00:00:00:02'), name: 'multinic1', netplanId: 'eth1' },
    ];
    const lists = { leftOut: [found[0]!.mac], missing: [found[1]!.mac], found };
    expect(await ended({ ...lists, record: oid('r') })).toMatchObject({ ...lists, record: oid('r') });
    expect((await ended({ record: null })).record).toBeNull();
  });

  test('an outcome that is lost has the IDs of the inventory', async () => {
    const lost = await ended(undefined, { machineId: 'inventory', message: 'no answer' });
    expect(lost).toMatchObject({
      result: 'Unknown',
      reason: 'OutcomeLost',
      machineId: 'inventory',
      message: 'no answer',
    });
    expect(lost.trailers.map(([key]) => key)).not.toContain('Duration');
  });

  test.each(['Applied', 'Pending'] as const)(
    '%s is a baseline, if the host has the files',
    async (result) => {
      expect(await ended({ result })).toMatchObject({ result, baseline: true });
      const other = await ended({ result, tree: oid('other') });
      expect([other.result, other.reason, other.baseline]).toEqual(['Unknown', 'TreeMismatch', undefined]);
    },
  );
});

test('a request reads back with its job, and the first one makes the branch', () => {
  const batch = new Batch();
  const by = { name: 'Alice', email: 'alice@example.org' };
  recordRequest(batch, TIP, { node: 'w', request: 'retry', by, principal: 'alice', job: 'j', stamp: 7 });
  expect(read(batch)).toMatchObject({
    result: 'Requested',
    request: 'retry',
    by: 'alice',
    job: 'j',
    stamp: 7,
  });
  expect(batch.moves[0]!.from).toBe(TIP);
  const first = new Batch();
  recordRequest(first, undefined, { node: 'w', request: 'pause', by, principal: 'alice' });
  expect(first.commits).toHaveLength(2);
  expect(first.moves).toMatchObject([{ to: { mark: 2 }, from: null }]);
  expect(read(first)).not.toHaveProperty('stamp');
});
