// A change of one CR is one write: main's commit and the branches' commits that name it, in one batch.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAIN, MIRRORED } from '../src/history/refs.ts';
import { nodeRef } from '../src/network/node-ref.ts';
import { Batch } from '../src/store/model/batch.ts';
import type { Mark, Oid } from '../src/store/model/store-port.ts';
import { Store } from '../src/store/store.ts';
import { changedFleet, refValues, subjects } from './support/changed-fleet.ts';
import { Fleet } from './support/fleet.ts';

const AUTHOR = { name: 'viola', email: 'viola@example.org' };

describe('a change of one CR', () => {
  test('is written at once: each branch names main, and is not older', async () => {
    await using fleet = await changedFleet();
    const before = await refValues(fleet);
    const { main } = await fleet.pass();
    const after = await refValues(fleet);
    expect(after.get(MAIN)).toBe(main.commit);
    for (const node of ['a', 'b', 'c']) {
      const format = '--format=%(trailers:key=Main-Commit,valueonly,separator=) %ct %an';
      expect(await fleet.git(['log', '-1', format, `node/${node}`])).toBe(
        `${main.commit} ${fleet.now / 1000} VIOLA`,
      );
    }
    // The cursor follows with the next commit of main, and names the commit that all branches reflect.
    expect(after.get(MIRRORED)).toBe(before.get(MAIN));
    expect((await fleet.pass()).main.commit).toBe(main.commit);
  });

  test('that one node moved away from meanwhile is decided anew for that node', async () => {
    await using fleet = await changedFleet();
    const file = 'etc/netplan/90-multinic0.yaml';
    const text = await fleet.git(['show', `node/b:${file}`]);
    // The push moves the ref behind the back of this process.
    const { tip } = await fleet.branch('b');
    const tree = await fleet.tree('b', { [file]: text.replace('mtu: 1500', 'mtu: 1300') });
    const commit = await fleet.git(['commit-tree', tree, '-p', tip.oid, '-m', 'a smaller MTU']);
    await fleet.git(['update-ref', nodeRef('b'), commit, tip.oid]);
    const report = await fleet.pass();
    expect([...report.problems.keys()]).toEqual([]);
    expect(await subjects(fleet, 'node/b')).toHaveLength(4);
    expect([await fleet.mtu('a'), await fleet.mtu('b'), await fleet.mtu('c')]).toEqual([1400, 1450, 1500]);
  });

  test('that takes the last NIC of a node is judged by the guard', async () => {
    await using fleet = await Fleet.open(['a', 'b', 'c']);
    fleet.want('cr', { a: 1500, b: 1500, c: 1500 });
    await fleet.pass();
    fleet.want('cr', { c: 1500 });
    const report = await fleet.pass();
    expect([...report.stopped].toSorted()).toEqual(['a', 'b']);
    expect([await fleet.mtu('a'), await fleet.mtu('b')]).toEqual([1500, 1500]);
  });
});

describe('the id of a commit that is not written yet', () => {
  const name = fc.constantFrom('a', 'b', 'a.b', 'a-b', 'ab', 'ä');
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  /** Paths of which none is a folder of another, as a file tree has them. */
  const files = fc
    .array(fc.tuple(path, fc.option(fc.string({ unit: 'grapheme' }))), { minLength: 1, maxLength: 6 })
    .map((entries) => new Map(entries))
    .filter((entries) =>
      [...entries.keys()].every((one) => ![...entries.keys()].some((other) => other.startsWith(`${one}/`))),
    );

  test('is the id that git gives, for files and folders that come and go', { timeout: 120_000 }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-predicted-'));
    const store = await Store.open(join(dir, 'store.git'));
    try {
      let tip: Oid | null = null;
      const property = fc.asyncProperty(files, fc.boolean(), async (changes, replace) => {
        const batch = new Batch();
        const commit: Mark = batch.commit({
          parents: tip === null ? [] : [tip],
          files: changes,
          replace,
          author: AUTHOR,
          subject: 'ä change',
          body: 'of files\n\nand folders',
          trailers: [['Key', 'value']],
        });
        const fields = { parents: [], files: new Map(), author: AUTHOR, subject: 'names it' };
        const naming = batch.commit({ ...fields, trailers: [['Main-Commit', commit]], notBefore: commit });
        batch.move('refs/heads/one', commit, tip);
        batch.move('refs/heads/other', naming, (await store.reader.ref('refs/heads/other')) ?? null);
        const [written, named] = await store.write(batch);
        expect((await store.reader.commit(named!)).trailers).toEqual([['Main-Commit', written]]);
        tip = written!;
      });
      await fc.assert(property, { numRuns: 60 });
    } finally {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    }
  });
});
