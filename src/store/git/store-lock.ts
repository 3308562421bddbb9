import { join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { runDetached } from './git-command.ts';
import type { Finished } from './git-command.ts';
import { gitEnvironment, gitFailure } from './git.ts';
import { FLOCK_HELD } from '../../api/exit-codes.ts';

const WRITE_TIMEOUT_MS = 600_000;

export const LOCK_FILE = 'multinic.lock';

/**
 * Mode of the store's lock. Every child that writes holds the lock shared itself, so a git that outlives its killed
 * parent still holds it; the holder of the exclusive lock knows that no git writes, so every lock file is stale.
 */
export type LockMode = 'shared' | 'exclusive';

export interface LockedOptions {
  /** Input of the command on descriptor 0, then 3, 4… */
  readonly inputs?: readonly Buffer[];
  /** Longest wait for the lock, in seconds; 0: do not wait. */
  readonly waitSeconds?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/**
 * A command line that runs `command` while holding the store's lock. `-F`: flock becomes the command, so a signal
 * reaches it, and its children inherit the lock.
 */
export function lockedCommand(
  dir: string,
  mode: LockMode,
  command: readonly string[],
  waitSeconds = 30,
): [file: string, args: string[]] {
  const flags = [mode === 'shared' ? '-s' : '-x', '-F', '-E', String(FLOCK_HELD), '-w', String(waitSeconds)];
  return ['flock', [...flags, join(dir, LOCK_FILE), ...command]];
}

/**
 * Runs a command under the store's lock.
 * @throws MultinicError `Locked` when the lock was not free in time, else as `gitFailure` says
 */
export async function runLocked(
  dir: string,
  mode: LockMode,
  command: readonly string[],
  options: LockedOptions = {},
): Promise<Finished> {
  const waitSeconds = options.waitSeconds ?? 30;
  const [file, args] = lockedCommand(dir, mode, command, waitSeconds);
  const ended = await runDetached(file, args, dir, options.inputs ?? [], {
    env: gitEnvironment({}, { GIT_DIR: dir, ...options.env }),
    timeoutMs: options.timeoutMs ?? WRITE_TIMEOUT_MS,
  });
  if (ended.code === FLOCK_HELD) {
    throw new MultinicError(
      'Locked',
      `another process is writing to ${dir} and did not end within ${waitSeconds} s; find it with: fuser -v ${join(dir, LOCK_FILE)}`,
      { data: { dir, mode } },
    );
  }
  if (ended.code !== 0) throw gitFailure(command.slice(0, 2).join(' '), ended);
  return ended;
}
