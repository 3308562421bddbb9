// Prints a figure beside a probe of the same run, because milliseconds depend on the machine.

export interface Bench {
  readonly name: string;
  run(): Promise<void>;
}

export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** @param percent 0 to 100 */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function report(what: string, ours: number, probe: string, theirs: number): void {
  const ratio = (ours / theirs).toFixed(2);
  console.log(`  ${what}: ${ours.toFixed(1)} ms, ${ratio} of ${probe} (${theirs.toFixed(1)} ms)`);
}
