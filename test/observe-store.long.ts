// A small fleet on a real store whose hosts are looked at for hours, by a clock that the test moves: what observations
// write. observe-fleet.matrix.ts has 5,000 nodes.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { kindOf } from '../src/history/commit-format.ts';
import { nodeRef } from '../src/network/node-ref.ts';
import {
  fullestSecond,
  HOUR,
  MINUTE,
  ObservedFleet,
  type ConfiguredFleet,
  type ObservedFleetOptions,
} from './support/observed-fleet.ts';

const NODES = 80;
const STEP_MS = 10_000;

let configured: ConfiguredFleet;
beforeAll(async () => {
  configured = await ObservedFleet.configured(NODES);
});
afterAll(() => configured[Symbol.asyncDispose]());

async function open(options: ObservedFleetOptions = {}): Promise<ObservedFleet> {
  const fleet = await ObservedFleet.open(configured, options);
  fleet.stepMs = STEP_MS;
  return fleet;
}

const countsOf = ({ commits, statusWrites }: ObservedFleet): object => ({ commits, statusWrites });

test('hours of observations make no commit and no status write while nothing drifts', async () => {
  await using looks = await open();
  await using blind = await open({ observes: false });
  const before = [looks, blind].map(countsOf);
  // An interval is an hour, a fifth longer or shorter.
  expect(await looks.run(2 * HOUR)).toBeGreaterThanOrEqual(NODES);
  expect(await blind.run(2 * HOUR)).toBe(0);
  expect([looks, blind].map(countsOf)).toEqual(before);
}, 600_000);

test('a restart makes no storm and writes nothing, with or without observed.json', async () => {
  await using fleet = await open();
  await fleet.run(HOUR);
  // Each boot is one that no run has seen.
  fleet.reboot('second');
  await fleet.run(5 * MINUTE);
  const before = { refs: await fleet.refs(), statusWrites: fleet.statusWrites };
  for (const lose of [false, true]) {
    await fleet.restart({ lose });
    expect(await fleet.run(30 * MINUTE)).toBeLessThan((NODES / 2) * 1.5 + 20);
    expect({ refs: await fleet.refs(), statusWrites: fleet.statusWrites }).toEqual(before);
  }
  expect(fullestSecond(fleet.observed)).toBeLessThanOrEqual(2);
  // A boot since the loss is new, also where nothing else is remembered of the host.
  const looked = fleet.observed.length;
  fleet.reboot('third');
  await fleet.runUntil('all boots are seen', () => fleet.observed.length >= looked + NODES, 10 * MINUTE);
}, 600_000);

test('fifty nodes of a small fleet that boot together are seen within a minute', async () => {
  await using fleet = await open();
  fleet.stepMs = 1_000;
  await fleet.run(MINUTE);
  fleet.reboot('second', (index) => index < 50);
  await fleet.run(MINUTE);
  expect(fleet.observed.length).toBe(50);
  expect(fleet.report.observations).toMatchObject({ waiting: 0 });
}, 600_000);

test('a drift is one commit, however often it is seen, and its end is another', async () => {
  await using fleet = await open();
  await fleet.run(2 * HOUR);
  const { commits, statusWrites } = fleet;
  fleet.drifted.add('node-0');
  await fleet.run(3 * HOUR);
  expect(fleet.observed.filter(({ node }) => node === 'node-0').length).toBeGreaterThan(3);
  expect(fleet.commits).toBe(commits + 1);
  expect(fleet.configured).toBe(NODES - 1);
  const told = fleet.statusWrites;
  expect(told - statusWrites).toBeLessThanOrEqual(2);
  fleet.drifted.clear();
  await fleet.run(1.5 * HOUR);
  expect(fleet.commits).toBe(commits + 2);
  expect(fleet.configured).toBe(NODES);
  expect(fleet.statusWrites - told).toBeLessThanOrEqual(2);
}, 600_000);

test('a report that is read again after a restart changes nothing', async () => {
  await using fleet = await open();
  await fleet.run(2 * HOUR);
  fleet.drifted.add('node-0');
  await fleet.run(1.5 * HOUR);
  await fleet.restart();
  // The first observation of each node: node-0 was as its commit has it.
  fleet.drifted.delete('node-0');
  const { commits } = fleet;
  expect(fleet.bringBack(NODES)).toBe(NODES);
  const began = await fleet.run(2 * MINUTE);
  expect(began).toBeLessThan(10);
  expect(fleet.commits).toBe(commits);
  expect(fleet.configured).toBe(NODES - 1);
}, 600_000);

const ofNode = (all: readonly { node: string; at: number }[]) => all.filter(({ node }) => node === 'node-0');

test('a repair is one although the node got another identity with the same files meanwhile', async () => {
  await using fleet = await open({ drift: 'repair' });
  await fleet.run(2 * HOUR);
  fleet.stepMs = 1_000;
  fleet.drifted.add('node-0');
  const looks = ofNode(fleet.observed).length;
  await fleet.runUntil('it is looked at', () => ofNode(fleet.observed).length > looks, 2 * HOUR);
  // The pass that records the drift commits the identity as well.
  await fleet.run(2_000);
  fleet.change('node-0', { osImage: 'Ubuntu 24.04.1 LTS' });
  await fleet.runUntil('it is repaired', () => ofNode(fleet.ran).length > 0, MINUTE);
  const [{ at: repaired } = { at: 0 }] = ofNode(fleet.ran);
  const changes = await kindsOf(fleet, 'node-0');
  expect(changes[0]).toBe('identity');
  await fleet.run(20 * MINUTE);
  const minutes = ofNode(fleet.observed).map(({ at }) => Math.floor((at - repaired) / MINUTE));
  expect(minutes.filter((minute) => minute >= 0)).toEqual([1, 5, 15]);
}, 600_000);

/** Kinds of the commits of a node, newest first. */
async function kindsOf({ store: { reader } }: ObservedFleet, node: string): Promise<string[]> {
  const tip = await reader.ref(nodeRef(node));
  const commits = await reader.log(tip!);
  return commits.map((commit) => kindOf(commit) ?? '');
}
