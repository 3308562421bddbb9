// A lock on this machine. The kernel releases it when its holder dies.
import { open } from 'node:fs/promises';
import { lockHandle } from '../../src/local/flock.ts';
import { waitFor } from './wait.ts';

export interface LockOptions {
  readonly timeoutMs: number;
  /** Called once, if another process holds the lock. */
  readonly onWait?: () => void;
}

/** @param path the lock's file; it stays, because taking it away would split the lock in two */
export async function withLock<T>(
  path: string,
  { timeoutMs, onWait }: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const file = await open(path, 'w');
  try {
    if (!(await lockHandle(file))) {
      onWait?.();
      await waitFor(`the lock ${path}`, () => lockHandle(file), {
        timeoutMs,
        hint: () => 'who holds it: fuser (psmisc) says',
      });
    }
    return await work();
  } finally {
    await file.close();
  }
}
