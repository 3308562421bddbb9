import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { backup, restore } from '../src/store/care/backup.ts';
import { openReader } from '../src/store/reader.ts';
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

test.each(['while the push is judged', 'with the branches locked'])(
  'git killed %s: the push fails, and the next one is accepted',
  async (when) => {
    const { dir, copy, old, next } = await prepare(folder);
    const store = await Store.open(dir);
    let killed = 0;
    const kill = async (): Promise<void> => {
      if (killed !== 0) return;
      killed = await receivePack(dir);
      process.kill(killed, 'SIGKILL');
    };
    // The last gate has the objects on disk, while git holds the locks of the branches.
    if (when !== 'while the push is judged') vi.spyOn(store, 'syncRefs').mockImplementationOnce(kill);
    const server = await serveStore(store, {
      policy: {
        ...subjectPolicy,
        check: async (push, objects) => {
          if (when === 'while the push is judged') await kill();
          return subjectPolicy.check(push, objects);
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
      // The same server, without a restart, accepts the push when it is repeated.
      expect((await git(copy, 'push', remote, 'node/worker-1')).code).toBe(0);
      expect(await store.reader.ref(NODE_REF)).toBe(next);
    } finally {
      await server.close();
      await store.close();
    }
    await expectWhole(dir, copy, [next]);
  },
);

test('a replaced controller refuses pushes, and the new controller accepts them', async () => {
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

test('the fence is read again after the branches are locked', async () => {
  const { dir, copy, old } = await prepare(folder);
  const store = await Store.open(dir);
  // The writer changes after the push is on record, as on a file system whose locks do not reach other machines.
  vi.spyOn(store, 'syncRefs').mockImplementationOnce(async () => {
    await git(dir, 'update-ref', 'refs/meta/writer', old);
  });
  const server = await serveStore(store);
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

test.each([
  ['before it came', 0],
  ['after it was let in', 1],
])('a push into a store that was restored %s is refused', async (_, letIn) => {
  const { dir, copy, old } = await prepare(folder);
  const store = await Store.open(dir);
  const check = vi.fn(subjectPolicy.check);
  const server = await serveStore(store, { policy: { ...subjectPolicy, check } });
  await backup(dir, join(folder, 'store.bundle'));
  await restore(join(folder, 'store.bundle'), dir, { force: true });
  for (let time = 0; time < letIn; time += 1) vi.spyOn(store, 'expectFence').mockResolvedValueOnce();
  const restored = openReader(dir);
  try {
    const { code, stderr } = await git(copy, 'push', remoteUrl(server.url, TOKENS.write), 'node/worker-1');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/remote: multinic: refused node\/worker-1 \(Fenced\): .*push again/);
    expect(check).toHaveBeenCalledTimes(letIn);
    expect(await restored.ref(NODE_REF)).toBe(old);
    expect(await restored.ref('refs/audit/pushes')).toBeUndefined();
  } finally {
    await restored.close();
    await server.close();
    await store.close();
  }
});
