// Every systemd, containerd and kubelet of a lab has several inotify instances, all of them this machine's root's.
import { readFileSync, writeFileSync } from 'node:fs';

const LIMIT = '/proc/sys/fs/inotify/max_user_instances';
/** For two clusters beside whatever else runs here; kernels begin with 128, enough for one. */
const ENOUGH = 1024;

const limit = (): number => Number(readFileSync(LIMIT, 'utf8'));

/** Raises the limit, never lowers it. @returns whether it is enough now: in a container it may not be ours to raise */
export function raiseInotifyLimit(): boolean {
  if (limit() >= ENOUGH) return true;
  try {
    writeFileSync(LIMIT, `${ENOUGH}\n`);
  } catch {
    return false;
  }
  return limit() >= ENOUGH;
}
