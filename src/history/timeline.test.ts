import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import type { Commit, LogOptions, Oid, Reader } from '../store/model/store-port.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import { outcomeRef } from './refs.ts';
import { timeline } from './timeline.ts';
import { nodeRef } from '../network/node-ref.ts';

function commit(name: string, time: number, parents: string[], result?: string): Commit {
  const person = { name: 'Alice', email: 'alice@example.org', time };
  return {
    oid: oid(name),
    tree: oid('tree'),
    parents: parents.map(oid),
    author: person,
    committer: person,
    subject: name,
    body: '',
    trailers:
      result === undefined
        ? []
        : [['Result', result], ...(result === 'Requested' ? [['Request', 'retry'] as const] : [])],
  };
}

/** A store that has nothing but two branches and the audit of pushes, newest first. */
function readerOf(desired: Commit[], outcomes: Commit[], pushes: Commit[] = []): Reader {
  const branches = new Map([
    [nodeRef('w'), desired],
    [outcomeRef('w'), outcomes],
    [AUDIT_REF, pushes],
  ]);
  const all = new Map([...branches.values()].map((commits) => [commits[0]?.oid, commits]));
  return {
    ref: async (name: string) => branches.get(name)?.[0]?.oid,
    log: async (from: Oid, { limit }: LogOptions = {}) => all.get(from)!.slice(0, limit),
  } as unknown as Reader;
}

const subjects = async (reader: Reader, limit = 50): Promise<string[]> =>
  (await timeline(reader, 'w', limit)).map(({ subject }) => subject);

describe('a timeline', () => {
  const birth = commit('birth', 10, []);
  const first = commit('first', 10, ['birth']);
  const second = commit('second', 10, ['first']);
  const root = commit('root', 10, []);
  const ran = (name: string, time: number, tried: string): Commit =>
    commit(name, time, ['root', tried], 'Applied');

  test('puts an outcome after what it tried and before what followed, all within one second', async () => {
    const reader = readerOf(
      [second, first, birth],
      [ran('ran-second', 10, 'second'), ran('ran-first', 10, 'first'), root],
    );
    expect(await subjects(reader)).toEqual(['ran-second', 'second', 'ran-first', 'first', 'birth']);
    expect(await subjects(reader, 2)).toEqual(['ran-second', 'second']);
  });

  test('goes by time where it can: a retry long after', async () => {
    const late = commit('late', 30, ['second']);
    const asked = commit('asked', 40, ['root'], 'Requested');
    const reader = readerOf(
      [late, second, first, birth],
      [ran('again', 41, 'late'), asked, ran('ran-first', 20, 'first'), root],
    );
    expect(await subjects(reader)).toEqual([
      'again',
      'asked',
      'late',
      'ran-first',
      'second',
      'first',
      'birth',
    ]);
  });

  test('of a node that never ran, and of none', async () => {
    expect(await subjects(readerOf([first, birth], []))).toEqual(['first', 'birth']);
    await expect(timeline(readerOf([], []), 'w', 5)).rejects.toMatchObject({ code: 'NoSuchNode' });
  });
});

/** The audit record of a push to the node. */
const push = (name: string, old: string, target: string): Commit => ({
  ...commit(`push-${name}`, 10, []),
  trailers: [
    ['Principal', name],
    ['Ref', nodeRef('w')],
    ['Old', oid(old)],
    ['New', oid(target)],
  ],
});

describe('an entry of a timeline', () => {
  const trailers: Commit['trailers'] = [
    ['Change', 'spec'],
    ['Main-Commit', oid('main')],
    ['Ends-Hold', oid('held')],
    ['By', 'operator'],
  ];
  const birth = commit('birth', 10, []);
  const base = { ...commit('base', 10, ['birth']), trailers };
  const ours = { ...base, committer: { ...CONTROLLER, time: 10 } };

  test('has the trailers of the controller, and none that a person wrote', async () => {
    const [spec] = await timeline(readerOf([ours, birth], []), 'w', 5);
    expect(spec).toMatchObject({
      kind: 'spec',
      mainCommit: oid('main'),
      endsHold: oid('held'),
      principal: 'operator',
    });
    const [edit] = await timeline(readerOf([base, birth], []), 'w', 5);
    expect(edit).toMatchObject({ kind: 'edit', author: 'Alice <alice@example.org>' });
    for (const key of ['mainCommit', 'endsHold', 'principal']) expect(edit).not.toHaveProperty(key);
  });

  test.each([
    [499, 'alice'],
    [500, undefined],
  ])('has that account %i pushes later: %s', async (later, principal) => {
    const others = Array.from({ length: later }, (_, index) => push(`eve-${index}`, 'x', 'y'));
    const edit = commit('edit', 11, ['base']);
    const audit = [...others, push('alice', 'base', 'edit')];
    const [entry] = await timeline(readerOf([edit, ours], [], audit), 'w', 5);
    expect(entry?.principal).toBe(principal);
  });

  test('has the account of the push that brought it', async () => {
    const [first, second, third] = [
      commit('first', 11, ['base']),
      commit('second', 12, ['first']),
      commit('third', 13, ['second']),
    ];
    const audit = [push('bob', 'first', 'third'), push('alice', 'base', 'first'), push('eve', 'x', 'y')];
    const entries = await timeline(readerOf([third!, second!, first!, ours], [], audit), 'w', 5);
    expect(entries.map(({ subject, principal }) => `${subject} ${principal}`)).toEqual([
      'third bob',
      'second bob',
      'first alice',
      'base operator',
    ]);
  });

  test('of an outcome has its result and what was tried', async () => {
    const ran = commit('ran', 11, ['root', 'base'], 'Applied');
    const [outcome] = await timeline(readerOf([ours], [ran, commit('root', 9, [])]), 'w', 5);
    expect(outcome).toMatchObject({ kind: 'outcome', result: 'Applied', tried: oid('base') });
    for (const key of ['reason', 'message', 'principal']) expect(outcome).not.toHaveProperty(key);
    const asked = commit('asked', 11, ['root'], 'Requested');
    const [request] = await timeline(readerOf([ours], [asked, commit('root', 9, [])]), 'w', 5);
    expect(request).toMatchObject({ kind: 'request', result: 'Requested' });
    expect(request).not.toHaveProperty('tried');
  });
});
