// A controller that is killed at random while hosts drift, are looked at and are repaired. The matrix has fifty kills.

import { expect, test } from 'vitest';
import { killAtRandom } from './support/drift-kills.ts';

test('no double Job, no lost drift, no repair of a node whose difference is gone', async () => {
  expect(await killAtRandom(5, Number(process.env['SEED'] ?? 1))).toBe(5);
}, 300_000);
