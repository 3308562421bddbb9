// Servers in processes of their own, which a test kills in the middle of a push, and the checks afterwards.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { expect } from 'vitest';
import { Store } from '../../src/store/store.ts';
import { commitFile, fillStore, git, NODE_REF, remoteUrl, serveStore, TOKENS } from './http.ts';

const children: ChildProcess[] = [];

/** Kills the process group of every started server, because strace alone would leave the server alive. */
export function killServers(): void {
  for (const { pid } of children.splice(0)) if (pid !== undefined) killGroup(pid);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The process has ended already, as in most tests.
  }
}

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly url: string;
  readonly landed: string[];
}

export async function startProcess(
  dir: string,
  env: Record<string, string> = {},
  wrapper: string[] = [],
): Promise<ServerProcess> {
  const [file = '', ...args] = [
    ...wrapper,
    process.execPath,
    join(import.meta.dirname, 'http-server.ts'),
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
export async function prepare(
  folder: string,
): Promise<{ dir: string; copy: string; old: string; next: string }> {
  const dir = join(folder, 'store.git');
  const store = await Store.open(dir);
  await fillStore(store);
  const old = (await store.reader.ref(NODE_REF)) ?? '';
  await store.close();
  const copy = join(folder, 'copy');
  await git(folder, 'clone', '-q', '-b', 'node/worker-1', dir, copy);
  return { dir, copy, old, next: await commitFile(copy, 'etc/mtu', '9000\n', 'worker-1: MTU 9000') };
}

/** Checks that a new controller finds a whole store, and that the push can be made again. */
export async function expectWhole(dir: string, copy: string, tips: readonly string[]): Promise<string> {
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

export async function leftovers(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  return names.filter((name) => /\.lock$|tmp_|multinic-spool-/.test(name) && name !== 'multinic.lock');
}

/** The process of receive-pack on this store. */
export async function receivePack(dir: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const [program = '', command] = line.split('\0');
    if (program.endsWith('git') && command === 'receive-pack' && line.includes(dir)) return Number(pid);
  }
  throw new Error('no receive-pack runs');
}
