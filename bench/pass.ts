// Whole passes of a controller over 5,000 configured nodes, from the CRs to the status. Measures CPU time, which a busy
// machine stretches less than the time of a clock. The bench runs in a process of its own, with the flags of the program.

import { execaNode } from 'execa';
import { NODE_FLAGS } from '../scripts/node-flags.ts';
import { ObservedFleet } from '../test/support/observed-fleet.ts';
import { measured, median, type Bench } from './report.ts';

const NODES = 5_000;
const ROUNDS = 30;

export const benches: Bench[] = [
  {
    name: 'pass: whole passes of a controller over 5,000 nodes',
    run: async () => {
      await execaNode({ nodeOptions: NODE_FLAGS, stdio: 'inherit' })`bench/pass.ts`;
    },
  },
];

async function measure(): Promise<void> {
  await using configured = await ObservedFleet.configured(NODES);
  await using fleet = await ObservedFleet.open(configured);
  const onePass = (): Promise<unknown> => fleet.run(fleet.stepMs);
  await cpuOf(onePass);
  measured('CPU of a pass without a change', median(await cpuOf(onePass)), 'ms');
  let round = 0;
  const changed = await cpuOf(async () => {
    fleet.edit([`node-${round * 7}`], 1400 + round);
    round += 1;
    await onePass();
  });
  measured('CPU of a pass with one changed node of one CR', median(changed), 'ms');
  const joined = await cpuOf(async () => {
    fleet.change(`node-${round * 7}`, { ready: round % 2 === 0 });
    round += 1;
    await onePass();
  });
  measured('CPU of a pass with one Node that changed', median(joined), 'ms');
}

/** @returns milliseconds of CPU of each round, of this process alone */
async function cpuOf(work: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    all.push((user + system) / 1_000);
  }
  return all;
}

if (import.meta.main) await measure();
