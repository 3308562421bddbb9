import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Store } from '../src/store/store.ts';
import { expectWhole, killServers, prepare, receivePack, startProcess } from './support/http-crash.ts';
import { commitFile, git, NODE_REF, remoteUrl, TOKENS } from './support/http.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-crash-'));
});
afterEach(async () => {
  killServers();
  await rm(folder, { recursive: true, force: true });
});

test('a suspended controller loses the store in time, and its push is refused when it resumes', async () => {
  const { dir, copy, old } = await prepare(folder);
  const { child, url } = await startProcess(dir);
  await commitFile(copy, 'etc/mtu', '1600\n', 'stop the server');
  const pushed = git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1');
  await waitFor(() => receivePack(dir));
  // The hook gives up after a minute; then the new controller has the lock, within its wait.
  const store = await Store.open(dir, { waitSeconds: 90 });
  try {
    expect(await store.reader.ref(NODE_REF)).toBe(old);
    process.kill(child.pid ?? 0, 'SIGCONT');
    const { code, stderr } = await pushed;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/remote: multinic: .*push again/);
    expect(await store.reader.ref(NODE_REF)).toBe(old);
    expect(await store.reader.ref('refs/audit/pushes')).toBeUndefined();
    await store.fsck();
  } finally {
    await store.close();
  }
});

// Random instants find faults between the named ones. The seed is fixed, and the delays depend on the machine.
const ROUNDS = 40;
test.each(['the server', 'git'])(`${ROUNDS} kills of %s at any instant of a push`, async (victim) => {
  const { dir, copy, old } = await prepare(folder);
  let tip = old;
  const seen = { old: 0, new: 0 };
  let seed = 20250121;
  for (let round = 0; round < ROUNDS; round += 1) {
    seed = (seed * 48271) % 2147483647;
    const { child, url } = await startProcess(dir);
    const exited = once(child, 'exit');
    const next = await commitFile(copy, 'etc/mtu', `${round}\n`, `round ${round}`);
    const pushed = git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1');
    // A push may end before its receive-pack is found: then this round kills nothing.
    const pid = victim === 'git' ? await waitFor(() => receivePack(dir)).catch(() => undefined) : child.pid;
    await new Promise((resolve) => setTimeout(resolve, seed % (victim === 'git' ? 60 : 250)));
    if (pid !== undefined) kill(pid);
    const { code } = await pushed;
    if (victim === 'git') killServers();
    const [, signal] = (await exited) as [unknown, string];
    expect(signal).toBe('SIGKILL');
    const store = await Store.open(dir, { waitSeconds: 5 });
    const now = await store.reader.ref(NODE_REF);
    await store.close();
    // Each accepted push is on the branch; a push without an answer may be.
    expect(code === 0 ? [next] : [tip, next]).toContain(now);
    seen[now === next ? 'new' : 'old'] += 1;
    tip = await expectWhole(dir, copy, [tip, next]);
    await git(copy, 'fetch', '-q', dir, 'node/worker-1');
    tip = next;
  }
  expect(Math.min(seen.old, seen.new)).toBeGreaterThan(0);
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process ended by itself.
  }
}

async function waitFor<T>(find: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await find();
    } catch (error) {
      if (tries === 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
