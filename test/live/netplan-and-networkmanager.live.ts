// A host that netplan and networkd configure, where NetworkManager runs too: it takes each NIC that is plugged in, and
// asks for DHCP there. What this file is about: once a run has taken a NIC, NetworkManager does nothing to it any more.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { bootRouter, DHCP, LiveHost } from '../support/live-host.ts';

const NICS = [nic(0), nic(1)];
const CONFIGURED = { multinic0: '1500 192.168.100.10/24', multinic1: '1500 192.168.101.10/24' };
const ROUTES = 'ip route show default';

let host: LiveHost;

beforeAll(async () => {
  host = await LiveHost.boot('netplan-and-networkmanager');
  // On one of the networks somebody answers with an address and a way to everywhere; on the other, nobody.
  await bootRouter(host.lab, 'tenant-0', DHCP);
  for (const index of [0, 1])
    await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
  await taken('ens5', 'ens6');
});

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.log(host.log);
});

afterAll(() => host?.[Symbol.asyncDispose]());

/** By link name, `unmanaged` or what NetworkManager does with it. */
async function devices(): Promise<Record<string, string>> {
  const lines = (await host.sh('nmcli -t -f DEVICE,STATE device')).trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(':', 2) as [string, string]));
}

/** Waits until NetworkManager has a lease on the first NIC and looks for one on the second. */
async function taken(first: string, second: string): Promise<void> {
  await waitFor(
    'leases of NetworkManager',
    async () =>
      (await host.sh(ROUTES)).includes(`dev ${first} proto dhcp`) &&
      (await devices())[second]?.startsWith('connecting') === true,
    { timeoutMs: 60_000, hint: () => host.sh('nmcli device; ip addr; ip route') },
  );
}

/** Ours alone, and no way to everywhere but the node's own. */
async function expectOurs(): Promise<void> {
  expect(await host.configured()).toEqual(CONFIGURED);
  expect(await host.sh(ROUTES)).not.toContain('multinic');
  expect(await devices()).toMatchObject({ multinic0: 'unmanaged', multinic1: 'unmanaged' });
}

async function flap(): Promise<void> {
  for (const { mac } of NICS) await host.machine.setCarrier(mac, false);
  // NetworkManager takes all off a NIC of its own after six.
  await host.sh('sleep 8');
  for (const { mac } of NICS) await host.machine.setCarrier(mac, true);
  await host.sh('sleep 4');
}

