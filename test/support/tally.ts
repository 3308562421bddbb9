// Counts passed and failed tests over all runs of a command, because vitest counts only one run.
import { appendFileSync, readFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** Variable with the file to which every run adds a line; absent: no run does. */
export const TALLY_VARIABLE = 'MULTINIC_TALLY';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A reporter that adds `passed failed skipped` of its run to the tally. */
export class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const file = process.env[TALLY_VARIABLE];
    if (file === undefined) return;
    const states = modules.flatMap((module) =>
      [...module.children.allTests()].map((test) => test.result().state),
    );
    const count = (state: string): number => states.filter((each) => each === state).length;
    const broken = modules.filter(
      (module) => module.state() === 'failed' && module.errors().length > 0,
    ).length;
    addTally(file, {
      passed: count('passed'),
      failed: count('failed') + broken,
      skipped: count('skipped') + count('pending'),
    });
  }
}

export function addTally(file: string, { passed, failed, skipped }: Tally): void {
  appendFileSync(file, `${passed} ${failed} ${skipped}\n`);
}

/** The sum of all lines. */
export function readTally(file: string): Tally {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [passed = 0, failed = 0, skipped = 0] = line.split(' ').map(Number);
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
  return sum;
}

/** `12 passed, 0 failed`, and how many were skipped if any were. */
export function tallyLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
