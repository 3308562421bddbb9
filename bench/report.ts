// Figures of the benches. Each stands beside a probe of the same run, because milliseconds depend on the machine.

import { appendFileSync } from 'node:fs';

export interface Bench {
  readonly name: string;
  /** The bench takes so long that it runs only when its name is asked for. */
  readonly onRequest?: true;
  run(): Promise<void>;
}

/** Names the file that `npm run bench` collects figures in, one JSON a line, also those of child processes. */
export const FIGURES_VARIABLE = 'MULTINIC_BENCH_FIGURES';

export interface Figure {
  readonly what: string;
  readonly ours: number;
  readonly unit: 'ms' | 'MiB' | 'requests' | 'bytes';
  readonly probe?: string;
  readonly theirs?: number;
  readonly ratio?: number;
  /** Half of the way from the 10th to the 90th percentile of the probe, as a share of its median. */
  readonly noise?: number;
  /** Largest ratio, or largest figure if there is no probe. */
  readonly goal?: number;
  readonly isMet?: boolean;
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

/** How much a probe varies: a ratio over a noisy probe says little. */
export function noiseOf(values: readonly number[]): number {
  return (percentile(values, 90) - percentile(values, 10)) / 2 / median(values);
}

/**
 * Reports milliseconds over a probe.
 * @param theirs the probe's milliseconds, one or more
 * @param goal largest ratio
 */
export function report(
  what: string,
  ours: number,
  probe: string,
  theirs: number | readonly number[],
  goal?: number,
): void {
  const samples = typeof theirs === 'number' ? [theirs] : theirs;
  const bare = median(samples);
  const ratio = ours / bare;
  note({
    what,
    ours,
    unit: 'ms',
    probe,
    theirs: bare,
    ratio,
    ...(samples.length >= 5 && { noise: noiseOf(samples) }),
    ...(goal !== undefined && { goal, isMet: ratio <= goal }),
  });
  console.log(`  ${what}: ${ours.toFixed(1)} ms, ${ratio.toFixed(2)} of ${probe} (${bare.toFixed(1)} ms)`);
}

/** Reports a figure that needs no probe. @param goal the largest that is good */
export function measured(what: string, ours: number, unit: Figure['unit'], goal?: number): void {
  note({ what, ours, unit, ...(goal !== undefined && { goal, isMet: ours <= goal }) });
  console.log(`  ${what}: ${ours.toFixed(0)} ${unit}`);
}

function note(figure: Figure): void {
  const file = process.env[FIGURES_VARIABLE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(figure)}\n`);
}
