// 5,000 nodes on a real store by a clock that the test moves: what observations start and write in an interval, after a
// restart of the controller, and after all nodes booted at once.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { NodeBranchPolicy } from '../src/history/policy.ts';
import { serveStore } from './support/http.ts';
import {
  fullestSecond,
  HOUR,
  MINUTE,
  ObservedFleet,
  type ConfiguredFleet,
} from './support/observed-fleet.ts';
import { pushMtu } from './support/push-mtu.ts';

const NODES = Number(process.env['NODES'] ?? 5_000);
/** 5,000 nodes are looked at in 2,500 passes. */
const WORKED_OFF_MS = 3_600_000;
/** The first intervals after one run of all nodes end so long after the run. */
const FIRST_INTERVAL = 0.8 * HOUR;

let configured: ConfiguredFleet;
beforeAll(async () => {
  configured = await ObservedFleet.configured(NODES);
}, 900_000);
afterAll(() => configured[Symbol.asyncDispose]());

const stateOf = async (fleet: ObservedFleet): Promise<object> => ({
  refs: await fleet.refs(),
  statusWrites: fleet.statusWrites,
});

function tell(what: string, { passMs, observed }: ObservedFleet): void {
  const sorted = passMs.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
  console.log(
    `${what}: ${observed.length} observations in ${passMs.length} passes of ${at(0.5)} ms (p99 ${at(0.99)} ms)`,
  );
}

test('an hourly interval starts two observations a second, and makes neither a commit nor a status write', async () => {
  await using fleet = await ObservedFleet.open(configured);
  const before = await stateOf(fleet);
  fleet.now += FIRST_INTERVAL;
  // The first interval of all nodes ends within 24 minutes, which is more than the pace allows.
  expect(await fleet.run(2 * MINUTE)).toBeGreaterThan(200);
  expect(fullestSecond(fleet.observed)).toBe(2);
  expect(await stateOf(fleet)).toEqual(before);
  tell('an interval', fleet);
});

test('a controller that starts anew makes no storm, with or without observed.json', async () => {
  await using fleet = await ObservedFleet.open(configured);
  const before = await stateOf(fleet);
  // Nodes have booted since their runs, and a part of them was looked at since.
  fleet.reboot('second', (index) => index < NODES / 10);
  await fleet.run(MINUTE);
  const looked = new Set(fleet.observed.map(({ node }) => node));

  await fleet.restart();
  const kept = fleet.observed.length;
  await fleet.run(MINUTE);
  const afterKept = fleet.observed.slice(kept);
  expect(afterKept.length).toBeGreaterThan(NODES / 120);
  expect(afterKept.filter(({ node }) => looked.has(node))).toEqual([]);

  await fleet.restart({ lose: true });
  const lost = fleet.observed.length;
  await fleet.run(MINUTE);
  // All nodes are looked at again within one interval, whether they booted or not.
  expect(fleet.observed.length - lost).toBeGreaterThan((NODES / 60) * 0.7);
  expect(fleet.observed.length - lost).toBeLessThan((NODES / 60) * 1.3);

  expect(fullestSecond(fleet.observed)).toBe(2);
  expect(await stateOf(fleet)).toEqual(before);
  tell('restarts', fleet);
});

/** Nodes that a person edits in the CR, and that persons push to, while the fleet boots. */
const EDITED = Array.from({ length: 40 }, (_, index) => `node-${Math.floor((NODES / 40) * index) + 1}`);
const PUSHED = Array.from({ length: 10 }, (_, index) => `node-${Math.floor((NODES / 10) * index) + 2}`);
/** Runs begin within this time, however many hosts wait to be looked at. */
const RUN_WITHIN = MINUTE;

/** All nodes boot at once. Then a CR is edited and ten pushes come. @returns what that wrote */
async function bootAll(fleet: ObservedFleet): Promise<{ commits: number; statusWrites: number }> {
  const { statusWrites } = fleet;
  const commits = fleet.commits;
  const server = await serveStore(fleet.store, { policy: new NodeBranchPolicy(() => fleet.now) });
  try {
    fleet.reboot('second');
    await fleet.run(10_000);
    fleet.edit(EDITED, 1400);
    for (const node of PUSHED) {
      await pushMtu({ url: server.url, at: fleet.now, node, mtu: 1450 });
      await fleet.run(5_000);
    }
    const ran = (): boolean => {
      const nodes = new Set(fleet.ran.map(({ node }) => node));
      return [...EDITED, ...PUSHED].every((node) => nodes.has(node));
    };
    await fleet.runUntil('all changes have a run', ran, RUN_WITHIN);
    await fleet.run(MINUTE);
  } finally {
    await server.close();
  }
  return { commits: fleet.commits - commits, statusWrites: fleet.statusWrites - statusWrites };
}

test(
  '5,000 boots at once are worked off in a queue that status shows, beside an edit and pushes that have their runs',
  async () => {
    await using blind = await ObservedFleet.open(configured, { observes: false });
    const withoutLooks = await bootAll(blind);
    expect(blind.observed).toEqual([]);
    await using fleet = await ObservedFleet.open(configured);
    const began = fleet.now;
    const written = await bootAll(fleet);
    console.log(`${written.commits} commits, ${written.statusWrites} status writes`);
    expect(written).toEqual(withoutLooks);
    expect(fleet.ran).toEqual(blind.ran);
    const waiting = (): number => fleet.report.observations!.waiting;
    expect(waiting()).toBeGreaterThan(NODES - 2 * ((fleet.now - began) / 1000) - 100);
    const before = await stateOf(fleet);
    await fleet.runUntil('no boot waits', () => waiting() === 0, HOUR);
    // A run has seen the boot too.
    const ran = new Set(fleet.ran.map(({ node }) => node));
    const looks = Map.groupBy(fleet.observed, ({ node }) => node);
    for (const { name } of fleet.inventory)
      if ((looks.get(name)?.length ?? 0) + Number(ran.has(name)) === 0)
        throw new Error(`${name} was not seen`);
    expect(fleet.observed.length).toBeLessThanOrEqual(NODES);
    expect(fullestSecond(fleet.observed)).toBe(2);
    expect(await stateOf(fleet)).toEqual(before);
    tell('boots', fleet);
  },
  WORKED_OFF_MS,
);
