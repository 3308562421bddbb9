import { expect, test } from 'vitest';
import { CONTROLLER } from '../store/model/committer.ts';
import { AUDIT_REF } from '../store/model/store-refs.ts';
import type { Commit, Reader } from '../store/model/store-port.ts';
import { searchHistory } from './main-history.ts';
import { MAIN } from './refs.ts';

const oid = (branch: string, index: number): string => `${branch}${String(index).padStart(39, '0')}`;

/** A branch of a number of commits, the newest first; commit N is of second N. */
function branch(letter: string, count: number, trailersOf: (index: number) => [string, string][]): Commit[] {
  return Array.from({ length: count }, (_, back) => {
    const index = count - 1 - back;
    return {
      oid: oid(letter, index),
      parents: index === 0 ? [] : [oid(letter, index - 1)],
      author: { name: `author-${index % 10}`, email: 'person@example.org' },
      committer: { ...CONTROLLER, time: index },
      subject: `commit ${index}`,
      trailers: trailersOf(index),
    } as unknown as Commit;
  });
}

/** @returns a reader of both branches, and the number of commits that were read */
function readerOf(
  main: readonly Commit[],
  audit: readonly Commit[] = [],
): { reader: Reader; read: () => number } {
  let read = 0;
  const tips = new Map([
    [MAIN, main[0]?.oid],
    [AUDIT_REF, audit[0]?.oid],
  ]);
  const log: Reader['log'] = async (from, { limit } = {}) => {
    const all = [main, audit].find((commits) => commits.some((each) => each.oid === from)) ?? [];
    const at = all.findIndex((each) => each.oid === from);
    const page = all.slice(at, at + (limit ?? Infinity));
    read += page.length;
    return page;
  };
  return { reader: { ref: async (name: string) => tips.get(name), log } as Reader, read: () => read };
}

const changes = (count: number): Commit[] =>
  branch('a', count, () => [['MultiNicBizConfig', 'group/namespace/name']]);
const push = (nodes: number): [string, string][] => [
  ['Principal', 'alice'],
  ...Array.from({ length: nodes }, (_, index): [string, string][] => [
    ['Ref', `refs/heads/node/worker-${index}`],
    ['Old', oid('c', index)],
    ['New', oid('d', index)],
  ]).flat(),
];

test('the first push is there, and the first commit of main is not, because it is empty', async () => {
  const { reader } = readerOf(
    changes(2),
    branch('b', 1, () => push(1)),
  );
  const { entries, searchedTo } = await searchHistory(reader, { limit: 10 });
  expect(entries).toMatchObject([
    { kind: 'change', commit: oid('a', 1), config: 'group/namespace/name' },
    { kind: 'push', commit: oid('b', 0), principal: 'alice', nodes: ['worker-0'], nodeCount: 1 },
  ]);
  expect(searchedTo).toBeUndefined();
});

test('the newest entries are shown, and the time says how far back they go', async () => {
  const { reader, read } = readerOf(
    changes(1_000),
    branch('b', 500, () => push(1)),
  );
  const { entries, searchedTo } = await searchHistory(reader, { limit: 20 });
  expect(entries).toHaveLength(20);
  expect(entries[0]).toMatchObject({ commit: oid('a', 999) });
  expect(searchedTo).toBe(980);
  expect(read()).toBe(200);
});

test('a search for an author ends with the newest two thousand commits, and says so', async () => {
  const { reader, read } = readerOf(changes(5_000));
  const { entries, searchedTo } = await searchHistory(reader, { limit: 1_000, author: 'AUTHOR-3' });
  expect(entries).toHaveLength(200);
  expect(searchedTo).toBe(3_000);
  expect(read()).toBe(2_000);
});

test('a search of a span reads no commit before it', async () => {
  const { reader, read } = readerOf(changes(5_000));
  const { entries, searchedTo } = await searchHistory(reader, { limit: 100, since: 4_950, until: 4_960 });
  expect(entries.map(({ time }) => time)).toEqual([
    4_960, 4_959, 4_958, 4_957, 4_956, 4_955, 4_954, 4_953, 4_952, 4_951, 4_950,
  ]);
  expect(searchedTo).toBeUndefined();
  expect(read()).toBe(100);
});

test('a push of many branches names some of them, and the number of all', async () => {
  const { reader } = readerOf(
    [],
    branch('b', 1, () => push(100)),
  );
  const [entry] = (await searchHistory(reader, { limit: 10 })).entries;
  expect(entry?.nodes).toHaveLength(20);
  expect(entry?.nodeCount).toBe(100);
});

test('a filter by CR has changes of that CR alone, and no push', async () => {
  const { reader } = readerOf(
    branch('a', 5, (index) => [['MultiNicBizConfig', index % 2 === 0 ? 'g/n/even' : 'g/n/odd']]),
    branch('b', 3, () => push(1)),
  );
  const { entries } = await searchHistory(reader, { limit: 10, config: 'g/n/even' });
  expect(entries.map(({ commit }) => commit)).toEqual([oid('a', 4), oid('a', 2)]);
});

test('a search ends at its limit: with as many entries as there are, nothing is left', async () => {
  const three = readerOf(changes(4)).reader;
  expect(await searchHistory(three, { limit: 3 })).not.toHaveProperty('searchedTo');
  expect(await searchHistory(three, { limit: 2 })).toMatchObject({
    entries: [{ time: 3 }, { time: 2 }],
    searchedTo: 2,
  });
  // Each branch is read up to the limit. The newest entry that is left out gives the time down to which all is
  // searched.
  const { reader } = readerOf(
    changes(3),
    branch('b', 2, () => push(1)),
  );
  expect((await searchHistory(reader, { limit: 2 })).searchedTo).toBeDefined();
});

test('the account of a command counts as its author, and the controller has its name alone', async () => {
  const { reader } = readerOf(
    branch('a', 3, (index) =>
      index === 1
        ? [
            ['By', 'operator-7'],
            ['Confirms', oid('a', 0)],
          ]
        : [],
    ),
  );
  const { entries } = await searchHistory(reader, { limit: 10, author: 'Operator-7' });
  expect(entries).toMatchObject([{ kind: 'confirm', time: 1, principal: 'operator-7' }]);
  expect(entries[0]?.author).toBe('author-1 <person@example.org>');
});
