import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Store } from '../src/store/store.ts';
import { BULK_CREATIONS } from '../src/store/git/transaction.ts';
import { acknowledged, expectRecovered, inFolder, leftovers, startWriter } from './support/store-crash.ts';
import { codeOf } from './support/store-values.ts';
import { Batch } from '../src/store/model/batch.ts';

// Each checkpoint of a write, and whether the refs have moved by then. `#4`: opening the store and creating main pass the first three.
const CHECKPOINTS = [
  ['store.import#4', false],
  ['store.imported#4', false],
  ['store.transaction#4', false],
  ['store.moved#4', true],
  ['store.durable#4', true],
] as const;

test.each(CHECKPOINTS)('a writer killed at %s leaves all refs old or all new', async (checkpoint, moved) => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const writer = startWriter(dir, 100, { MULTINIC_KILL_AT: checkpoint });
    expect(await writer.end).toEqual({ code: null, signal: 'SIGKILL' });
    const last = acknowledged(writer);
    expect(last).toBe(2);
    const values = await expectRecovered(dir, last);
    expect(new Set(values)).toEqual(new Set([moved ? last + 1 : last]));
  });
});

test('a process killed while it takes over leaves the store as it was', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const first = startWriter(dir, 2);
    expect(await first.end).toEqual({ code: 0, signal: null });
    const second = startWriter(dir, 2, { MULTINIC_KILL_AT: 'store.takeover' });
    expect(await second.end).toEqual({ code: null, signal: 'SIGKILL' });
    expect(second.lines).toEqual([]);
    expect(new Set(await expectRecovered(dir, 2))).toEqual(new Set([2]));
  });
});

test('a writer killed at any time loses nothing that it acknowledged, while its git goes on', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    for (const delay of [0, 3, 7, 12, 18]) {
      const before = startWriter(dir, 1_000_000);
      const base = await before.line(({ event }) => event === 'acknowledged');
      await new Promise((resolve) => setTimeout(resolve, delay));
      before.process.kill('SIGKILL');
      expect((await before.end).signal).toBe('SIGKILL');
      expect(acknowledged(before)).toBeGreaterThanOrEqual(base.value);
      await expectRecovered(dir, acknowledged(before));
    }
  });
});

test('a suspended writer that resumes after another took over is fenced and moves nothing', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const old = startWriter(dir, 1_000_000);
    await old.line(({ event }) => event === 'acknowledged');
    old.process.kill('SIGSTOP');
    const store = await Store.open(dir);
    try {
      const before = await store.reader.refs('refs/');
      old.process.kill('SIGCONT');
      expect(await old.end).toEqual({ code: 3, signal: null });
      expect(old.lines.at(-1)).toEqual({ event: 'fenced' });
      expect(await store.reader.refs('refs/')).toEqual(before);
    } finally {
      await store.close();
    }
  });
});

test('many new branches, killed between the transaction and the one rename that creates them', async () => {
  await inFolder(async (folder) => {
    const path = process.env['PATH'] ?? '';
    const bin = join(folder, 'bin');
    const armed = join(folder, 'armed');
    await mkdir(bin);
    await writeFile(
      join(bin, 'mv'),
      `#!/bin/sh\n[ -e '${armed}' ] && rm '${armed}' && kill -KILL $PPID && exit\nPATH='${path}' exec mv "$@"\n`,
      { mode: 0o755 },
    );
    const store = await Store.open(join(folder, 'store.git'));
    const writeAll = async (subject: string): Promise<void> => {
      const main = (await store.reader.ref('refs/heads/main'))!;
      const batch = new Batch();
      const author = { name: 'a', email: 'a@example.org' };
      batch.move(
        'refs/heads/main',
        batch.commit({ parents: [main], files: new Map(), author, subject, trailers: [] }),
        main,
      );
      for (let node = 0; node < BULK_CREATIONS; node += 1) {
        const birth = batch.commit({
          parents: [],
          files: new Map(),
          author,
          subject: `${node}`,
          trailers: [],
        });
        batch.move(`refs/heads/node/worker-${node}`, birth, null);
      }
      await store.write(batch);
    };
    try {
      process.env['PATH'] = `${bin}:${path}`;
      await writeFile(armed, '');
      expect(await writeAll('first').catch(codeOf)).toBe('LostRace');
      expect((await store.reader.refs('refs/heads/node/')).size).toBe(0);
      expect(await leftovers(store.dir)).toContain('packed-refs.lock');
      await writeAll('second');
      expect((await store.reader.refs('refs/heads/node/')).size).toBe(BULK_CREATIONS);
      expect(await leftovers(store.dir)).toEqual([]);
      const tip = (await store.reader.ref('refs/heads/main'))!;
      expect((await store.reader.log(tip, { limit: 2 })).map(({ subject }) => subject)).toEqual([
        'second',
        'first',
      ]);
      await store.fsck();
    } finally {
      process.env['PATH'] = path;
      await store.close();
    }
  });
});

test('of two stores on one folder, the older is fenced at its next write', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    let fenced = 0;
    const old = await Store.open(dir, { onFenced: () => (fenced += 1) });
    await old.expectFence();
    const store = await Store.open(dir);
    const before = await store.reader.refs('refs/');
    const batch = new Batch();
    const commit = batch.commit({
      parents: [],
      files: new Map([['a', 'a']]),
      author: { name: 'a', email: 'a@example.org' },
      subject: 'from the one that was replaced',
      trailers: [],
    });
    batch.move('refs/heads/node/a', commit, null);
    for (const attempt of [1, 2]) {
      expect([attempt, await old.write(batch).catch(codeOf)]).toEqual([attempt, 'Fenced']);
    }
    expect(await old.expectFence().catch(codeOf)).toBe('Fenced');
    expect(fenced).toBe(1);
    expect(await store.reader.refs('refs/')).toEqual(before);
    await store.write(batch);
    await old.close();
    await store.close();
  });
});
