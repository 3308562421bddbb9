// Counts passed and failed tests over all runs of a command, because vitest counts only one run. Names the failed ones.
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

/** Environment variable with the file to which a command adds its counts; absent: no counts are kept. */
export const TALLY_VARIABLE = 'MULTINIC_TALLY';

/**
 * Environment variable with the file to which vitest adds a line of JSON for each test file; absent: no lines are kept.
 */
export const FILES_VARIABLE = 'MULTINIC_TALLY_FILES';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** For each failed test its file, title and the first line of its error. */
  readonly failures: readonly string[];
  /** The failures of files that passed when they ran again. */
  readonly passedAgain: readonly string[];
}

/** The counts of one test file in one run. */
export interface FileTally extends Omit<Tally, 'passedAgain'> {
  /** Path of the file; empty for errors outside of all files, which no second run takes back. */
  readonly path: string;
}

/** A reporter that adds the counts of each test file. */
export class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { readonly message: string }[]): void {
    const file = process.env[FILES_VARIABLE];
    if (file === undefined) return;
    const failures = unhandled.map(({ message }) => `outside of tests > ${message.split('\n', 1)[0]}`);
    const outside: FileTally = { path: '', passed: 0, failed: failures.length, skipped: 0, failures };
    const tallies = [...modules.map(tallyOf), ...(failures.length > 0 ? [outside] : [])];
    for (const each of tallies) appendFileSync(file, `${JSON.stringify(each)}\n`);
  }
}

function tallyOf(module: TestModule): FileTally {
  const path = relative(process.cwd(), module.moduleId);
  const states = [...module.children.allTests()].map((test) => test.result().state);
  const count = (state: string): number => states.filter((each) => each === state).length;
  const line = (title: string, errors: readonly { readonly message: string }[] = []): string =>
    [path, title, errors[0]?.message.split('\n', 1)[0]].filter(Boolean).join(' > ');
  const failures = [
    ...[...module.children.allTests('failed')].map((test) => line(test.fullName, test.result().errors)),
    // A suite or a file has a failure of its own if one of its hooks fails.
    ...[...module.children.allSuites()].flatMap((suite) =>
      suite.errors().length > 0 ? [line(suite.fullName, suite.errors())] : [],
    ),
    ...(module.errors().length > 0 ? [line('', module.errors())] : []),
  ];
  return {
    path,
    passed: count('passed'),
    failed: failures.length,
    skipped: count('skipped') + count('pending'),
    failures,
  };
}

/** The counts of the last run of each test file, by path. */
export function readFiles(file: string): Map<string, FileTally> {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const tallies = lines.map((line) => JSON.parse(line) as FileTally);
  return new Map(tallies.map((tally) => [tally.path, tally]));
}

/** The sum of several counts. */
export function sumOf(tallies: Iterable<Partial<Tally>>): Tally {
  const sum = { passed: 0, failed: 0, skipped: 0, failures: [] as string[], passedAgain: [] as string[] };
  for (const tally of tallies) {
    sum.passed += tally.passed ?? 0;
    sum.failed += tally.failed ?? 0;
    sum.skipped += tally.skipped ?? 0;
    sum.failures.push(...(tally.failures ?? []));
    sum.passedAgain.push(...(tally.passedAgain ?? []));
  }
  return sum;
}

/** Adds a line of numbers and the lines of failures to the file that CI sums up. */
export function addTally(file: string, tally: Tally): void {
  const { passed, failed, skipped } = tally;
  appendFileSync(file, [`${passed} ${failed} ${skipped}`, ...failureLines(tally), ''].join('\n'));
}

/** A line for each failure. */
export function failureLines({ failures, passedAgain }: Pick<Tally, 'failures' | 'passedAgain'>): string[] {
  return [
    ...passedAgain.map((failure) => `passed when it ran again: ${failure}`),
    ...failures.map((failure) => `failed: ${failure}`),
  ];
}

/** `12 passed, 0 failed`, and how many were skipped if any were. */
export function tallyLine({ passed, failed, skipped }: Pick<Tally, 'passed' | 'failed' | 'skipped'>): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
