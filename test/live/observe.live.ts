// Observations of running hosts: the description and repair of each drift, foreign additions that are no drift, and no change
// by the observation itself.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { describeDifference } from '../../src/api/difference-words.ts';
import type { Network } from '../../src/network/interface.ts';
import type { RendererKind } from '../../src/network/node.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { foreign, HOSTS, LiveHost, monitored } from '../support/live-host.ts';

const NETWORK: Network = [nic(0), nic(1)];
const FILES: Readonly<Record<RendererKind, readonly [string, string]>> = {
  netplan: ['etc/netplan/90-multinic0.yaml', 'etc/netplan/91-multinic1.yaml'],
  keyfile: [
    'etc/NetworkManager/system-connections/multinic0.nmconnection',
    'etc/NetworkManager/system-connections/multinic1.nmconnection',
  ],
  ifcfg: ['etc/sysconfig/network-scripts/ifcfg-multinic0', 'etc/sysconfig/network-scripts/ifcfg-multinic1'],
};
const NAMED = `multinic0 (${nic(0).mac})`;

describe.each(HOSTS)('%s', (rootfs, kind) => {
  const [file] = FILES[kind];
  let host: LiveHost;
  let commit: string;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    commit = await host.store.commit(kind, NETWORK);
    const { outcome } = await host.run(commit);
    if (outcome?.result !== 'Applied') throw new Error(host.log);
    await foreign(host);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  const words = async (): Promise<string[]> => {
    const { result, differences } = await host.observe();
    expect(result).toBe('Drifted');
    return differences.map(describeDifference);
  };

  /** Runs the agent, which repairs the host, and expects that the next observation finds nothing. */
  const repaired = async (): Promise<void> => {
    expect((await host.run(commit)).outcome).toMatchObject({ result: 'Applied' });
    await host.managed();
    await host.settled();
    expect(await host.observe()).toMatchObject({ result: 'Observed', differences: [] });
  };

  test('an observation changes nothing and is fast', async () => {
    // NetworkManager writes a profile for lo when the test listens to the kernel, because that adds addresses to lo.
    const state = `find /etc /var/lib/multinic /usr/lib/systemd /run/systemd/network /run/NetworkManager -xdev -printf '%p %i %T@ %C@\\n' 2>/dev/null |
        grep -v '^/run/NetworkManager/system-connections' | sort
      ls -d /run/multinic* 2>/dev/null; grep -r . /proc/sys/net/ipv4/conf/multinic* /proc/sys/net/ipv6/conf/multinic* /proc/sys/net/ipv6/conf/all 2>/dev/null
      ip -j neigh show dev multinic0; ip -j neigh show dev multinic1; ip -j addr show multinic0; ip -j addr show multinic1; ip rule; ip route show table all dev multinic0`;
    const before = await host.sh(state);
    const [observation, seen] = await monitored(host, () => host.observe());
    expect(observation).toMatchObject({ result: 'Observed', differences: [] });
    expect(observation.warnings).toBeUndefined();
    expect(await host.sh(state)).toBe(before);
    expect(seen.filter((line) => line.includes('multinic'))).toEqual([]);
    console.log(
      `${rootfs}: an observation takes ${observation.durationMs} ms, ${host.cpuSeconds.toFixed(2)} s of CPU with its commands, and starts ${host.processes} processes`,
    );
    expect(host.processes).toBeGreaterThan(0);
    expect(host.processes).toBeLessThan(15);
  });

  test('additions of other software are no drift', async () => {
    await host.sh(`ip address add 192.168.100.200/32 dev multinic0
      ip route add 172.20.0.0/16 via 192.168.100.1 dev multinic0
      ip route add default via 192.168.100.1 dev multinic0 table 77
      ip rule add from 192.168.100.10 lookup 77
      ip neigh replace 192.168.100.9 lladdr 02:00:00:00:0a:0b nud permanent dev multinic0
      ip link add mv0 link multinic0 type macvlan`);
    expect(await host.observe()).toMatchObject({ result: 'Observed', differences: [] });
    await host.sh(`ip link del mv0; ip rule del from 192.168.100.10 lookup 77; ip route flush table 77
      ip route del 172.20.0.0/16; ip neigh del 192.168.100.9 dev multinic0; ip address del 192.168.100.200/32 dev multinic0`);
  });

  test('a missing carrier is no drift', async () => {
    await host.machine.setCarrier(nic(1).mac, false);
    // The network manager may have removed the address by now.
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    expect(await host.observe()).toMatchObject({ result: 'Observed', differences: [] });
    await host.machine.setCarrier(nic(1).mac, true);
    await waitFor('the address', async () => 'multinic1' in (await host.configured()), { timeoutMs: 30_000 });
    await host.managed();
  });

  test.each<[string, string, string]>([
    [
      'an address deleted',
      'ip address del 192.168.100.10/24 dev multinic0',
      `${NAMED} does not have its address 192.168.100.10/24`,
    ],
    ['an MTU changed', 'ip link set multinic0 mtu 1400', `${NAMED} has MTU 1400 instead of 1500`],
    ['a link set down', 'ip link set multinic0 down', `${NAMED} is down`],
    ['a file deleted', `rm /${file}`, `${file} is missing`],
    [
      'a file edited',
      `sed -i 's/\\(mtu[:=] *\\)1500/\\11400/I' /${file}`,
      `${file} was changed: mtu 1400 instead of mtu 1500`,
    ],
  ])('%s is reported, and a run repairs it', async (_, script, wanted) => {
    await host.sh(script);
    expect(await words()).toContain(wanted);
    await repaired();
  });

  test('a NIC renamed by a unit at boot is reported, and a run repairs it', async () => {
    const unit = `[Unit]
After=systemd-networkd.service NetworkManager.service systemd-udev-settle.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for i in $(seq 100); do ip link show multinic1 && break; sleep 0.2; done; sleep 3; ip link set multinic1 down; ip link set multinic1 name lan0; ip link set lan0 up; touch /run/renamed'
[Install]
WantedBy=multi-user.target
`;
    await host.machine.write('/etc/systemd/system/rename.service', unit);
    await host.sh('systemctl enable rename.service 2>&1');
    await host.machine.reboot();
    await waitFor('the unit', async () => (await host.sh('ls /run')).includes('renamed'), {
      timeoutMs: 60_000,
    });
    await host.managed();
    expect(await words()).toContain(`${nic(1).mac} is named lan0 instead of multinic1`);
    await host.sh('systemctl disable rename.service 2>&1');
    await repaired();
  });

  test('an unplugged NIC is reported', async () => {
    await host.machine.detachNic(nic(1).mac);
    expect(await words()).toEqual([`multinic1 (${nic(1).mac}) is not on the machine`]);
    await host.machine.attachNic({ mac: nic(1).mac, network: 'tenant-1' });
    await repaired();
  });

  test('a new disk is reported', async () => {
    await host.sh(`rm -rf /var/lib/multinic; find /etc -name '*multinic*' -delete
      for i in 0 1; do ip link set multinic$i down; ip link set multinic$i name old$i; done`);
    expect(await host.observe()).toMatchObject({ result: 'Unclear', reason: 'NewMachine', differences: [] });
  });
});
