// `apply: full`: the host's own network manager applies all of its files, and foreign state on the node's own NIC
// is restored afterwards.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../src/network/interface.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { foreign, foreignState, HOSTS, LiveHost, NOT_OURS } from '../support/live-host.ts';

const OLD: Network = [nic(0), nic(1)];
const NEW: Network = [
  nic(0, { address: '192.168.100.11', mtu: 1400 }),
  nic(2, { address: 'fd00:102::10', prefix: 64 }),
];

describe.each(HOSTS)('%s', (rootfs, kind) => {
  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1, 2])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    await foreign(host);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  async function run(network: Network, probes?: string[]) {
    await host.settled();
    const before = await foreignState(host);
    const { outcome } = await host.apply(kind, network, { mode: 'full', ...(probes && { probes }) });
    await host.settled();
    expect(await foreignState(host)).toBe(before);
    return outcome;
  }

  /** @returns the addresses after three seconds, within which an old address would return */
  async function whenBack(address: string): Promise<string[]> {
    const has = async (): Promise<boolean> => (await host.addresses('multinic0')).includes(address);
    await waitFor(address, has, { timeoutMs: 30_000 });
    await host.sh('sleep 3');
    return host.addresses('multinic0');
  }

  test('NICs come, change and go', async () => {
    expect(await run(OLD)).toMatchObject({ result: 'Applied' });
    expect(await host.configured()).toEqual({
      multinic0: '1500 192.168.100.10/24',
      multinic1: '1500 192.168.101.10/24',
    });
    expect(await run(NEW)).toMatchObject({ result: 'Applied' });
    expect(await host.configured()).toEqual({
      multinic0: '1400 192.168.100.11/24',
      multinic2: '1500 fd00:102::10/64',
    });
  });

  test('a carrier that comes back changes nothing: the manager knows the new address', async () => {
    await host.machine.setCarrier(nic(0).mac, false);
    await host.sh('sleep 6');
    await host.machine.setCarrier(nic(0).mac, true);
    expect(await whenBack('192.168.100.11/24')).toEqual(['192.168.100.11/24']);
  });

  test('after a reload networkd no longer holds the files of the boot', async () => {
    await host.reboot(2);
    await foreign(host);
    const moved = [nic(0, { address: '192.168.100.12', mtu: 1400 }), NEW[1]!];
    const live = await host.apply(kind, moved);
    expect(live.outcome?.warnings).toEqual(kind === 'netplan' ? ['NetworkdHoldsOldFile'] : undefined);
    // The agent is killed before networkd reloads its files, so the reload is still due. NetworkManager needs none.
    const killed = await host.apply(kind, moved, { mode: 'full', killAt: 'agent.activate' });
    expect(killed.code).toBe(kind === 'netplan' ? 137 : 0);
    expect((await run(moved))?.warnings).toBeUndefined();
    await host.machine.setCarrier(nic(0).mac, false);
    await host.sh('sleep 1');
    await host.machine.setCarrier(nic(0).mac, true);
    expect(await whenBack('192.168.100.12/24')).toEqual(['192.168.100.12/24']);
    // networkd 247 removes foreign blackhole routes whenever it configures a NIC.
    await foreign(host);
    expect((await run(NEW))?.result).toBe('Applied');
  }, 300_000);

  test('killed after the manager has reloaded all files: the host’s own restore restores everything', async () => {
    // A restarted NetworkManager may remove foreign state a moment later.
    const witness = kind === 'netplan' ? NOT_OURS : 'systemctl show --property=MainPID NetworkManager';
    await host.settled();
    const before = await foreignState(host);
    const seen = await host.sh(witness);
    const ours = await host.configured();
    const end = await host.apply(kind, OLD, {
      mode: 'full',
      killAt: 'agent.activate.reload',
      deadline: 20,
    });
    expect(end.code).toBe(137);
    expect(await host.sh(witness)).not.toBe(seen);
    const units = 'systemctl list-units --all --plain --no-legend "multinic-restore*"';
    await waitFor('the host’s own restore', async () => (await host.sh(units)) === '', {
      timeoutMs: 90_000,
      everyMs: 500,
    });
    await host.settled();
    expect(await foreignState(host)).toBe(before);
    expect(await host.configured()).toEqual(ours);
    expect(await run(NEW)).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(await host.configured()).toEqual(ours);
  }, 300_000);

  test.runIf(kind === 'netplan')(
    'a bridge and its port, of one MAC, keep what each of them has',
    async () => {
      await host.sh(`ip link add br9 type bridge; ip link add v0 type veth peer name v1
      ip link set v0 master br9; ip link set br9 address $(cat /sys/class/net/v0/address); ip link set v0 up; ip link set v1 up; ip link set br9 up
      ip addr add 10.88.0.1/24 dev br9; ip route add 10.89.0.0/16 via 10.88.0.2 dev br9 proto bird`);
      const both = 'for each in br9 v0; do ip -br -4 addr show $each; ip route show dev $each; done';
      const before = await host.sh(both);
      for (const network of [OLD, NEW]) expect(await run(network)).toMatchObject({ result: 'Applied' });
      expect(await host.sh(both)).toBe(before);
      await host.sh('ip link del br9; ip link del v0');
    },
  );

  test('a failed run leaves the host as before', async () => {
    const outcome = await run(OLD, ['192.168.101.99']);
    expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
    expect(await host.configured()).toEqual({
      multinic0: '1400 192.168.100.11/24',
      multinic2: '1500 fd00:102::10/64',
    });
  });
});
