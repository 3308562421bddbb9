import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import type { Commit, LogOptions, Oid, Reader } from '../store/model/store-port.ts';
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

/** A store that has nothing but two branches, newest first. */
function readerOf(desired: Commit[], outcomes: Commit[]): Reader {
  const branches = new Map([
    [nodeRef('w'), desired],
    [outcomeRef('w'), outcomes],
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
