// A controller that is killed at random while hosts drift, are looked at and are repaired. The matrix has fifty kills.

import { expect, test } from 'vitest';
import { killAtRandom } from './support/drift-kills.ts';

test('no double Job, no lost drift, no repair of a node whose difference is gone', async () => {
  const survived = await killAtRandom(5, Number(process.env['SEED'] ?? 1));
  expect(survived.kills).toBe(5);
  expect(survived.undone).toBeGreaterThan(0);
}, 900_000);
