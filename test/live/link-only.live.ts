// Link-only NICs on running hosts: a bridge or a pod takes such a NIC and gives it back, and neither a run, an observation,
// the network manager nor a boot takes it away from them.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../src/network/interface.ts';
import { waitFor } from '../nodes/wait.ts';
import { linkOnly, nic } from '../support/agent.ts';
import { HOSTS, LiveHost } from '../support/live-host.ts';

const MTU = 1400;
const NETWORK: Network = [linkOnly(0, { mtu: MTU }), nic(1)];

/** ifcfg files differ least from keyfiles here, so the matrix alone has them. */
const KINDS = HOSTS.filter(([, kind]) => kind !== 'ifcfg' || process.env['MATRIX'] !== undefined);

describe.each(KINDS)('%s', (rootfs, kind) => {
  let host: LiveHost;

  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  /** Name, MTU, flags, bridge and addresses of the NIC, as far as the host has it. */
  const link = async (): Promise<string> => {
    const [found] = JSON.parse(await host.sh('ip -j addr show multinic0')) as [
      { mtu: number; flags: string[]; master?: string; addr_info: { local: string }[] },
    ];
    const addresses = found.addr_info.map(({ local }) => local);
    const up = found.flags.includes('UP') ? 'up' : 'down';
    return [found.mtu, up, found.master, ...addresses].filter((part) => part !== undefined).join(' ');
  };

  const is = (state: string, after = 'a run'): Promise<boolean> =>
    waitFor(`multinic0 is ${state} after ${after}`, async () => (await link()) === state, {
      timeoutMs: 60_000,
      hint: () => host.sh('ip addr; nmcli device || networkctl'),
    });
  const isAlone = (): Promise<boolean> => is(`${MTU} up`);

  const expectNothingToDo = async (): Promise<void> => {
    expect(await host.observe()).toMatchObject({ result: 'Observed', differences: [] });
    const { outcome } = await host.apply(kind, NETWORK);
    expect(outcome).toMatchObject({ result: 'Applied', missing: [], written: [], removed: [] });
    expect(outcome).not.toHaveProperty('warnings');
  };

  test('it has its name and its MTU, and no address, now and after a boot', async () => {
    expect((await host.apply(kind, NETWORK)).outcome).toMatchObject({ result: 'Applied' });
    await isAlone();
    await expectNothingToDo();
    await host.reboot(1);
    await isAlone();
    await expectNothingToDo();
  });

  test('a bridge keeps it, whatever the network manager reads again', async () => {
    await host.sh('ip link add br-x type bridge; ip link set br-x up; ip link set multinic0 master br-x');
    await expectNothingToDo();
    const again =
      kind === 'netplan'
        ? [
            'networkctl reload',
            'networkctl reconfigure multinic0',
            'systemctl restart systemd-networkd',
            'netplan apply',
          ]
        : ['nmcli con reload', 'nmcli general reload', 'systemctl restart NetworkManager'];
    for (const command of again) {
      await host.sh(`${command}; sleep 3`);
      await host.managed();
      // networkd of Debian 11 does not know KeepMaster=, and may take the NIC out of the bridge.
      if (rootfs === 'netplan-bullseye') await host.sh('ip link set multinic0 master br-x');
      await is(`${MTU} up br-x`, command);
    }
    await host.machine.setCarrier(nic(0).mac, false);
    await host.sh('sleep 6');
    await host.machine.setCarrier(nic(0).mac, true);
    await host.sh('sleep 4');
    await is(`${MTU} up br-x`, 'a flap');
    await expectNothingToDo();
  });

  test('a commit changes the files of a NIC that a bridge has, and the NIC when it is free', async () => {
    const next = [linkOnly(0, { mtu: 1300 }), nic(1)];
    const { outcome } = await host.apply(kind, next);
    expect(outcome).toMatchObject({ result: 'Applied', warnings: ['NicLeft'] });
    expect(await link()).toBe(`${MTU} up br-x`);
    await host.sh('ip link set multinic0 nomaster; ip link del br-x');
    expect((await host.apply(kind, next)).outcome).toMatchObject({ result: 'Applied' });
    expect(await link()).toBe('1300 up');
    expect((await host.apply(kind, NETWORK)).outcome).toMatchObject({ result: 'Applied' });
    await isAlone();
  });

  test('a pod takes it and gives it back', async () => {
    await host.sh('ip netns add pod; ip link set multinic0 netns pod');
    await expectNothingToDo();
    const files = await host.sh('find /etc -name "*multinic0*" -not -path "*/backup/*" | sort');
    expect(files).toContain('multinic0');
    await host.sh('ip -n pod link set multinic0 netns 1; ip netns del pod; sleep 3');
    await host.managed();
    expect((await host.apply(kind, NETWORK)).outcome).toMatchObject({ result: 'Applied', missing: [] });
    await isAlone();
    await expectNothingToDo();
  });

  test('it gets an address and loses it again', async () => {
    expect((await host.apply(kind, [nic(0), nic(1)])).outcome).toMatchObject({ result: 'Applied' });
    expect(await link()).toContain('1500 up 192.168.100.10');
    expect((await host.apply(kind, NETWORK)).outcome).toMatchObject({ result: 'Applied' });
    await isAlone();
    expect((await host.apply(kind, [])).outcome).toMatchObject({ result: 'Applied' });
  });
});
