import type { Root } from '../files/root.ts';

/** Begin of the names of an observation's folders. The rest is the time in seconds and a process ID. */
const NAME = 'multinic-observe-';
const LEFT_AFTER_SECONDS = 3600;

/**
 * Chooses a folder for the copies that the OS's generator reads, and removes folders that killed observations left. The
 * folder is in the host's memory, so an observation writes nothing to the host's disk; a recorded host may have no /run.
 */
export function chooseScratch(root: Root, at: Date): string {
  const parent = root.list('').includes('run') ? 'run' : 'var/lib/multinic';
  const now = Math.floor(at.getTime() / 1000);
  for (const name of root.list(parent)) {
    const [, began] = /^multinic-observe-(\d+)-\d+$/.exec(name) ?? [];
    if (began !== undefined && Math.abs(now - Number(began)) > LEFT_AFTER_SECONDS)
      root.removeScratch(`${parent}/${name}`);
  }
  return `${parent}/${NAME}${now}-${process.pid}`;
}
