import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Reader } from '../src/store/port.ts';
import { Store } from '../src/store/store.ts';
import {
  commitFile,
  fillStore,
  git,
  NODE_REF,
  remoteUrl,
  serveStore,
  subjectPolicy,
  TOKENS,
} from './support/http.ts';

let folder: string;
let children: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-crash-'));
  children = [];
});
afterEach(async () => {
  // The group: strace leaves the server that it follows alive.
  for (const { pid } of children) if (pid !== undefined) killGroup(pid);
  await rm(folder, { recursive: true, force: true });
});

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already, as most tests want it to be.
  }
}

interface ServerProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly landed: string[];
}

async function startProcess(
  dir: string,
  env: Record<string, string> = {},
  wrapper: string[] = [],
): Promise<ServerProcess> {
  const [file = '', ...args] = [
    ...wrapper,
    process.execPath,
    join(import.meta.dirname, 'support/http-server.ts'),
    dir,
  ];
  const child = spawn(file, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  children.push(child);
  const landed: string[] = [];
  const lines = createInterface({ input: child.stdout });
  const [url] = (await once(lines, 'line')) as [string];
  lines.on('line', (line) => landed.push(line.replace('landed ', '')));
  return { child, url, landed };
}

/** A store on disk, a copy of its first node's branch, and a commit to push. */
async function prepare(): Promise<{ dir: string; copy: string; old: string; next: string }> {
  const dir = join(folder, 'store.git');
  const store = await Store.open(dir);
  await fillStore(store);
  const old = (await store.reader.ref(NODE_REF)) ?? '';
  await store.close();
  const copy = join(folder, 'copy');
  await git(folder, 'clone', '-q', '-b', 'node/worker-1', dir, copy);
  return { dir, copy, old, next: await commitFile(copy, 'etc/mtu', '9000\n', 'worker-1: MTU 9000') };
}

/** After whatever happened: a controller that starts finds a whole store, and the push can be made again. */
async function expectWhole(dir: string, copy: string, tips: readonly string[]): Promise<string> {
  const store = await Store.open(dir, { waitSeconds: 5 });
  try {
    await store.fsck();
    const tip = (await store.reader.ref(NODE_REF)) ?? '';
    expect(tips).toContain(tip);
    expect((await readdir(join(dir, 'objects'))).filter((name) => name.length > 4)).toEqual([]);
    expect(await leftovers(dir)).toEqual([]);
    const server = await serveStore(store);
    const { stderr } = await git(copy, 'push', remoteUrl(server.url, TOKENS.write), 'node/worker-1');
    expect(stderr).toMatch(/node\/worker-1 -> node\/worker-1|Everything up-to-date/);
    await server.close();
    await store.fsck();
    return tip;
  } finally {
    await store.close();
  }
}

async function leftovers(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  return names.filter((name) => /\.lock$|tmp_|multinic-spool-/.test(name) && name !== 'multinic.lock');
}

test.each([
  ['push.admitted', 'old'],
  ['push.recorded', 'old'],
  ['push.prepared', 'old'],
  ['push.ended', 'new'],
  ['push.durable', 'new'],
])('the server killed at %s: the branch is at its %s tip', async (instant, where) => {
  const { dir, copy, old, next } = await prepare();
  const { child, url } = await startProcess(dir, { MULTINIC_KILL_AT: instant });
  const pushed = git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1');
  const [, signal] = (await once(child, 'exit')) as [unknown, string];
  expect(signal).toBe('SIGKILL');
  expect((await pushed).code).not.toBe(0);
  expect(await expectWhole(dir, copy, [old, next])).toBe(where === 'old' ? old : next);
});

/** The receive-pack of this store, and nobody else's. */
async function receivePack(dir: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const [program = '', command] = line.split('\0');
    if (program.endsWith('git') && command === 'receive-pack' && line.includes(dir)) return Number(pid);
  }
  throw new Error('no receive-pack runs');
}

test.each(['while the push is judged', 'with the branches locked'])('git killed %s', async (when) => {
  const { dir, copy, old, next } = await prepare();
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
  const { dir, copy, old, next } = await prepare();
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
  const { dir, copy, old } = await prepare();
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
  const { dir, copy, next } = await prepare();
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
