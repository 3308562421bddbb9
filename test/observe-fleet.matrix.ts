// 5,000 nodes on a real store by a clock that the test moves: what observations of an hourly interval write.

import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  fullestSecond,
  HOUR,
  MINUTE,
  ObservedFleet,
  type ConfiguredFleet,
} from './support/observed-fleet.ts';

const NODES = 5_000;
/** The first intervals after one run of all nodes end so long after the run. */
const FIRST_INTERVAL = 0.8 * HOUR;

let configured: ConfiguredFleet;
beforeAll(async () => {
  configured = await ObservedFleet.configured(NODES);
}, 900_000);
afterAll(() => configured[Symbol.asyncDispose]());

const countsOf = ({ commits, statusWrites }: ObservedFleet): object => ({ commits, statusWrites });

function tell(what: string, { passMs, observed }: ObservedFleet): void {
  const sorted = passMs.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
  console.log(
    `${what}: ${observed.length} observations in ${passMs.length} passes of ${at(0.5)} ms (p99 ${at(0.99)} ms)`,
  );
}

test('an hourly interval starts two observations a second, and makes neither a commit nor a status write', async () => {
  await using fleet = await ObservedFleet.open(configured);
  const before = countsOf(fleet);
  fleet.now += FIRST_INTERVAL;
  // The first interval of all nodes ends within 24 minutes, which is more than the pace allows.
  expect(await fleet.run(2 * MINUTE)).toBeGreaterThan(200);
  expect(fullestSecond(fleet.observed)).toBe(2);
  expect(countsOf(fleet)).toEqual(before);
  tell('an interval', fleet);
});
