// A pass remembers what it derived of a node as long as nothing about the node changes. A controller that begins now
// remembers nothing: at any moment of a random history, the two find the same.

import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HOUR, MINUTE, ObservedFleet, type ConfiguredFleet } from '../../test/support/observed-fleet.ts';

const NODES = 6;
const STEPS = 20;
const SEED = Number(process.env['SEED'] ?? 17);

let configured: ConfiguredFleet;
beforeAll(async () => {
  configured = await ObservedFleet.configured(NODES);
});
afterAll(() => configured[Symbol.asyncDispose]());

const node = fc.nat(NODES - 1).map((index) => `node-${index}`);
const flip = (set: Set<string>, name: string): unknown => set.delete(name) || set.add(name);
const paused = { 'multinic.io/paused': 'true' };

type Step = (fleet: ObservedFleet) => unknown;
const step: fc.Arbitrary<readonly [words: string, run: Step]> = fc.oneof(
  fc
    .tuple(fc.uniqueArray(node, { maxLength: 3 }), fc.integer({ min: 1280, max: 1500 }))
    .map(
      ([names, mtu]) =>
        [`edit ${names.join(' ')} ${mtu}`, (fleet: ObservedFleet) => fleet.edit(names, mtu)] as const,
    ),
  fc
    .uniqueArray(node, { minLength: 2, maxLength: 2 })
    .map(
      ([one, other]) => [`swap ${one} ${other}`, (fleet: ObservedFleet) => fleet.swap(one!, other!)] as const,
    ),
  node.map((name) => [`drift ${name}`, (fleet: ObservedFleet) => flip(fleet.drifted, name)] as const),
  node.map((name) => [`fail ${name}`, (fleet: ObservedFleet) => flip(fleet.failing, name)] as const),
  fc
    .tuple(node, fc.boolean())
    .map(
      ([name, ready]) =>
        [`${name} ready ${ready}`, (fleet: ObservedFleet) => fleet.change(name, { ready })] as const,
    ),
  fc.tuple(node, fc.boolean()).map(([name, isPaused]) => {
    const annotations = isPaused ? paused : {};
    return [
      `${name} paused ${isPaused}`,
      (fleet: ObservedFleet) => fleet.change(name, { annotations }),
    ] as const;
  }),
  fc
    .boolean()
    .map(
      (isPaused) =>
        [`CR paused ${isPaused}`, (fleet: ObservedFleet) => fleet.annotate(isPaused ? paused : {})] as const,
    ),
  fc
    .tuple(node, fc.constantFrom('boot', 'boot-2', 'boot-3'))
    .map(
      ([name, bootID]) =>
        [`boot ${name} ${bootID}`, (fleet: ObservedFleet) => fleet.change(name, { bootID })] as const,
    ),
  fc.tuple(node, fc.nat(2)).map(([name, last]) => {
    const addresses = [`10.0.${last}.200`];
    return [
      `${name} at ${addresses[0]}`,
      (fleet: ObservedFleet) => fleet.change(name, { addresses }),
    ] as const;
  }),
  fc
    .constantFrom(6_000, 2 * MINUTE, 2 * HOUR)
    .map((ms) => [`wait ${ms}`, (fleet: ObservedFleet) => (fleet.now += ms)] as const),
);

test('a pass that remembers finds what a controller finds that begins now', async () => {
  const history = fc.array(step, { minLength: STEPS, maxLength: STEPS });
  await fc.assert(
    fc.asyncProperty(history, fc.constantFrom('repair', 'report'), async (steps, drift) => {
      await using fleet = await ObservedFleet.open(configured, { drift });
      const done: string[] = [];
      for (const [words, run] of steps) {
        done.push(words);
        run(fleet);
        await fleet.settle();
        const written = fleet.commits;
        const anew = { done, ...(await fleet.findAnew()), commits: fleet.commits };
        expect(anew).toEqual({ done, ...fleet.finding, commits: written });
      }
    }),
    { numRuns: 2, seed: SEED, endOnFailure: true },
  );
});

test('what did not change is the same object in the next pass', async () => {
  await using fleet = await ObservedFleet.open(configured);
  await fleet.settle();
  const before = fleet.finding;
  await fleet.settle();
  expect(fleet.finding.views).toBe(before.views);
  fleet.edit(['node-3'], 1400);
  await fleet.settle();
  const { facts, views, statuses } = fleet.finding;
  expect(before.views.filter((view) => !views.includes(view)).map((view) => view.node)).toEqual(['node-3']);
  const anew = [...facts].flatMap(([name, each]) => (each === before.facts.get(name) ? [] : name));
  expect(anew).toEqual(['node-3']);
  const reported = new Set([...before.statuses.values()].flatMap(({ nodeStatuses }) => nodeStatuses));
  const again = [...statuses.values()].flatMap(({ nodeStatuses }) => nodeStatuses);
  expect(again.filter((each) => reported.has(each))).toHaveLength(NODES - 1);
});
