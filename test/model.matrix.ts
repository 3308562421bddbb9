// A hundred random histories of thirty steps each. MODEL_SEED chooses others; a failing history is printed as its steps.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lives, live } from './support/model.ts';

const SEED = Number(process.env['MODEL_SEED'] ?? 1);
const LIVES = 100;

describe(`lives of seed ${SEED}`, () => {
  test.concurrent.each(fc.sample(lives(30), { seed: SEED, numRuns: LIVES }))('life %#', async (...steps) => {
    const told = live(steps).catch((error: unknown) => {
      throw new Error(`${String(error)}\nin ${JSON.stringify(steps)}`, { cause: error });
    });
    await expect(told).resolves.toBeUndefined();
  });
});
