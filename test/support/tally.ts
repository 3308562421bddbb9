// Counts passed and failed tests over all runs of a command, because vitest counts only one run. Names the failed ones.
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

/** Variable with the file to which every run adds a line; absent: no run does. */
export const TALLY_VARIABLE = 'MULTINIC_TALLY';

/** A line that begins so is the name of a failed test; other lines are numbers. */
const FAILED = 'failed: ';

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
      names: modules.flatMap(failures),
    });
  }
}

/** A line for each failed test of the module, and for the module itself if it failed outside a test. */
function failures(module: TestModule): string[] {
  const path = relative(process.cwd(), module.moduleId);
  const line = (title: string, errors: readonly { readonly message: string }[] = []): string =>
    [path, title, errors[0]?.message.split('\n', 1)[0]].filter(Boolean).join(' > ');
  const tests = [...module.children.allTests('failed')].map((test) =>
    line(test.fullName, test.result().errors),
  );
  const broken = module.state() === 'failed' && module.errors().length > 0;
  return broken ? [...tests, line('', module.errors())] : tests;
}

/** Adds a line of numbers, and a line for each name of a failed test. */
export function addTally(
  file: string,
  { passed, failed, skipped, names = [] }: Tally & { readonly names?: readonly string[] },
): void {
  appendFileSync(
    file,
    `${passed} ${failed} ${skipped}\n${names.map((name) => `${FAILED}${name}\n`).join('')}`,
  );
}

/** The names of the failed tests of all lines, each with its file and the first line of its error. */
export function failedTests(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith(FAILED) ? [line.slice(FAILED.length)] : []));
}

/** The sum of all lines with numbers. */
export function readTally(file: string): Tally {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.startsWith(FAILED)) continue;
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
