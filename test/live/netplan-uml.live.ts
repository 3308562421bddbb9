// A real reboot: a kernel of its own, permanent MACs, netplan as Debian ships it.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { UmlMachine } from '../nodes/uml.ts';
import { nic } from '../support/agent.ts';
import { LiveHost } from '../support/live-host.ts';

/** A boot of this machine alone may take two minutes. */
const LIMIT_MS = 400_000;
/** A run of this machine may take a minute while other machines boot. */
const SLOW = { deadline: 240 };

let host: LiveHost<UmlMachine>;

beforeAll(async () => {
  host = await LiveHost.bootUml({
    [nic(0).mac]: 'tenant-0',
    [nic(1).mac]: 'tenant-1',
    [nic(2).mac]: 'tenant-2',
  });
});

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.log(host.log);
});

afterAll(() => host?.[Symbol.asyncDispose]());

test(
  'what the agent configured is the same after a reboot',
  async () => {
    const first = await host.apply('netplan', [nic(0, { mtu: 1400 })], SLOW);
    expect(first.outcome).toMatchObject({ result: 'Applied' });
    const configured = { multinic0: '1400 192.168.100.10/24' };
    expect(await host.configured()).toEqual(configured);

    await host.reboot(1);
    expect(await host.configured()).toEqual(configured);
    expect(await host.sh('networkctl --no-legend')).toMatch(/multinic0 +ether +\w+ +configured/);
    expect(await host.sh('cat /run/systemd/network/10-netplan-multinic0.link')).toContain(
      'PermanentMACAddress=',
    );

    const again = await host.apply('netplan', [nic(0, { mtu: 1400 })], SLOW);
    expect(again.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    expect(again.outcome?.bootId).not.toBe(first.outcome?.bootId);
  },
  LIMIT_MS,
);

test(
  'three NICs, one of them listed by cloud-init with DHCP, are the same after a reboot',
  async () => {
    await host.sh(`umask 077; cat >/etc/netplan/51-cloud-init-more.yaml <<EOF
network:
  version: 2
  ethernets:
    ens6: {match: {macaddress: "${nic(1).mac}"}, set-name: ens6, dhcp4: true}
EOF`);
    const three = [nic(0, { mtu: 1400 }), nic(1), nic(2)];
    const first = await host.apply('netplan', three, SLOW);
    expect(first.outcome).toMatchObject({ result: 'Adopt', found: [{ mac: nic(1).mac, netplanId: 'ens6' }] });
    const adopted = three.map((each) => (each.mac === nic(1).mac ? { ...each, netplanId: 'ens6' } : each));
    expect((await host.apply('netplan', adopted, SLOW)).outcome).toMatchObject({ result: 'Applied' });
    await host.reboot(3);
    expect(await host.configured()).toEqual({
      multinic0: '1400 192.168.100.10/24',
      multinic1: '1500 192.168.101.10/24',
      multinic2: '1500 192.168.102.10/24',
    });
  },
  LIMIT_MS,
);

test(
  'names that change places, an address that moves and a NIC that leaves, too',
  async () => {
    const network = [
      nic(0, { mac: nic(2).mac }),
      nic(2, { mac: nic(0).mac, address: '192.168.102.11', mtu: 1400 }),
    ];
    expect((await host.apply('netplan', network, SLOW)).outcome).toMatchObject({ result: 'Applied' });
    const expected = { multinic0: '1500 192.168.100.10/24', multinic2: '1400 192.168.102.11/24' };
    expect(await host.configured()).toEqual(expected);
    await host.sh('rm /etc/netplan/51-cloud-init-more.yaml');
    await host.reboot(2);
    expect(await host.configured()).toEqual(expected);
    for (const { name, mac } of network)
      expect((await host.sh(`cat /sys/class/net/${name}/address`)).trim()).toBe(mac);
    const { outcome } = await host.apply('netplan', network, SLOW);
    expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
  },
  LIMIT_MS,
);
