// The commands that run the tests: their demands on a machine, and their counts.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cached, missingBuilds } from './nodes/cache.ts';
import { describeBuilds } from './support/builds.ts';
import { missingPrerequisites, type Machine } from './support/prerequisites.ts';
import {
  addTally,
  failureLines,
  readFiles,
  sumOf,
  tallyLine,
  type FileTally,
  type Tally,
} from './support/tally.ts';

const GOOD: Machine = {
  platform: 'linux',
  node: '20.0.0',
  ask: (program) => (program === 'git' ? 'git version 2.39.5' : 'flock from util-linux 2.38.1'),
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'multinic-tiers-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test('a machine with all that is needed lacks nothing', () => {
  expect(missingPrerequisites(GOOD)).toEqual([]);
});

test.each<[string, Partial<Machine>, RegExp]>([
  ['another system', { platform: 'darwin' }, /^Linux \(this is darwin: .*container\)$/],
  ['an old Node', { node: '18.20.4' }, /^Node 20 or newer \(found 18\.20\.4: install/],
  [
    'an old git',
    { ask: (program) => (program === 'git' ? 'git version 2.9.1' : GOOD.ask(program)) },
    /^git 2\.39 or newer \(found 2\.9: install/,
  ],
  [
    'no git',
    { ask: (program) => (program === 'git' ? '' : GOOD.ask(program)) },
    /^git .*\(found none: install/,
  ],
  [
    "BusyBox's flock",
    { ask: (program) => (program === 'flock' ? 'BusyBox v1.36.1' : GOOD.ask(program)) },
    /^flock of util-linux \(install/,
  ],
])('%s is named with the remedy', (_, changes, says) => {
  const missing = missingPrerequisites({ ...GOOD, ...changes });
  expect(missing).toHaveLength(1);
  expect(missing[0]).toMatch(says);
});

const GREEN: Tally = { passed: 10, failed: 0, skipped: 0, failures: [], passedAgain: [] };
const RED: Tally = {
  passed: 5,
  failed: 1,
  skipped: 2,
  failures: ['a.test.ts > b > expected 1 to be 2'],
  passedAgain: ['c.test.ts > d > no answer'],
};

test('the tally of a command is the sum of its runs', () => {
  expect(tallyLine(sumOf([]))).toBe('0 passed, 0 failed');
  const sum = sumOf([GREEN, RED]);
  expect(tallyLine(sum)).toBe('15 passed, 1 failed, 2 skipped');
  expect(failureLines(sum)).toEqual([
    'passed when it ran again: c.test.ts > d > no answer',
    'failed: a.test.ts > b > expected 1 to be 2',
  ]);
});

test('a file that ran again counts by its last run', () => {
  const file = join(folder, 'files');
  const { failures, ...counts } = RED;
  const last: FileTally = { path: 'a.test.ts', ...counts, failed: 0, failures: [] };
  const lines = [{ ...last, failed: 1, failures }, last].map((tally) => JSON.stringify(tally));
  writeFileSync(file, lines.join('\n'));
  expect([...readFiles(file).values()]).toEqual([last]);
});

test("CI's last lines have the names of failed tests and the same sum", () => {
  const script = readFileSync(join(import.meta.dirname, '../.ci/run'), 'utf8');
  const sum = /^sum\(\) \{$[^]*?^\}$/m.exec(script)?.[0] ?? '';
  const file = join(folder, 'tally');
  for (const tally of [GREEN, RED]) addTally(file, tally);
  const said = execFileSync('bash', ['-c', `${sum}\nsum "$0"`, file], { encoding: 'utf8' });
  const expected = sumOf([GREEN, RED]);
  expect(said).toBe(`${[...failureLines(expected), tallyLine(expected)].join('\n')}\n`);
});

test('missing builds are found without building', async () => {
  vi.stubEnv('XDG_CACHE_HOME', folder);
  let path = '';
  const work = async (): Promise<void> => {
    path = await cached('part', ['recipe'], console.log, () => Promise.reject(new Error('it is built')));
  };
  expect(await missingBuilds(work)).toEqual(['part']);
  mkdirSync(path, { recursive: true });
  expect(await missingBuilds(work)).toEqual([]);
  await expect(work()).resolves.toBeUndefined();
});

test('the system tests say first what they build and how long that takes', () => {
  expect(describeBuilds([[], []])).toMatch(/^Nothing has to be built/);
  const lanes = [
    [{ title: 'nodes', seconds: 120 }],
    [
      { title: 'a program', seconds: 590 },
      { title: 'b', seconds: 9 },
    ],
  ];
  expect(describeBuilds(lanes)).toMatch(
    / about 10 minutes: nodes \(2 min\), a program \(10 min\), b \(1 min\)\.$/,
  );
});
