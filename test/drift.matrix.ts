// The random kills of drift.kills.ts, fifty times.

import { expect, test } from 'vitest';
import { killAtRandom } from './support/drift-kills.ts';

test('no double Job, no lost drift, no repair of a node whose difference is gone', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  expect(await killAtRandom(50, seed)).toBe(50);
});
