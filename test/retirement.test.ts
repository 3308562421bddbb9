// Nodes that leave the home, as with an autoscaler: their history stays, no pass reads it, and a node that comes back
// is read again.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Branches } from '../src/history/node-branch.ts';
import { Fleet, HOUR_MS, inventoryNode } from './support/fleet.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO, THREE] = NODES;
const NETPLAN_0 = 'etc/netplan/90-multinic0.yaml';

/** Removes a node from the home. */
function leave(fleet: Fleet, name: string): void {
  fleet.inventory.splice(
    fleet.inventory.findIndex((node) => node.name === name),
    1,
  );
}

test('a node that left retires a day after its last commit, is read by no pass, and comes back with its history', async () => {
  await using fleet = await Fleet.open(['a', 'b', 'c']);
  fleet.want('cr', { a: 1500, b: 1500, c: 1500 });
  await fleet.pass();
  fleet.now += 2 * HOUR_MS;
  leave(fleet, 'b');
  leave(fleet, 'c');
  fleet.want('cr', { a: 1500, c: 1500 });
  const left = await fleet.pass();
  expect([left.retired, [...left.branches.keys()].sort()]).toEqual([0, ['a', 'b', 'c']]);
  const { tip } = await fleet.branch('b');
  expect(tip.subject).toMatch(/^b: remove multinic0/);

  // First one second too early, then in time. A node that a CR names does not retire.
  fleet.now = tip.committer.time * 1000 + 24 * HOUR_MS - 1000;
  await fleet.pass();
  expect((await fleet.pass()).retired).toBe(0);
  fleet.now += 1000;
  await fleet.pass();
  const retired = await fleet.pass();
  expect([retired.retired, [...retired.branches.keys()].sort()]).toEqual([1, ['a', 'c']]);
  const reads = vi.spyOn(Branches.prototype, 'at');
  const known = vi.spyOn(Branches.prototype, 'known');
  await fleet.pass();
  const looked = [...reads.mock.calls, ...known.mock.calls].map(([name]) => name);
  expect(looked).not.toContain('b');
  expect(looked).toContain('a');
  // Nodes that come and go must not fill the memory.
  const [branches] = known.mock.contexts as Branches[];
  expect(branches!.known('b', tip.oid)).toBeUndefined();
  expect(branches!.known('a', (await fleet.branch('a')).tip.oid)).toMatchObject({ name: 'a' });
  reads.mockRestore();
  known.mockRestore();
  // A command for all nodes leaves the retired node as it is.
  const by = { name: 'Bob', email: 'bob@example.org', principal: 'operator' };
  const { moved, skipped } = await fleet.commands.rerender([], undefined, by);
  expect([...moved, ...skipped].map(({ node }) => node)).not.toContain('b');
  expect((await fleet.branch('b')).tip.oid).toBe(tip.oid);

  // The next process reads the branch once, and then leaves the node out as well.
  await fleet.restart();
  await fleet.pass();
  expect((await fleet.pass()).retired).toBe(1);

  fleet.inventory.push(inventoryNode('b'));
  fleet.want('cr', { a: 1500, b: 1400, c: 1500 });
  const back = await fleet.pass();
  expect([back.retired, back.branches.get('b')?.network[0]?.mtu]).toEqual([0, 1400]);
  expect((await fleet.branch('b')).tip.parents).toEqual([tip.oid]);
});

test('a push to the branch of a retired node is read', async () => {
  await using fleet = await Fleet.open(['a', 'b']);
  fleet.want('cr', { a: 1500, b: 1500 });
  await fleet.pass();
  const { tip } = await fleet.branch('b');
  leave(fleet, 'b');
  fleet.want('cr', { a: 1500 });
  await fleet.pass();
  fleet.now += 25 * HOUR_MS;
  await fleet.pass();
  expect((await fleet.pass()).retired).toBe(1);
  await fleet.pushTree('b', tip.tree, 'back to what was');
  const { retired, branches } = await fleet.pass();
  expect([retired, branches.get('b')?.network.length]).toEqual([0, 1]);
});

test('a machine that comes back after its node retired is cleaned, and status shows it as a node without a CR', async () => {
  await using local = await LocalRun.start({ args: ['--retire-after', '0'] });
  const inventory = join(local.dir, 'inventory.yaml');
  const whole = await readFile(inventory, 'utf8');
  await writeFile(inventory, without(whole, TWO));
  await local.untilStatus('it is gone', ({ nodes }) => nodes.some(({ reason }) => reason === 'NodeGone'));
  const runs = (await local.subjects(`outcome/${TWO}`)).length;
  await local.editConfig((spec) => {
    spec.nodeConfigs = spec.nodeConfigs.filter(({ attachedNodeName }) => attachedNodeName !== TWO);
  });
  await local.run('retry', ONE);
  await local.untilStatus('retired', ({ retired }) => retired === 1);
  const { nodes, configs } = await local.settled();
  expect(nodes.map(({ node }) => node)).toEqual([ONE, THREE]);
  expect(configs[0]!.summary).toMatchObject({ totalNodes: 2, pendingNodes: 0 });
  await local.settled();
  expect(await local.run('status')).toMatch(/^Retired nodes: 1$/m);
  expect(await local.run('log', TWO)).toMatch(/remove multinic0/);
  expect(await local.subjects(`outcome/${TWO}`)).toHaveLength(runs);

  await writeFile(inventory, whole);
  await local.untilStatus('clean', ({ historyOnly }) => historyOnly?.includes(TWO) === true);
  await local.until('it ran', async () => (await local.subjects(`outcome/${TWO}`)).length > runs);
  await local.settled();
  expect(await local.hostFile(TWO, NETPLAN_0)).toBeUndefined();
  expect(await local.hostFile(TWO, 'etc/sysconfig/network-scripts/ifcfg-multinic0')).toBeUndefined();
  expect(await local.run('status')).toMatch(new RegExp(`^Only history: ${TWO}, which no CR names`, 'm'));
  expect(await local.run('status', TWO)).toMatch(new RegExp(`^Only history: ${TWO}`, 'm'));
});

/** Content of inventory.yaml without a node. */
function without(text: string, name: string): string {
  const items = text.split(/^(?= *- )/m);
  const rest = items.filter((item) => !item.includes(`name: ${name}`));
  if (rest.length !== items.length - 1) throw new Error(`inventory.yaml has no node ${name} of its own`);
  return rest.join('');
}
