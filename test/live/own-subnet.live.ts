// A NIC in the node's own subnet, behind OpenStack's port security: the node's own address answers a peer of that subnet
// throughout, or the run refuses before it touches anything.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RendererKind } from '../../src/network/node.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import { LiveHost, startPing } from '../support/live-host.ts';

/** True: this host cannot give the primary NIC precedence at boot. */
const CASES: readonly (readonly [RootfsKind, 'dhcp' | 'static', RendererKind, boolean])[] = [
  ['netplan', 'dhcp', 'netplan', false],
  ['netplan', 'static', 'netplan', false],
  ['netplan-bullseye', 'dhcp', 'netplan', true],
  ['netplan-trixie', 'dhcp', 'netplan', false],
  ['networkmanager', 'dhcp', 'keyfile', false],
  ['networkmanager-ifcfg', 'dhcp', 'ifcfg', false],
];
const STATE =
  'ip -br addr; ip route; ip -6 route | grep -v fe80; find /etc -name "*multinic*" -not -path "*/backup/*" | sort';
const METRIC_FILES = `find /etc -name "*.conf" -path "*multinic0*" -not -path "*/backup/*"`;

describe.each(CASES)('%s, primary %s', (rootfs, primary, kind, refuses) => {
  let host: LiveHost;

  beforeAll(async () => {
    host = await (primary === 'dhcp' ? LiveHost.bootWithDhcp(rootfs) : LiveHost.boot(rootfs));
    await host.machine.secure([host.machine.address]);
    await host.machine.attachNic({ mac: nic(0).mac });
    await host.machine.secure([address()], nic(0).mac);
    await host.managed();
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  const address = (): string => host.lab.slot.address('0.77');
  const second = (changes: Parameters<typeof nic>[1] = {}) => nic(0, { address: address(), ...changes });

  /** The node's own address answers its peer during the whole test. */
  async function answering<T>(action: () => Promise<T>): Promise<T> {
    const stop = await startPing(host.lab, host.machine.address, 'peer');
    await host.sh('sleep 0.5');
    const result = await action();
    await host.sh('sleep 0.5');
    const { missing, answered } = await stop();
    expect(missing).toEqual([]);
    expect(answered).toBeGreaterThan(0.5);
    return result;
  }

  /** @returns whether the node's own address answers its peer now */
  async function answers(): Promise<boolean> {
    const stop = await startPing(host.lab, host.machine.address, 'peer');
    await host.sh('sleep 1');
    return (await stop()).answered > 0.5;
  }

  async function refusal(changes: Parameters<typeof nic>[1]): Promise<string | undefined> {
    await host.settled();
    const before = await host.sh(STATE);
    const { outcome } = await answering(() => host.apply(kind, [second(changes)]));
    expect(await host.sh(STATE)).toBe(before);
    expect(outcome).toMatchObject({ result: 'Failed', step: 'preflight', written: [] });
    return outcome?.reason;
  }

  test.runIf(primary === 'dhcp' && rootfs !== 'netplan-bullseye')(
    'the lab’s port security cuts the node off where our route comes first',
    async () => {
      expect(await answers()).toBe(true);
      await host.sh(`ip link set ens5 up; ip addr add ${address()}/24 dev ens5`);
      expect(await answers()).toBe(false);
      await host.sh(`ip addr del ${address()}/24 dev ens5; ip link set ens5 down`);
      expect(await answers()).toBe(true);
      await host.managed();
    },
  );

  test('a part of the node’s subnet is refused, and a subnet around it', async () => {
    expect(await refusal({ prefix: 25 })).toBe('SubnetOverlaps');
    expect(await refusal({ prefix: 16 })).toBe('SubnetOverlaps');
  });

  test.runIf(refuses)('the same subnet is refused, also with source routing', async () => {
    expect(await refusal({})).toBe('SubnetOverlaps');
    expect(await refusal({ sourceRouting: true })).toBe('SubnetOverlaps');
  });

  describe.runIf(!refuses)('the same subnet', () => {
    test('the NIC is configured, and has its address', async () => {
      const { outcome } = await answering(() => host.apply(kind, [second()]));
      expect(outcome).toMatchObject({ result: 'Applied' });
      expect(await host.configured()).toEqual({ multinic0: `1500 ${address()}/24` });
    });

    test('a second run changes nothing', async () => {
      const { outcome } = await answering(() => host.apply(kind, [second()]));
      expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(host.log).toContain('nothing to change');
    });

    test.each([1, 2, 3])('boot %i', async () => {
      await host.reboot(1);
      await answering(() => host.sh('sleep 2'));
      const { outcome } = await answering(() => host.apply(kind, [second()]));
      expect(outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(host.log).toContain('nothing to change');
    });

    test('the NIC loses its carrier and gets it back', async () => {
      await host.machine.setCarrier(nic(0).mac, false);
      await answering(() => host.sh('sleep 8'));
      await host.machine.setCarrier(nic(0).mac, true);
      await answering(() => host.sh('sleep 6'));
      expect(await host.configured()).toEqual({ multinic0: `1500 ${address()}/24` });
    });

    test('the primary NIC loses its carrier and gets it back', async () => {
      await host.machine.setCarrier(host.machine.mac, false);
      await host.sh('sleep 8');
      await host.machine.setCarrier(host.machine.mac, true);
      await waitFor('the node’s own address', answers, { timeoutMs: 60_000 });
      await answering(() => host.sh('sleep 6'));
      expect(await host.configured()).toEqual({ multinic0: `1500 ${address()}/24` });
    });

    test('an MTU changes, and a change fails', async () => {
      const { outcome } = await answering(() => host.apply(kind, [second({ mtu: 1400 })]));
      expect(outcome).toMatchObject({ result: 'Applied' });
      const before = await host.sh(STATE);
      const probes = [host.lab.slot.address('0.99')];
      const failed = await answering(() => host.apply(kind, [second({ mtu: 1300 })], { probes }));
      expect(failed.outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed', step: 'verify' });
      await host.settled();
      expect(await host.sh(STATE)).toBe(before);
    }, 300_000);

    test.runIf(kind === 'netplan')('a metric that is set only after the boot is a warning', async () => {
      // The state that an earlier version of the agent left.
      await host.sh(`rm $(${METRIC_FILES})`);
      await host.reboot(1);
      const { outcome } = await host.apply(kind, [second({ mtu: 1450 })]);
      expect(outcome).toMatchObject({ result: 'Applied', warnings: ['NetworkdHoldsOldFile'] });
      expect(outcome?.message).toContain(`without the metric`);
      await answering(() => host.sh('sleep 1'));
      await host.reboot(1);
      const end = await answering(() => host.apply(kind, [second({ mtu: 1450 })]));
      expect(end.outcome).toMatchObject({ result: 'Applied' });
      expect(end.outcome).not.toHaveProperty('warnings');
    });

    test('the NIC leaves the commit, and so does its metric', async () => {
      expect(await host.sh(METRIC_FILES)).not.toBe('');
      const { outcome } = await answering(() => host.apply(kind, []));
      expect(outcome).toMatchObject({ result: 'Applied' });
      expect(await host.sh(METRIC_FILES)).toBe('');
    });
  });
});
