// The restore that the host does by itself, as far as files tell of it.
import { basename, dirname } from 'node:path';
import { RESTORE_SCRIPT, RESTORE_UNIT } from './managed-files.ts';
import type { Root } from './root.ts';

/** True from before a change until the change, or its undo, is over. The script removes itself when it has run. */
export function isArmed(root: Root): boolean {
  return root.list(dirname(RESTORE_SCRIPT)).includes(basename(RESTORE_SCRIPT));
}

/** Whether the script has run to its end since it was armed. */
export function hasRestored(root: Root): boolean {
  return root.read(RESTORE_UNIT) !== undefined && !isArmed(root);
}
