// Machines that are replaced under their node's name: a new disk, a new VM, a copy of another one's disk.
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LocalRun, NODES } from './support/local.ts';

const [ONE] = NODES;
const FIXTURE = join(import.meta.dirname, '../fixtures/local/nodes');
const NETPLAN_0 = 'etc/netplan/90-multinic0.yaml';

/** Gives a node the disk that its machine came with: no record, no file of ours, NICs with the kernel's names. */
async function reimage(local: LocalRun, node: string): Promise<void> {
  await rm(local.hostRoot(node), { recursive: true });
  await cp(join(FIXTURE, node, 'root'), local.hostRoot(node), { recursive: true });
}

describe('a machine is configured as a new one, and no person is asked', () => {
  test('a new disk with the same UUID and machine ID: by a retry', async () => {
    await using local = await LocalRun.start();
    const tip = await local.tip(ONE);
    await local.stop();
    await reimage(local, ONE);
    await local.launch();
    const outcome = (await local.outcomes())[ONE];
    await local.run('retry', ONE);
    await local.until('a run after the request', async () => {
      const [newest] = await local.subjects(`outcome/${ONE}`);
      return (await local.outcomes())[ONE] !== outcome && !newest!.includes('requested');
    });
    await local.settled();
    expect(await local.node(ONE)).toMatchObject({ state: 'Configured', appliedCommit: tip });
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('192.168.100.10');
  });
});
