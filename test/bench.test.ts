import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { noiseOf } from '../bench/report.ts';
import { table } from '../bench/table.ts';

test('the table says for each figure its ratio, its goal and whether the goal is met', () => {
  const probe = { probe: '`node -e 0`', theirs: 40 };
  const lines = table([
    { what: 'log', ours: 60, unit: 'ms', ...probe, ratio: 1.5, noise: 0.034, goal: 1.5, isMet: true },
    { what: 'a run', ours: 220, unit: 'ms', ...probe, ratio: 5.5, goal: 5, isMet: false },
    { what: 'memory', ours: 180.4, unit: 'MiB', goal: 200, isMet: true },
    { what: 'disk', ours: 900, unit: 'bytes' },
  ]).split('\n');
  expect(lines).toEqual([
    'FIGURE  OURS       RATIO  GOAL       MET  PROBE                  NOISE',
    'log     60.0 ms    1.50   ≤ 1.5      yes  `node -e 0` (40.0 ms)  ±3 %',
    'a run   220.0 ms   5.50   ≤ 5        no   `node -e 0` (40.0 ms)',
    'memory  180 MiB           ≤ 200 MiB  yes',
    'disk    900 bytes',
  ]);
});

test('the noise of a probe is half of the way from its 10th to its 90th percentile', () => {
  const samples = Array.from({ length: 101 }, (_, index) => 50 + index);
  expect(noiseOf(samples.toReversed())).toBeCloseTo(0.4);
  expect(noiseOf([7, 7, 7])).toBe(0);
});

test('each bench has the name of its file, under which the README lists it', async () => {
  const folder = resolve(import.meta.dirname, '../bench');
  const readme = await readFile(join(folder, 'README.md'), 'utf8');
  const files = [...readme.matchAll(/^\| `([a-z-]+)\.ts` \|/gm)].map(([, file]) => file!);
  expect(files).toEqual([
    'store',
    'mirror',
    'pass',
    'log',
    'http',
    'agent',
    'kube',
    'kube-life',
    'ui',
    'soak',
  ]);
  for (const file of files) {
    const source = await readFile(join(folder, `${file}.ts`), 'utf8');
    const [, list = ''] = /export const benches: Bench\[\] = \[([^]*?)\];/.exec(source) ?? [];
    const names = [...list.matchAll(/name: '([^:']+):/g)].map(([, name]) => name);
    expect([file, new Set(names)]).toEqual([file, new Set([file])]);
  }
});
