const wanted = process.env['MULTINIC_KILL_AT'];
const seen = new Map<string, number>();

/**
 * A named instant between two steps. With `MULTINIC_KILL_AT=name` (or `name#3`, the third time) the process dies there
 * by SIGKILL, as in a power cut; without the variable the call costs one comparison.
 */
export function checkpoint(name: string): void {
  if (wanted === undefined) return;
  const count = (seen.get(name) ?? 0) + 1;
  seen.set(name, count);
  if (wanted === `${name}#${count}` || (wanted === name && count === 1)) process.kill(process.pid, 'SIGKILL');
}
