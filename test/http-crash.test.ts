import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Reader } from '../src/store/port.ts';
import { Store } from '../src/store/store.ts';
import {
  expectWhole,
  killServers,
  leftovers,
  prepare,
  receivePack,
  startProcess,
} from './support/http-crash.ts';
import { git, NODE_REF, remoteUrl, serveStore, subjectPolicy, TOKENS } from './support/http.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-crash-'));
});
afterEach(async () => {
  killServers();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ['push.admitted', 'old'],
  ['push.recorded', 'old'],
  ['push.prepared', 'old'],
  ['push.ended', 'new'],
  ['push.durable', 'new'],
])('the server killed at %s: the branch is at its %s tip', async (instant, where) => {
  const { dir, copy, old, next } = await prepare(folder);
  const { child, url } = await startProcess(dir, { MULTINIC_KILL_AT: instant });
  const pushed = git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1');
  const [, signal] = (await once(child, 'exit')) as [unknown, string];
  expect(signal).toBe('SIGKILL');
  expect((await pushed).code).not.toBe(0);
  expect(await expectWhole(dir, copy, [old, next])).toBe(where === 'old' ? old : next);
});

test.each(['while the push is judged', 'with the branches locked'])('git killed %s', async (when) => {
  const { dir, copy, old, next } = await prepare(folder);
  const store = await Store.open(dir);
  let killed = 0;
  const kill = async (): Promise<void> => {
    if (killed !== 0) return;
    killed = await receivePack(dir);
    process.kill(killed, 'SIGKILL');
  };
  // The last gate asks who the writer is, while git holds the locks of the branches.
  const reader: Reader = Object.create(store.reader, {
    ref: {
      value: async (name: string) => {
        if (name === 'refs/meta/writer' && when !== 'while the push is judged') await kill();
        return store.reader.ref(name);
      },
    },
  }) as Reader;
  const server = await serveStore(store, {
    reader,
    policy: {
      check: async (push, objects) => {
        if (when === 'while the push is judged') await kill();
        await subjectPolicy.check(push, objects);
      },
    },
  });
  try {
    const remote = remoteUrl(server.url, TOKENS.write);
    const first = await git(copy, 'push', remote, 'node/worker-1');
    expect(killed).toBeGreaterThan(0);
    expect(first.code).not.toBe(0);
    expect(first.stderr).toMatch(/remote: multinic: .*push again/);
    expect(await store.reader.ref(NODE_REF)).toBe(old);
    expect(await leftovers(dir)).toEqual([]);
    // No restart: the same server takes the push when it is made again.
    expect((await git(copy, 'push', remote, 'node/worker-1')).code).toBe(0);
    expect(await store.reader.ref(NODE_REF)).toBe(next);
  } finally {
    await server.close();
    await store.close();
  }
  await expectWhole(dir, copy, [next]);
});

test('a controller that has been replaced takes no push, and the new one does', async () => {
  const { dir, copy, old, next } = await prepare(folder);
  const deposed = await Store.open(dir);
  const before = await serveStore(deposed);
  const store = await Store.open(dir);
  const after = await serveStore(store);
  try {
    const refused = await git(copy, 'push', remoteUrl(before.url, TOKENS.write), 'node/worker-1');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/remote: multinic: refused node\/worker-1 \(Fenced\)/);
    expect(await store.reader.ref(NODE_REF)).toBe(old);
    expect((await git(copy, 'push', remoteUrl(after.url, TOKENS.write), 'node/worker-1')).code).toBe(0);
    expect(await store.reader.ref(NODE_REF)).toBe(next);
  } finally {
    await before.close();
    await after.close();
    await deposed.close();
    await store.close();
  }
});

test('the fence is looked at again when the branches are locked', async () => {
  const { dir, copy, old } = await prepare(folder);
  const store = await Store.open(dir);
  // As on a file system whose locks do not reach the other machine: the writer changes after the push is on record.
  const reader: Reader = Object.create(store.reader, {
    ref: {
      value: (name: string) =>
        name === 'refs/meta/writer' ? Promise.resolve('0'.repeat(40)) : store.reader.ref(name),
    },
  }) as Reader;
  const server = await serveStore(store, { reader });
  try {
    const { stderr } = await git(copy, 'push', remoteUrl(server.url, TOKENS.write), 'node/worker-1');
    expect(stderr).toContain('(Fenced): another controller has taken over this store: push again');
    expect(await store.reader.ref(NODE_REF)).toBe(old);
    expect(await leftovers(dir)).toEqual([]);
  } finally {
    await server.close();
    await store.close();
  }
});

test('the order on disk: objects, then what names them; all of it before the answer', async () => {
  const { dir, copy, next } = await prepare(folder);
  const trace = join(folder, 'trace');
  const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat';
  const { url } = await startProcess(dir, {}, ['strace', '-f', '-y', '-qq', '-e', calls, '-o', trace]);
  const from = (await readFile(trace, 'utf8')).length;
  expect((await git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1')).code).toBe(0);
  const lines = (await readFile(trace, 'utf8')).slice(from).split('\n');
  const at = (pattern: RegExp, after = 0): number =>
    lines.findIndex((line, index) => index >= after && pattern.test(line));
  const fan = `objects/${next.slice(0, 2)}`;
  const objectSynced = at(/fsync\(\d+<[^>]*tmp_objdir[^>]*>/);
  const objectNamed = at(new RegExp(`(rename|link)\\w*\\(.*${fan}/${next.slice(2)}`));
  const folderSynced = at(new RegExp(`fsync\\(\\d+<[^>]*${fan}>`), objectNamed);
  const refSynced = at(/fsync\(\d+<[^>]*node\/worker-1\.lock>/);
  const refNamed = at(/rename\w*\(.*node\/worker-1\.lock/);
  const refFolderSynced = at(/fsync\(\d+<[^>]*refs\/heads\/node>/, refNamed);
  expect([objectSynced, objectNamed, folderSynced, refNamed, refFolderSynced]).toEqual(
    [objectSynced, objectNamed, folderSynced, refNamed, refFolderSynced].sort((a, b) => a - b),
  );
  expect(Math.min(objectSynced, objectNamed, folderSynced, refSynced)).toBeGreaterThanOrEqual(0);
  expect(refSynced).toBeLessThan(refNamed);
});
