// Machines that are replaced under the name of their node: a new disk, a new VM, a copy of another machine's disk.
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { untilResults } from './support/drifting-host.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO] = NODES;
const ID_OF_ONE = 'i-0123456789abcdef0';
const FIXTURE = join(import.meta.dirname, '../fixtures/local/nodes');
const NETPLAN_0 = 'etc/netplan/90-multinic0.yaml';

/** Gives a node a fresh disk: no host record, no managed file, NICs with the kernel's names. */
async function reimage(local: LocalRun, node: string): Promise<void> {
  await rm(local.hostRoot(node), { recursive: true });
  await cp(join(FIXTURE, node, 'root'), local.hostRoot(node), { recursive: true });
}

describe('a machine is configured as a new one, without a confirmation:', () => {
  test('a new disk with the same UUID and machine ID, by a retry', async () => {
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

  test('a new disk that is found after a boot, by the run that the observation asks for', async () => {
    await using local = await LocalRun.start();
    const tip = await local.tip(ONE);
    await local.stop();
    await reimage(local, ONE);
    await local.editHost(ONE, (host) => {
      host.bootId = '00000000-0000-4000-8000-000000000002';
    });
    await local.launch();
    await untilResults(local, ONE, ['Applied', 'Requested', 'Applied']);
    expect(await local.git('log', '-1', '--format=%an%n%B', `outcome/${ONE}~1`)).toMatch(
      /^multinic-agent\n[^]*an observation asks for a run \(NewMachine\)/,
    );
    expect(await local.applied(ONE, tip)).toMatchObject({ state: 'Configured', appliedCommit: tip });
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('192.168.100.10');
  });

  test('a new VM under the same name, with the machine ID of its template, another UUID and other MACs', async () => {
    await using local = await LocalRun.start();
    await local.stop();
    await reimage(local, ONE);
    await local.editHost(ONE, (host) => {
      host.bootId = '00000000-0000-4000-8000-000000000001';
      host.links.splice(1, 2, { name: 'ens6', mac: '02:00:00:00:09:01', up: false, mtu: 1500 });
    });
    const inventory = join(local.dir, 'inventory.yaml');
    await writeFile(inventory, (await readFile(inventory, 'utf8')).replace(ID_OF_ONE, 'i-0aaaaaaaaaaaaaaaa'));
    const config = await local.config();
    Object.assign(config.spec.nodeConfigs[0]!, {
      attachedNodeId: 'i-0aaaaaaaaaaaaaaaa',
      interfaces: [{ macAddress: '02:00:00:00:09:01', address: '192.168.100.90', cidr: '192.168.100.90/24' }],
    });
    await local.writeConfig(config);
    await local.launch();
    await local.settled();
    const tip = await local.tip(ONE);
    expect(await local.applied(ONE, tip)).toMatchObject({ state: 'Configured', appliedCommit: tip });
    expect(await local.subjects(`node/${ONE}`)).toContain(`${ONE}: new machine`);
    const system = '--format=%(trailers:key=System-UUID,valueonly)';
    expect(await local.git('log', '-1', system, `outcome/${ONE}`)).toBe('i-0aaaaaaaaaaaaaaaa\n');
    expect(await local.hostFile(ONE, NETPLAN_0)).toContain('192.168.100.90');
    expect(await local.node(TWO)).toMatchObject({ state: 'Configured' });
  });
});
