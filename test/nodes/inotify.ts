// Every systemd, containerd and kubelet of a lab has several inotify instances, all of them this machine's root's.
import { readFileSync, writeFileSync } from 'node:fs';

const LIMIT = '/proc/sys/fs/inotify/max_user_instances';
/** Enough for two clusters and other programs; the kernel's default of 128 is enough for one cluster. */
const ENOUGH = 1024;

const limit = (): number => Number(readFileSync(LIMIT, 'utf8'));

/** Raises the limit, never lowers it. @returns whether it is enough now: a container may not be allowed to raise it */
export function raiseInotifyLimit(): boolean {
  if (limit() >= ENOUGH) return true;
  try {
    writeFileSync(LIMIT, `${ENOUGH}\n`);
  } catch {
    return false;
  }
  return limit() >= ENOUGH;
}
