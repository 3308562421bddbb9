// Passes of the mirror over 5,000 nodes in ten CRs, from the CRs to durable commits. The bench runs in a process of its
// own with the flags of the built program, so that its memory is the mirror's.

import type { Oid } from '../src/api/oid.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaNode } from 'execa';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { Batch } from '../src/store/model/batch.ts';
import { CONTROLLER } from '../src/store/model/committer.ts';
import { Store } from '../src/store/store.ts';
import { configs, inventory, mirrorOf } from './fleet.ts';
import { median, percentile, report, timed, type Bench } from './report.ts';

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
  console.log(`  first import: ${(await timed(() => mirror.pass(list, nodes))).toFixed(0)} ms`);

  const passes: number[] = [];
  const probe: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const changed = configs(new Map([[round, 2000 + round]]), new Map([[0, 2 + round]]));
    const next = { ...list, configs: [changed.configs[0]!, ...list.configs.slice(1)] };
    passes.push(await timed(() => mirror.pass(next, nodes)));
    probe.push(await timed(() => bareWrite(store, round)));
  }
  report(
    'one node changed, CR to commits: p50',
    median(passes),
    'one commit on one ref, by the store',
    median(probe),
  );
  report(
    'one node changed, CR to commits: p99',
    percentile(passes, 99),
    'one commit on one ref, by the store',
    median(probe),
  );

  const idle: number[] = [];
  const before = configs(new Map([[ROUNDS - 1, 2000 + ROUNDS - 1]]), new Map([[0, 1 + ROUNDS]]));
  await mirror.pass(before, nodes);
  for (let round = 0; round < 10; round++) idle.push(await timed(() => mirror.pass(before, nodes)));
  console.log(`  a pass without a change: ${median(idle).toFixed(0)} ms`);

  const fresh = mirrorOf(store);
  console.log(
    `  the first pass of a new process: ${(await timed(() => fresh.pass(before, nodes))).toFixed(0)} ms`,
  );
  console.log(`  memory at most: ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
  await store.close();
  await rm(folder, { recursive: true, force: true });
}

let tip: Oid | null = null;

async function bareWrite(store: Store, round: number): Promise<void> {
  const batch = new Batch();
  const commit = batch.commit({
    parents: tip === null ? [] : [tip],
    files: new Map([['file', `${round}\n`]]),
    author: CONTROLLER,
    subject: 'probe',
    trailers: [],
  });
  batch.move('refs/heads/probe', commit, tip);
  [tip = null] = await store.write(batch);
}

if (import.meta.main) await measure();
