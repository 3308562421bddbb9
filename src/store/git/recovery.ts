// Clears the leftovers of killed git processes, under the exclusive lock: no git writes then, so every lock file is stale
// and every temporary object has no owner.

import { SPOOL_PREFIX } from './git-command.ts';
import { LOCK_FILE, runLocked } from './store-lock.ts';

const CLEAR = `cd "$GIT_DIR"
find . -maxdepth 1 -type f '(' -name '*.lock' -o -name 'fast_import_crash_*' -o -name '${SPOOL_PREFIX}*' -o -name packed-refs.new ')' ! -name ${LOCK_FILE} -delete
find refs -type f -name '*.lock' -delete
find objects -type f '(' -name 'tmp_*' -o -name '.tmp-*' -o -name '*.lock' ')' -delete
find objects -maxdepth 1 -type d '(' -name 'incoming-*' -o -name 'tmp_objdir-*' ')' -exec rm -rf '{}' +`;

/** @throws MultinicError `Locked` when another process goes on writing. */
export async function clearLeftovers(dir: string, waitSeconds: number): Promise<void> {
  await runLocked(dir, 'exclusive', ['sh', '-ec', CLEAR], { waitSeconds });
}

/**
 * Clears leftovers at start-up, and moves the writer's ref under the same lock, so that no write of the previous writer
 * comes between.
 */
export async function clearAndTakeOver(dir: string, transaction: string, waitSeconds: number): Promise<void> {
  const script = `${CLEAR}\nexec git update-ref --stdin`;
  await runLocked(dir, 'exclusive', ['sh', '-ec', script], {
    waitSeconds,
    inputs: [Buffer.from(transaction)],
  });
}
