import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { MultinicError } from '../../api/errors.ts';

export type Command = readonly [file: string, ...args: string[]];

/** Wraps a command so that it runs in the host's root. */
export type InHost = (command: Command) => Command;

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 15_000;
/**
 * Exit codes of chroot: 125 chroot itself fails, 126 the command may not be run, 127 the command or one of its
 * libraries is missing.
 */
const CHROOT_FAILED: ReadonlySet<number> = new Set([125, 126, 127]);
/** The whole environment of a command. PATH has the command folders of the image and of the host. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/**
 * Runs a command to its end. The command gets no variable of this process's environment.
 * @param input text for the command's stdin
 * @throws MultinicError `CommandMissing`, `CommandHangs`
 */
export function run(command: Command, timeoutMs = TIMEOUT_MS, input?: string): Promise<Ended> {
  return countTime(() => spawned(command, timeoutMs, input));
}

/**
 * Runs a command and passes its output on in pieces, because the routes of a node may be 10 MB of text. Signals and
 * timers run between two pieces.
 * @param take returns false when it has enough; the command is then killed and its exit code counts as 0
 * @throws MultinicError `CommandMissing`, `CommandHangs`
 */
export function stream(command: Command, take: (text: string) => boolean): Promise<Omit<Ended, 'stdout'>> {
  return countTime(() => spawned(command, TIMEOUT_MS, undefined, take));
}

let underWay = 0;
let startedAt = 0;
let totalMs = 0;

/** Runs work that waits for commands of the OS or for answers of a network, and measures its time. */
export async function countTime<T>(work: () => Promise<T>): Promise<T> {
  if (underWay === 0) startedAt = performance.now();
  underWay += 1;
  try {
    return await work();
  } finally {
    underWay -= 1;
    if (underWay === 0) totalMs += performance.now() - startedAt;
  }
}

/** Milliseconds spent in `countTime`. Overlapping work counts once. */
export function hostCommandMs(): number {
  return Math.round(totalMs);
}

/** Polls a condition until it is true or the time is over. @returns whether the condition became true in time */
export function until(limitMs: number, holds: () => Promise<boolean>, everyMs = 20): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  return countTime(async () => {
    for (;;) {
      if (await holds()) return true;
      if (performance.now() > deadline) return false;
      await pause(everyMs);
    }
  });
}

async function spawned(
  [file, ...args]: Command,
  timeoutMs: number,
  input?: string,
  take?: (text: string) => boolean,
): Promise<Ended> {
  const child = spawn(file, args, { env: ENVIRONMENT, stdio: 'pipe' });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', (cause) =>
    reject(new MultinicError('CommandMissing', `${file} did not start: ${cause.message}`, { cause })),
  );
  // Node makes no streams for a process that found no file descriptors, and reports the error after this call.
  if ((child.stdin as Writable | undefined) === undefined) await promise;
  // Ignores write errors. A command that ends before it has read its input reports the failure by its exit code.
  child.stdin.on('error', () => {}).end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (take === undefined) stdout += text;
    else if (!take(text)) {
      resolve(0);
      child.stdout.destroy();
      child.kill('SIGKILL');
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    const what = [file, ...args].join(' ');
    reject(
      new MultinicError('CommandHangs', `${what}: no end after ${timeoutMs / 1000} s; look at the node`),
    );
  }, timeoutMs);
  child.once('close', (code) => resolve(code ?? -1));
  try {
    const code = await promise;
    if (file === 'chroot' && CHROOT_FAILED.has(code)) {
      throw new MultinicError(
        'CommandMissing',
        `${args[1] ?? file} did not start on the node: ${stderr.trim()}; install or mend it there, then run \`multinic retry\``,
        { data: { command: args[1] ?? file } },
      );
    }
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}
