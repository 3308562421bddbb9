// Addresses that move between nodes: every run waits its turn, no run fails, and no two hosts ever have one address.
// Recorded hosts do not answer ARP for one another, so only the order keeps them apart.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  ADDRESS,
  addressesOf,
  deal,
  expectAt,
  give,
  giveIPv6,
  interfacesOf,
  results,
  Watch,
} from './support/address-moves.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO, THREE] = NODES;

describe('one edit', () => {
  test('two nodes swap: one frees its address first, and history has one commit a node', async () => {
    await using local = await LocalRun.start();
    const before = { [ONE]: await local.tip(ONE), [TWO]: await local.tip(TWO) };
    {
      await using _ = new Watch(local);
      await local.editConfig((spec) => deal(spec, { [ONE]: TWO, [TWO]: ONE }));
    }
    await expectAt(local, { [ONE]: ADDRESS[TWO], [TWO]: ADDRESS[ONE] });
    expect(await addressesOf(local, ONE)).toContain('192.168.200.10');
    expect([await results(local, ONE), await results(local, TWO)]).toEqual([
      ['PendingAddressFreed', 'Applied'],
      ['Applied'],
    ]);
    for (const node of [ONE, TWO] as const) {
      expect(await local.git('rev-parse', `node/${node}~1`)).toBe(before[node]);
      expect(await local.node(node)).not.toHaveProperty('held');
    }
    const left = await local.git('log', '-1', '--skip=1', '--first-parent', `outcome/${ONE}`);
    expect(left).toContain('Left-Out: 02:00:00:00:01:01');
    expect(left).toContain('left out for now: multinic0 (02:00:00:00:01:01) with 192.168.100.11');
  });

  test('three rotate', async () => {
    await using local = await LocalRun.start();
    {
      await using _ = new Watch(local);
      await local.editConfig((spec) => deal(spec, { [ONE]: TWO, [TWO]: THREE, [THREE]: ONE }));
    }
    await expectAt(local, { [ONE]: ADDRESS[TWO], [TWO]: ADDRESS[THREE], [THREE]: ADDRESS[ONE] });
    const all = (await Promise.all(NODES.map((node) => results(local, node)))).flat();
    expect(all.toSorted()).toEqual(['Applied', 'Applied', 'Applied', 'PendingAddressFreed']);
  });

  test('IPv6 addresses swap, and a third node takes an address that a NIC gives up', async () => {
    await using local = await LocalRun.start();
    await local.editConfig((spec) => {
      giveIPv6(spec, ONE, 1);
      giveIPv6(spec, TWO, 2);
    });
    {
      await using _ = new Watch(local);
      await local.editConfig((spec) => {
        giveIPv6(spec, ONE, 2);
        giveIPv6(spec, TWO, 1);
        interfacesOf(spec, ONE).splice(1, 1);
        give(spec, THREE, '192.168.200.10');
      });
    }
    await expectAt(local, { [ONE]: 'fd00::2', [TWO]: 'fd00::1', [THREE]: '192.168.200.10' });
    for (const node of NODES) expect((await results(local, node)).join()).not.toContain('Failed');
  });
});

