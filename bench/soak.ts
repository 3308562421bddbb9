// A simulated month of a controller: what its memory, its disk and its latency do over time. The picture is soak.svg.
// NODES and DAYS make it smaller, and MINUTES end it early.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { execa } from 'execa';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { measured, median, report, type Bench } from './report.ts';
import type { Fresh, Sample } from './soak-month.ts';
import { soakPicture } from './soak-picture.ts';

const NODES = Number(process.env['NODES'] ?? 5_000);
const DAYS = Number(process.env['DAYS'] ?? 30);
const MINUTES = Number(process.env['MINUTES'] ?? Infinity);

export const benches: Bench[] = [
  { name: 'soak: a simulated month of a fleet', onRequest: true, run: benchSoak },
];

export interface SoakOptions {
  readonly nodes: number;
  readonly days: number;
  /** Commits between two maintenances, as in the program. */
  readonly maintainEvery?: number;
  /** No further day begins after this time. */
  readonly minutes?: number;
}

export interface Soak {
  readonly nodes: number;
  readonly samples: readonly Sample[];
  /** A new process on what the month left. */
  readonly fresh: Fresh;
}

export async function soak({
  nodes,
  days,
  maintainEvery = 500,
  minutes = Infinity,
}: SoakOptions): Promise<Soak> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-soak-'));
  try {
    const programs = join(folder, 'programs');
    await bundle(programs);
    const home = join(folder, 'home');
    const part = (...args: string[]) =>
      execa(process.execPath, [...NODE_FLAGS, join(programs, 'soak-month.js'), ...args], {
        stderr: 'inherit',
      });
    await part('make', home, String(nodes));
    await part('month', home, String(days), String(maintainEvery), String(minutes));
    const { stdout } = await part('fresh', home);
    const lines = (await readFile(join(home, 'samples'), 'utf8')).split('\n').filter(Boolean);
    const samples = lines.map((line) => JSON.parse(line) as Sample);
    return { nodes, samples, fresh: JSON.parse(stdout) as Fresh };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bundles the parts as users have the program, because a process that runs TypeScript spends most of its memory on that. */
async function bundle(outdir: string): Promise<void> {
  const REQUIRE = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
  await build({
    entryPoints: ['soak-month.ts', 'http-checkout.ts'].map((file) => join(import.meta.dirname, file)),
    outdir,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: REQUIRE },
    logLevel: 'silent',
  });
  await writeFile(join(outdir, 'package.json'), '{ "type": "module" }\n');
}

async function benchSoak(): Promise<void> {
  const found = await soak({ nodes: NODES, days: DAYS, minutes: MINUTES });
  const folder = import.meta.dirname;
  await writeFile(join(folder, 'soak.json'), `${JSON.stringify(found)}\n`);
  await writeFile(join(folder, 'soak.svg'), soakPicture(found));
  tell(found);
}

/** Compares the last tenth of the month with the first. */
function tell({ nodes, samples, fresh }: Soak): void {
  const tenth = Math.max(2, Math.ceil(samples.length / 10));
  // The first sample has no passes yet.
  const first = samples.slice(1, 1 + tenth);
  const last = samples.slice(-tenth);
  const start = samples[0]!;
  const end = samples.at(-1)!;
  measured(`memory at ${nodes} nodes, at the start`, start.rssMiB, 'MiB', 200);
  measured('memory after the month', end.rssMiB, 'MiB', 1.2 * start.rssMiB);
  measured('the same, a new process', fresh.rssMiB, 'MiB', 1.2 * start.rssMiB);
  const compare = (what: string, of: (sample: Sample) => number): void =>
    report(what, median(last.map(of)), 'the first days', first.map(of), 1.2);
  compare('a pass with commits in the last days, on the processor', ({ changed }) => changed.cpuP50);
  compare('a pass without, on the processor', ({ quiet }) => quiet.cpuP50);
  compare('a pass with commits in the last days, on the clock', ({ changed }) => changed.p50);
  compare('a pass without, on the clock', ({ quiet }) => quiet.p50);
  compare('git log of a node in the last days', ({ logMs }) => logMs);
  compare('a checkout in the last days', ({ checkoutMs }) => checkoutMs);
  compare('the probe in the last days', ({ probeMs }) => probeMs);
  const packed = samples.filter(({ maintenanceMs }) => maintenanceMs !== undefined);
  const [from, to] = [packed[0], packed.at(-1)];
  if (from === undefined || to === undefined || from === to) return;
  const bytes = 2 ** 20 * (to.packMiB - from.packMiB);
  measured('packed bytes a commit', bytes / (to.commits - from.commits), 'bytes');
}
