// Locks that the kernel releases when their holder dies, in whatever way. The lock is flock(2), taken through the
// program flock(1), because Node has no call for it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, type FileHandle } from 'node:fs/promises';
import { MultinicError } from '../api/errors.ts';
import { FLOCK_HELD } from '../api/exit-codes.ts';

/**
 * Takes the lock of an open file without waiting, for as long as the handle is open. The lock belongs to the open file
 * description, which flock(1) inherits from this process and leaves locked.
 */
export async function lockHandle(file: FileHandle): Promise<boolean> {
  const child = spawn('flock', ['-n', '-E', String(FLOCK_HELD), '3'], {
    stdio: ['ignore', 'ignore', 'inherit', file.fd],
  });
  const remedy = 'install flock (util-linux), and keep the folder on a file system that has locks';
  const [code] = (await once(child, 'exit').catch((cause: unknown) => {
    throw new MultinicError('LockFailed', `flock does not start (${String(cause)}); ${remedy}`, { cause });
  })) as [number | null];
  if (code === FLOCK_HELD) return false;
  if (code === 0) return true;
  throw new MultinicError('LockFailed', `flock ended with ${code ?? 'a signal'}; ${remedy}`);
}

/** Whether a process holds the lock now. */
export async function isLocked(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    return !(await lockHandle(file));
  } finally {
    await file.close();
  }
}