describe('the status names the node that another node waits for, and no run fails:', () => {
  test('the holder is paused: both nodes go on when it is resumed', async () => {
    await using local = await LocalRun.start();
    await local.run('pause', ONE);
    await local.editConfig((spec) => deal(spec, { [ONE]: TWO, [TWO]: ONE }));
    expect(await local.node(TWO)).toMatchObject({
      state: 'Pending',
      reason: 'WaitsForAddress',
      message: `${ADDRESS[ONE]} is still on node ${ONE}. ${ONE}: changes wait: multinic resume ${ONE}. If the NICs of the two nodes are in separate networks: multinic retry ${TWO}`,
    });
    expect(await results(local, TWO)).toEqual([]);
    await local.run('resume', ONE);
    await local.untilStatus('both are configured', ({ nodes }) =>
      nodes.every(({ state }) => state === 'Configured'),
    );
    await expectAt(local, { [ONE]: ADDRESS[TWO], [TWO]: ADDRESS[ONE] });
    expect((await results(local, TWO)).concat(await results(local, ONE)).join()).not.toContain('Failed');
  });

  test('one of two swapped nodes is rolled back: it waits until the other node is rolled back too', async () => {
    await using local = await LocalRun.start();
    await local.editConfig((spec) => deal(spec, { [ONE]: TWO, [TWO]: ONE }));
    await local.run('rollback', ONE);
    await local.untilStatus('it waits', ({ nodes }) =>
      nodes.some(({ reason }) => reason === 'WaitsForAddress'),
    );
    const { message, held } = await local.node(ONE);
    expect(held).toBe(true);
    expect(message).toContain(`${ADDRESS[ONE]} is still on node ${TWO}, which keeps it: `);
    expect(message).toContain(`roll ${TWO} back too, or run multinic release ${ONE}`);
    await expectAt(local, { [TWO]: ADDRESS[ONE] });
    {
      await using _ = new Watch(local);
      await local.run('rollback', TWO);
      await local.untilStatus('both are back', ({ nodes }) =>
        nodes.every(({ state }) => state === 'Configured'),
      );
    }
    await expectAt(local, { [ONE]: ADDRESS[ONE], [TWO]: ADDRESS[TWO] });
  });

  test('the holder is held and keeps the address: a retry of the waiting node still runs, and finds the address in use', async () => {
    await using local = await LocalRun.start();
    await local.editConfig((spec) => give(spec, ONE, '192.168.100.90'));
    await local.run('rollback', ONE);
    await local.settled();
    await local.editConfig((spec) => give(spec, TWO, ADDRESS[ONE]));
    const { message, state } = await local.node(TWO);
    expect(state).toBe('Pending');
    expect(message).toContain(`${ADDRESS[ONE]} is still on node ${ONE}, which keeps it: held since `);
    expect(message).toContain(`(multinic release ${ONE})`);
    await local.editHost(TWO, (host) =>
      Object.assign(host, { neighbours: [{ address: ADDRESS[ONE], mac: '02:00:00:00:01:01' }] }),
    );
    await local.run('retry', TWO);
    await local.untilStatus('the network says so', ({ nodes }) =>
      nodes.some(({ reason }) => reason === 'AddressTaken'),
    );
    expect((await local.node(TWO)).message).toContain(`${ADDRESS[ONE]} is on node ${ONE} too: `);
    await local.editHost(TWO, (host) => void Object.assign(host, { neighbours: [] }));
    await local.run('release', ONE);
    await local.run('retry', TWO);
    await local.untilStatus('both are configured', ({ nodes }) =>
      nodes.every(({ state }) => state === 'Configured'),
    );
    await expectAt(local, { [ONE]: '192.168.100.90', [TWO]: ADDRESS[ONE] });
  });

  test('the holder left the inventory: the other node does not wait for it', async () => {
    await using local = await LocalRun.start();
    const config = await local.config();
    await local.stop();
    const inventory = join(local.dir, 'inventory.yaml');
    const listed = parse(await readFile(inventory, 'utf8')) as { nodes: { name: string }[] };
    listed.nodes = listed.nodes.filter(({ name }) => name !== ONE);
    await writeFile(inventory, JSON.stringify(listed));
    config.spec.nodeConfigs = config.spec.nodeConfigs.filter(
      ({ attachedNodeName }) => attachedNodeName !== ONE,
    );
    give(config.spec, TWO, ADDRESS[ONE]);
    await local.writeConfig(config);
    await local.launch();
    await local.untilStatus('it has the address', ({ nodes }) =>
      nodes.some(({ node, state }) => node === TWO && state === 'Configured'),
    );
    await local.settled();
    await expectAt(local, { [TWO]: ADDRESS[ONE] });
  });
});
