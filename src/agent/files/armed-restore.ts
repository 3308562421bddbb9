// The state of the host's own restore (the dead-man restore), read from files on the host.
import { basename, dirname } from 'node:path';
import { RESTORE_SCRIPT, RESTORE_UNIT } from './managed-files.ts';
import type { Root } from './root.ts';

/** True from before a change until the end of the change or of its undo. The script removes itself when it has run. */
export function isArmed(root: Root): boolean {
  return root.list(dirname(RESTORE_SCRIPT)).includes(basename(RESTORE_SCRIPT));
}

/** Whether the script has run to its end since the agent armed it. */
export function hasRestored(root: Root): boolean {
  return root.read(RESTORE_UNIT) !== undefined && !isArmed(root);
}
