// The processes of this machine, from /proc: `pgrep` is not in every container.
import { readdir, readFile } from 'node:fs/promises';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Program and arguments, with spaces between them. */
  readonly command: string;
}

export async function processes(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => processOf(pid).catch(() => undefined)));
  return found.filter((each) => each !== undefined);
}

/** @throws when the process has ended meanwhile */
async function processOf(pid: string): Promise<Process> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may contain spaces and parentheses; state and parent follow it.
  const [, parent = ''] = status.slice(status.lastIndexOf(')') + 2).split(' ');
  const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').join(' ').trim();
  return { pid: Number(pid), parent: Number(parent), command };
}
