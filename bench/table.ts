// The table of a run of the benches.

import type { Figure } from './report.ts';

const HEAD = ['FIGURE', 'OURS', 'RATIO', 'GOAL', 'MET', 'PROBE', 'NOISE'];

/** One line a figure. */
export function table(figures: readonly Figure[]): string {
  const rows = [HEAD, ...figures.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cells({ what, ours, unit, probe, theirs, ratio, noise, goal, isMet }: Figure): string[] {
  return [
    what,
    `${ours.toFixed(unit === 'ms' ? 1 : 0)} ${unit}`,
    ratio?.toFixed(2) ?? '',
    goal === undefined ? '' : `≤ ${goal}${ratio === undefined ? ` ${unit}` : ''}`,
    isMet === undefined ? '' : isMet ? 'yes' : 'no',
    probe === undefined ? '' : `${probe} (${theirs?.toFixed(1)} ms)`,
    noise === undefined ? '' : `±${(100 * noise).toFixed(0)} %`,
  ];
}
