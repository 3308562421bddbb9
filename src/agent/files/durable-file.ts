// Writes files so that each is whole at any instant, and on the disk when a call returns.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Start of the names of temporary files. No network manager reads a file whose name begins with a dot and lacks the
 * manager's suffix.
 */
export const TEMPORARY = '.multinic-tmp-';

/**
 * Writes a file beside its target and renames it to the target. The target is whole at any instant, and durable when
 * the call returns.
 */
export function replaceFile(real: string, content: string, mode: number): void {
  const temporary = join(dirname(real), `${TEMPORARY}${randomBytes(6).toString('hex')}`);
  try {
    const fd = fs.openSync(temporary, 'wx', mode);
    try {
      fs.writeFileSync(fd, content);
      fs.fchmodSync(fd, mode);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, real);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(real));
}

export function makeFolder(folder: string, mode = 0o755): void {
  const first = fs.mkdirSync(folder, { recursive: true, mode });
  if (first !== undefined) syncFolder(dirname(first));
}

export function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
