// Backups of orphans and other files that a run removes or replaces: the newest five of each file, in a folder beside it.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { makeFolder, replaceFile } from './durable-file.ts';
import type { HostFile } from './root.ts';

/** Name of a folder of backups. No network manager reads a folder of this name. */
export const BACKUP_FOLDER = 'backup';
const KEPT = 5;

/**
 * Writes a copy named `90-multinic1.yaml.20250121T103200Z`, and removes the oldest copies of that file.
 * @param folder real path of the backup folder, created if it is missing
 * @returns the name of the copy
 */
export function keepBackup(folder: string, name: string, { content, mode }: HostFile, at: Date): string {
  const stamp = at.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  makeFolder(folder, 0o700);
  let copy = `${name}.${stamp}`;
  for (let again = 2; fs.existsSync(join(folder, copy)); again += 1) copy = `${name}.${stamp}-${again}`;
  replaceFile(join(folder, copy), content, mode);
  for (const old of backupsOf(folder, name).slice(0, -KEPT)) fs.rmSync(join(folder, old));
  return copy;
}

/** Names of the backups of a file, oldest first. */
function backupsOf(folder: string, name: string): string[] {
  const stamped = /^\d{8}T\d{6}Z(-\d+)?$/;
  return fs
    .readdirSync(folder)
    .filter((each) => each.startsWith(`${name}.`) && stamped.test(each.slice(name.length + 1)))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