test('a run that fails gives the NICs back to NetworkManager', async () => {
  const { outcome } = await host.apply('netplan', NICS, { probes: ['192.168.100.99'] });
  expect(outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
  await taken('ens5', 'ens6');
});

test('a run that is killed too: the host’s own restore does it', async () => {
  expect((await host.apply('netplan', NICS, { killAt: 'agent.verify' })).code).toBe(137);
  expect(await devices()).toMatchObject({ multinic0: 'unmanaged', multinic1: 'unmanaged' });
  await host.sh('systemctl start --wait $(cat /var/lib/multinic/restore.unit).service');
  await taken('ens5', 'ens6');
});

test('NICs that NetworkManager had taken become ours alone, and stay so', async () => {
  expect((await host.apply('netplan', NICS)).outcome).toMatchObject({ result: 'Applied' });
  await expectOurs();
  const again = await host.apply('netplan', NICS);
  expect(again.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
  expect(host.log).toContain('nothing to change');
  expect((await host.observe()).result).toBe('Observed');
  await flap();
  await expectOurs();
  await host.sh('systemctl restart NetworkManager; sleep 5');
  await expectOurs();
  await flap();
  await expectOurs();
});

test('a NIC that somebody gives to NetworkManager again is drift, and the next run takes it back', async () => {
  await host.sh('nmcli device set multinic0 managed yes; nmcli device connect multinic0');
  expect(await host.sh(ROUTES)).toContain('dev multinic0 proto dhcp');
  const { result, differences } = await host.observe();
  expect(result).toBe('Drifted');
  expect(differences.map(({ kind, mac }) => [kind, mac])).toContainEqual([
    'NetworkManagerManages',
    nic(0).mac,
  ]);
  expect((await host.apply('netplan', NICS)).outcome).toMatchObject({ result: 'Applied', written: [] });
  await expectOurs();
  await flap();
  await expectOurs();
});

test('after a boot they are ours from the beginning', async () => {
  await host.machine.reboot();
  await host.settled();
  await host.sh('sleep 5');
  await expectOurs();
  const { outcome } = await host.apply('netplan', NICS);
  expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
  expect(host.log).toContain('nothing to change');
});

test('a profile of a person that gives a NIC an address is named, and nothing is touched', async () => {
  const profile = '/etc/NetworkManager/system-connections/lan.nmconnection';
  await host.machine.attachNic({ mac: nic(2).mac, network: 'tenant-2' });
  await host.sh(`nmcli connection add type ethernet con-name lan mac ${nic(2).mac} ip4 10.7.7.7/24`);
  const { outcome } = await host.apply('netplan', [...NICS, nic(2)]);
  expect(outcome).toMatchObject({ result: 'Failed', reason: 'ForeignConfig', step: 'plan' });
  expect(outcome?.message).toContain(profile.slice(1));
  await host.sh('nmcli connection delete lan');
  await host.machine.detachNic(nic(2).mac);
  await expectOurs();
});

test('NICs that leave the commit get nothing from NetworkManager, after a boot either', async () => {
  expect((await host.apply('netplan', [])).outcome).toMatchObject({ result: 'Applied' });
  await host.sh('sleep 3');
  expect(await host.configured()).toEqual({});
  expect(await host.sh(ROUTES)).not.toContain('proto dhcp');
  await host.machine.reboot();
  await host.sh('sleep 8');
  expect(await host.sh('ip -br -4 addr show ens5; ip -br -4 addr show ens6')).not.toMatch(/\d+\.\d+\./);
  expect(await host.sh(ROUTES)).not.toContain('proto dhcp');
});

test('a node that changes from keyfiles to netplan: a failure leaves its NICs to NetworkManager, a success takes them', async () => {
  expect((await host.apply('keyfile', NICS)).outcome).toMatchObject({ result: 'Applied' });
  expect(await devices()).toMatchObject({ multinic0: 'connected', multinic1: 'connected' });
  const failed = await host.apply('netplan', NICS, { probes: ['192.168.100.99'] });
  expect(failed.outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
  expect(await host.configured()).toEqual(CONFIGURED);
  expect(await devices()).toMatchObject({ multinic0: 'connected', multinic1: 'connected' });
  expect((await host.apply('netplan', NICS)).outcome).toMatchObject({ result: 'Applied' });
  await expectOurs();
  await flap();
  await expectOurs();
});

/** NetworkManager's alone, by our profiles, and no way to everywhere but the node's own. */
async function expectProfiles(): Promise<void> {
  await waitFor('our profiles', async () => (await devices())['multinic1'] === 'connected', {
    timeoutMs: 30_000,
    hint: () => host.sh('nmcli device; nmcli connection; ip addr'),
  });
  expect(await devices()).toMatchObject({ multinic0: 'connected', multinic1: 'connected' });
  const active = await host.sh('nmcli -t -f DEVICE,NAME connection show --active');
  for (const { name } of NICS) expect(active).toContain(`${name}:${name}`);
  expect(await host.configured()).toEqual(CONFIGURED);
  expect(await host.sh(ROUTES)).not.toContain('multinic');
}

describe('a node that changes from netplan to keyfiles', () => {
  test('keeps its NICs with netplan where the run fails, or is killed', async () => {
    const failed = await host.apply('keyfile', NICS, { probes: ['192.168.100.99'] });
    expect(failed.outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
    await expectOurs();
    expect((await host.apply('keyfile', NICS, { killAt: 'agent.verify' })).code).toBe(137);
    await host.sh('systemctl start --wait $(cat /var/lib/multinic/restore.unit).service');
    await expectOurs();
    await flap();
    await expectOurs();
    const same = await host.apply('netplan', NICS);
    expect(same.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
  });

  test('gives its NICs to NetworkManager, for good', async () => {
    expect((await host.apply('keyfile', NICS)).outcome).toMatchObject({ result: 'Applied' });
    await expectProfiles();
    expect((await host.apply('keyfile', NICS)).outcome).toMatchObject({ result: 'Applied', written: [] });
    expect(host.log).toContain('nothing to change');
    expect((await host.observe()).result).toBe('Observed');
    await flap();
    await expectProfiles();
    await host.sh('systemctl restart NetworkManager; sleep 5');
    await expectProfiles();
    await host.machine.reboot();
    await host.settled();
    await expectProfiles();
    expect((await host.apply('keyfile', NICS)).outcome).toMatchObject({ result: 'Applied', written: [] });
    expect(host.log).toContain('nothing to change');
  }, 300_000);

  test('changes them while it takes them, and goes back', async () => {
    expect((await host.apply('netplan', NICS)).outcome).toMatchObject({ result: 'Applied' });
    await expectOurs();
    const other = nic(0, { address: '192.168.100.11', mtu: 1400 });
    expect((await host.apply('keyfile', [other])).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.configured()).toEqual({ multinic0: '1400 192.168.100.11/24' });
    expect((await devices())['multinic0']).toBe('connected');
    expect((await host.apply('netplan', NICS)).outcome).toMatchObject({ result: 'Applied' });
    await expectOurs();
  });
});
