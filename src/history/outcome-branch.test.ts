import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { identity } from '../../test/support/agent.ts';
import { renderTree, treeId } from '../network/tree.ts';
import { Batch } from '../store/model/batch.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import { Outcomes, recordOutcome } from './outcome-branch.ts';

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
