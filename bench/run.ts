// `npm run bench [part of a name …]`: every bench that runs without being asked for, or those whose name has the words.
// Prints a table, and writes it to bench/results.json.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { benches as agent } from './agent.ts';
import { benches as http } from './http.ts';
import { benches as kubeLife } from './kube-life.ts';
import { benches as kube } from './kube.ts';
import { benches as log } from './log.ts';
import { benches as mirror } from './mirror.ts';
import { benches as pass } from './pass.ts';
import { FIGURES_VARIABLE, type Bench, type Figure } from './report.ts';
import { benches as soak } from './soak.ts';
import { benches as store } from './store.ts';
import { table } from './table.ts';
import { benches as ui } from './ui.ts';

const RESULTS = join(import.meta.dirname, 'results.json');
const ALL: readonly Bench[] = [
  ...store,
  ...mirror,
  ...pass,
  ...log,
  ...http,
  ...agent,
  ...kube,
  ...kubeLife,
  ...ui,
  ...soak,
];

const words = process.argv.slice(2);
const chosen = ALL.filter(({ name, onRequest }) =>
  words.length === 0 ? onRequest !== true : words.every((word) => name.includes(word)),
);
if (chosen.length === 0) {
  console.error(
    `no bench has ${words.join(' ')} in its name; there are:\n${ALL.map(({ name }) => `  ${name}`).join('\n')}`,
  );
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'multinic-bench-'));
const file = join(folder, 'figures');
writeFileSync(file, '');
process.env[FIGURES_VARIABLE] = file;
try {
  const loadBefore = loadavg()[0]!;
  for (const { name, run } of chosen) {
    console.log(name);
    await run();
  }
  const figures = readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Figure);
  const machine = await describeMachine();
  writeFileSync(
    RESULTS,
    `${JSON.stringify({ ...machine, load: [loadBefore, loadavg()[0]], figures }, undefined, 2)}\n`,
  );
  console.log(`\n${table(figures)}`);
  const [before, after] = [loadBefore, loadavg()[0]!].map((load) => load.toFixed(1));
  console.log(`${machine.cores} cores, load ${before} before and ${after} after; figures: ${RESULTS}`);
} finally {
  rmSync(folder, { recursive: true });
}

async function describeMachine() {
  const [commit, git] = await Promise.all([
    execa('git', ['describe', '--always', '--dirty'], { reject: false }),
    execa('git', ['version']),
  ]);
  const processors = cpus();
  return {
    at: new Date().toISOString(),
    commit: commit.stdout,
    node: process.version,
    git: git.stdout.replace('git version ', ''),
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
  };
}
