import { spawn, type ChildProcess } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { spool } from '../git/git-command.ts';
import type { Finished } from '../git/git-command.ts';
import { gitEnvironment } from '../git/git.ts';
import { HOOK_TIMEOUT_SECONDS, PRE_RECEIVE_FD, PREPARED_FD } from '../git/hook.ts';
import { lockedCommand } from '../git/store-lock.ts';
import { notStarted } from '../http/child.ts';

/** Largest push, in bytes of pack and commands together. */
export const PUSH_LIMIT = 8 * 1024 * 1024;
const LOCK_WAIT_SECONDS = 30;
const TIMEOUT_MS = (LOCK_WAIT_SECONDS + 2 * HOOK_TIMEOUT_SECONDS) * 1000;
/**
 * Memory limit of each git that unpacks a push, because a few kilobytes may unpack to gigabytes. The limit ends such a
 * push and nothing else.
 */
const MEMORY_LIMIT = 128 * 1024 * 1024;
const KILL_AFTER_MS = 10_000;
const STDERR_KEPT = 4096;

/** Settings that a push relies on, repeated here because the repository's own configuration may have changed. */
const CONFIG: Readonly<Record<string, string>> = {
  'receive.fsckObjects': 'true',
  'receive.denyNonFastForwards': 'true',
  'receive.denyDeletes': 'true',
  'receive.autogc': 'false',
  'receive.maxInputSize': String(PUSH_LIMIT),
  // Larger files go through git piece by piece, not whole.
  'core.bigFileThreshold': '1m',
  'core.deltaBaseCacheLimit': '16m',
  'core.fsync': 'objects,derived-metadata,reference',
};

export interface ReceivePack {
  /** Server's ends of the sockets that the hooks ask on. */
  readonly preReceive: Duplex;
  readonly prepared: Duplex;
  readonly ended: Promise<Finished>;
}

/**
 * Starts receive-pack on a push under the store's shared lock, with files as input and output: git must not wait for a
 * suspended process while it holds the lock. Only a time-out ends receive-pack, not a client that leaves, and first by
 * SIGTERM, on which git removes its lock files.
 */
export async function startReceivePack(dir: string, hooks: string, push: Buffer): Promise<ReceivePack> {
  const files: FileHandle[] = [];
  try {
    for (const content of [push, undefined, undefined]) files.push(await spool(dir, content));
    return await start(dir, hooks, files);
  } catch (error) {
    await Promise.all(files.map((handle) => handle.close()));
    throw error;
  }
}

async function start(dir: string, hooks: string, files: readonly FileHandle[]): Promise<ReceivePack> {
  const [file, args] = lockedCommand(
    dir,
    'shared',
    ['prlimit', `--data=${MEMORY_LIMIT}`, 'git', 'receive-pack', '--stateless-rpc', dir],
    LOCK_WAIT_SECONDS,
  );
  const child = spawn(file, args, {
    stdio: [...files.map(({ fd }) => fd), 'pipe', 'pipe'],
    env: gitEnvironment({ ...CONFIG, 'core.hooksPath': hooks }),
    // Ctrl-C must not reach receive-pack.
    detached: true,
  });
  if ((child.stdio as ChildProcess['stdio'] | undefined) === undefined) throw await notStarted(child);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref();
  }, TIMEOUT_MS);
  const exited = new Promise<Pick<Finished, 'code' | 'signal' | 'spawnError'>>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ code: undefined, signal: undefined, spawnError: error.code ?? 'unknown' }),
    );
    // Waits for `exit` and not for `close`: a hook that outlives a killed receive-pack keeps the sockets open while it
    // waits for this process.
    child.on('exit', (code, signal) =>
      resolve({ code: code ?? undefined, signal: signal ?? undefined, spawnError: undefined }),
    );
  });
  const finish = async (): Promise<Finished> => {
    const exit = await exited;
    clearTimeout(timer);
    try {
      const [, stdout, stderr] = await Promise.all(files.map(readWhole));
      return {
        ...exit,
        timedOut,
        stdout: stdout ?? Buffer.alloc(0),
        stderr: (stderr ?? '').toString().slice(-STDERR_KEPT),
      };
    } finally {
      await Promise.all(files.map((handle) => handle.close()));
    }
  };
  return {
    preReceive: child.stdio[PRE_RECEIVE_FD] as Duplex,
    prepared: child.stdio[PREPARED_FD] as Duplex,
    ended: finish(),
  };
}

async function readWhole(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, 0);
  return bytes;
}
