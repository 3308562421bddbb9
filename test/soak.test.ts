// The soak at a small size, so that the bench and its picture stay right.

import { expect, test } from 'vitest';
import { ticks } from '../bench/picture.ts';
import { soak } from '../bench/soak.ts';
import { soakPicture } from '../bench/soak-picture.ts';
import { KINDS } from '../bench/soak-plan.ts';

test('a small soak has each kind of event, samples of all figures, and a picture', async () => {
  const found = await soak({ nodes: 10, days: 1, maintainEvery: 10 });
  const { samples, fresh } = found;
  expect(samples.map(({ hour }) => hour)).toEqual([0, 6, 12, 18, 24]);
  const last = samples.at(-1)!;
  for (const kind of KINDS) expect([kind, last.events[kind]]).toEqual([kind, expect.any(Number)]);
  expect(Math.min(...Object.values(last.events))).toBeGreaterThan(0);
  expect(last.commits).toBeGreaterThan(15);
  expect(last.passes).toBeGreaterThan(24);
  for (const { quiet, logMs, checkoutMs, probeMs, rssMiB, heapMiB, packMiB } of samples.slice(1))
    expect(Math.min(quiet.cpuP50, logMs, checkoutMs, probeMs, rssMiB, heapMiB, packMiB)).toBeGreaterThan(0);
  expect(samples.filter(({ maintenanceMs }) => maintenanceMs !== undefined)).not.toEqual([]);
  expect(samples.filter(({ backupMs }) => backupMs !== undefined)).toHaveLength(1);
  expect(fresh.rssMiB).toBeGreaterThan(20);

  const picture = soakPicture(found);
  expect(picture).toMatch(/<title id="title">A simulated month<\/title>/);
  expect(picture.match(/<path class="line /g)!.length).toBeGreaterThan(12);
  expect(picture).not.toMatch(/NaN|Infinity|undefined/);
}, 600_000);

test('an axis has round values up to the largest one', () => {
  expect(ticks(187, 4)).toEqual([0, 50, 100, 150, 200]);
  expect(ticks(200, 4)).toEqual([0, 50, 100, 150, 200]);
  expect(ticks(0.35, 4)).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
  expect(ticks(0, 4)).toEqual([0, 0.5, 1]);
});
