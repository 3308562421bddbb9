// Passes of the mirror over 5,000 nodes in ten CRs, from the CRs to durable commits. The bench runs in a process of its
// own with the flags of the built program, so that its memory is the mirror's.

import type { Oid } from '../src/api/oid.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa, execaNode } from 'execa';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { Batch } from '../src/store/model/batch.ts';
import { CONTROLLER } from '../src/store/model/committer.ts';
import { Store } from '../src/store/store.ts';
import { configs, inventory, mirrorOf } from './fleet.ts';
import { ensureRepository } from '../src/store/git/repository.ts';
import { bareWrite, nativeGit } from './bare-git.ts';
import { measured, median, percentile, report, timed, type Bench } from './report.ts';

const ROUNDS = 100;

export const benches: Bench[] = [
  {
    name: 'mirror: 5,000 nodes in ten CRs, whole passes',
    run: async () => {
      await execaNode({ nodeOptions: NODE_FLAGS, stdio: 'inherit' })`bench/mirror.ts`;
    },
  },
];

async function measure(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bench-mirror-'));
  const store = await Store.open(join(folder, 'store.git'));
  const nodes = inventory();
  const list = configs();
  const mirror = mirrorOf(store);
  const first = await timed(() => mirror.pass(list, nodes));
  report(
    'first import as a whole pass',
    first,
    'native fast-import of the same',
    await nativeImport(folder),
    0.5,
  );

  const passes: number[] = [];
  const probe: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const changed = configs(new Map([[round, 2000 + round]]), new Map([[0, 2 + round]]));
    const next = { ...list, configs: [changed.configs[0]!, ...list.configs.slice(1)] };
    passes.push(await timed(() => mirror.pass(next, nodes)));
    probe.push(await timed(() => probeWrite(store, round)));
  }
  const bare = 'bare fsynced fast-import with update-ref';
  report('one node changed, CR to commits, p50', median(passes), bare, probe, 1.5);
  report('one node changed, CR to commits, p99', percentile(passes, 99), bare, probe, 2.5);

  const idle: number[] = [];
  const before = configs(new Map([[ROUNDS - 1, 2000 + ROUNDS - 1]]), new Map([[0, 1 + ROUNDS]]));
  await mirror.pass(before, nodes);
  for (let round = 0; round < 10; round++) idle.push(await timed(() => mirror.pass(before, nodes)));
  const start = await nodeStarts();
  report('a pass without a change', median(idle), '`node -e 0`', start);

  const fresh = mirrorOf(store);
  const restart = await timed(() => fresh.pass(before, nodes));
  report('the first pass of a new process', restart, '`node -e 0`', start, 40);
  measured('memory of all that', process.resourceUsage().maxRSS / 1024, 'MiB');
  await store.close();
  await rm(folder, { recursive: true, force: true });
}

/** Imports everything that the store has into an empty repository. @returns milliseconds, three times */
async function nativeImport(folder: string): Promise<number[]> {
  const { stdout } = await execa('git', ['-C', join(folder, 'store.git'), 'fast-export', '--all'], {
    encoding: 'buffer',
    maxBuffer: 2 ** 30,
  });
  const times: number[] = [];
  for (const round of [0, 1, 2]) {
    const dir = join(folder, `native-${round}.git`);
    await ensureRepository(dir);
    times.push(await timed(() => nativeGit(dir, ['fast-import', '--quiet'], Buffer.from(stdout))));
    await rm(dir, { recursive: true });
  }
  return times;
}

async function nodeStarts(): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < 30; round++)
    times.push(await timed(() => execa(process.execPath, ['-e', '0'])));
  return times;
}

let tip: Oid | null = null;

function probeWrite(store: Store, round: number): void {
  const batch = new Batch();
  const commit = batch.commit({
    parents: tip === null ? [] : [tip],
    files: new Map([['file', `${round}\n`]]),
    author: CONTROLLER,
    subject: 'probe',
    trailers: [],
  });
  batch.move('refs/heads/probe', commit, tip);
  tip = bareWrite(store.dir, batch, 'refs/heads/probe', tip);
}

if (import.meta.main) await measure();
