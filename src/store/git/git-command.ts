import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

/** How a child process ended, whatever way that was. */
export interface Finished {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly timedOut: boolean;
  /** `ENOENT`: there is no such program. */
  readonly spawnError: string | undefined;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Aborts the program. */
  readonly signal?: AbortSignal;
}

/** Runs a program to its end, with its output in memory. Never throws because of the program's end. */
export async function run(file: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  return start(file, args, options, ['ignore', 'pipe', 'pipe']);
}

/**
 * Like `run`, but the program reads and writes unnamed files in `folder`, so that it never waits for this process. If
 * this process is suspended, killed or interrupted (Ctrl-C reaches a whole process group), the program still finishes,
 * and releases its lock.
 *
 * @param inputs contents of descriptors 0, then 3, 4…
 */
export async function runDetached(
  file: string,
  args: readonly string[],
  folder: string,
  inputs: readonly Buffer[],
  options: RunOptions,
): Promise<Finished> {
  const spools: FileHandle[] = [];
  try {
    const output = await spool(folder);
    spools.push(output);
    for (const input of inputs) {
      const handle = await spool(folder, input);
      spools.push(handle);
    }
    const [first, ...rest] = spools.slice(1).map((handle) => handle.fd);
    const stdio = [first ?? 'ignore', output.fd, 'pipe', ...rest] as const;
    const ended = await start(file, args, options, stdio, true);
    const { size } = await output.stat();
    const stdout = Buffer.alloc(size);
    await output.read(stdout, 0, size, 0);
    return { ...ended, stdout };
  } finally {
    await Promise.all(spools.map((handle) => handle.close()));
  }
}

type Stdio = 'ignore' | 'pipe' | number;

/** Uses plain `spawn`, because a library adds more time than some of the programs take (0.5 ms of 2.4 for `true`). */
async function start(
  file: string,
  args: readonly string[],
  options: RunOptions,
  stdio: readonly Stdio[],
  detached = false,
): Promise<Finished> {
  const child = spawn(file, args, { env: options.env, stdio: [...stdio], detached });
  let spawnError: string | undefined;
  let timedOut = false;
  const kill = (): void => {
    // git removes its lock files on SIGTERM.
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref();
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, options.timeoutMs);
  options.signal?.addEventListener('abort', kill);
  if (options.signal?.aborted === true) kill();
  const ended = new Promise<[number | null, string | null]>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      spawnError = error.code;
      // If the system has no descriptors left, there is no process, and `close` never comes.
      if (child.pid === undefined) resolve([null, null]);
    });
    child.on('close', (...how) => resolve(how));
  });
  // Node makes no streams for a process that found no descriptors.
  const [stdout, stderr, [code, signal]] = await Promise.all([
    collect(child.stdout ?? null),
    collect(child.stderr ?? null),
    ended,
  ]);
  clearTimeout(timer);
  options.signal?.removeEventListener('abort', kill);
  return {
    code: spawnError === undefined ? (code ?? undefined) : undefined,
    signal: signal ?? undefined,
    timedOut,
    spawnError,
    stdout,
    stderr: stderr.toString('utf8'),
  };
}

async function collect(stream: Readable | null): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A file without a name, read from its start. */
export async function spool(folder: string, content?: Buffer): Promise<FileHandle> {
  const path = join(folder, `${SPOOL_PREFIX}${randomUUID()}`);
  const handle = await open(path, 'wx+', 0o600);
  try {
    await rm(path);
    // Write at a position, so that the offset which the child shares stays at the start.
    if (content !== undefined) await writeAll(handle, content);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function writeAll(handle: FileHandle, content: Buffer): Promise<void> {
  let done = 0;
  while (done < content.length) {
    const { bytesWritten } = await handle.write(content, done, content.length - done, done);
    done += bytesWritten;
  }
}

const KILL_AFTER_MS = 10_000;

/**
 * Prefix of the names of spool files. A kill between creating and unlinking leaves a file behind, which recovery finds
 * by its prefix.
 */
export const SPOOL_PREFIX = 'multinic-spool-';
