import { spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { MultinicError } from '../../api/errors.ts';
import { LOCK } from '../files/managed-files.ts';
import type { Root } from '../files/root.ts';
import { FLOCK_HELD } from '../../api/exit-codes.ts';

export interface Lock {
  release(): void;
}

/**
 * Takes the host's lock, which the restore script takes too. The lock belongs to our open file and not to the flock
 * process that took it, so the lock lasts until this process ends in any way.
 * @throws MultinicError `AgentRunning`
 */
export function takeLock(root: Root): Lock {
  const fd = root.openLock(LOCK);
  const { status, error } = spawnSync('flock', ['-n', '-E', String(FLOCK_HELD), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  if (status === 0) return { release: () => closeSync(fd) };
  closeSync(fd);
  if (status === FLOCK_HELD) {
    throw new MultinicError(
      'AgentRunning',
      'another agent runs on this node; wait for its report, then run `multinic retry` if it failed',
    );
  }
  throw new MultinicError(
    'LockFailed',
    `flock did not run: ${error?.message ?? `exit code ${status}`}; install util-linux on the node`,
  );
}
