// One at a time on this machine: the kernel lets the lock go when its holder dies, however it dies.
import { open } from 'node:fs/promises';
import { lockHandle } from '../../src/local/flock.ts';
import { waitFor } from './wait.ts';

export interface LockOptions {
  readonly timeoutMs: number;
  /** Called once, when somebody else holds it. */
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
