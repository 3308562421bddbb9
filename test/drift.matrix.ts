// The random kills of drift.kills.ts, fifty times.

import { expect, test } from 'vitest';
import { killAtRandom } from './support/drift-kills.ts';

/** A round takes a quarter of a minute on a quiet machine, and a minute beside much else. */
const ROUNDS_MS = 3_600_000;

test(
  'no double Job, no lost drift, no repair of a node whose difference is gone',
  { timeout: ROUNDS_MS },
  async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    console.log(`SEED=${seed}`);
    const survived = await killAtRandom(50, seed);
    console.log(survived);
    expect(survived.kills).toBe(50);
    expect(survived.undone).toBeGreaterThan(5);
    // In some of these rounds the drift was recorded, so a run follows and finds nothing to do.
    expect(survived.idleRuns).toBeGreaterThan(0);
  },
);
