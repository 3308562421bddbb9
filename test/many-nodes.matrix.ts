// A change of 5,000 nodes is rolled back by one command, in the time that the CLI waits for an answer.

import { expect, test } from 'vitest';
import { crowding } from './support/crowding.ts';
import { Fleet, HOUR_MS } from './support/fleet.ts';

const BY = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
const COUNT = 5_000;
const LIMIT_MS = 60_000;
const NAMES = Array.from({ length: COUNT }, (_, index) => `node-${String(index).padStart(4, '0')}`);

function entryOf(name: string, index: number, mtu: number): object {
  const [high, low] = [Math.floor(index / 200), index % 200];
  const macAddress = [2, 0, 0, 3, high, low].map((part) => part.toString(16).padStart(2, '0')).join(':');
  const nic = { macAddress, cidr: `10.${high}.${low}.10/24`, mtu };
  return { attachedNodeId: `i-${name}`, attachedNodeName: name, interfaces: [nic] };
}

test('a change of 5,000 nodes is rolled back within a minute', { timeout: 1_200_000 }, async () => {
  await using fleet = await Fleet.open(NAMES);
  const wish = (mtu: number): void =>
    fleet.write('cr', { nodeConfigs: NAMES.map((name, index) => entryOf(name, index, mtu)) });
  wish(1500);
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  wish(1400);
  const { main } = await fleet.pass();
  const crowded = crowding();
  const began = performance.now();
  const { moved, skipped } = await fleet.commands.rollbackChange(main.commit, BY);
  const took = performance.now() - began;
  const alone = took / Math.max(crowded, crowding());
  console.log(`${COUNT} nodes in ${Math.round(took)} ms, ${Math.round(alone)} on a machine of its own`);
  expect([moved.length, skipped]).toEqual([COUNT, []]);
  for (const node of [NAMES[0]!, NAMES.at(-1)!]) expect(await fleet.mtu(node)).toBe(1500);
  expect(alone).toBeLessThan(LIMIT_MS);
});
