import { open } from 'node:fs/promises';
import { MultinicError } from '../api/errors.ts';
import { lockHandle } from './flock.ts';

/** Held until `release`, or until this process ends, however it ends. */
export interface ControllerLock {
  release(): Promise<void>;
}

/**
 * Makes this process the one controller of a folder.
 * @param path `DIR/controller.lock`, which names its holder and is never deleted
 * @throws MultinicError `ControllerRunning`
 */
export async function lockController(path: string): Promise<ControllerLock> {
  const file = await open(path, 'a+', 0o644);
  try {
    if (!(await lockHandle(file))) throw running(path, (await file.readFile('utf8')).trim());
    await file.truncate(0);
    await file.writeFile(`pid ${process.pid}, since ${new Date().toISOString()}\n`);
    return { release: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function running(path: string, holder: string): MultinicError {
  const who = holder || 'unknown, because the lock file names no process';
  return new MultinicError(
    'ControllerRunning',
    `another controller works on this folder (${who}); stop it, or use a folder of your own`,
    { data: { path, holder } },
  );
}
