// A host of netplan and systemd-networkd. Its own NIC has state of routing daemons, CNIs and people, none of which
// may change.
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Interface } from '../../src/network/interface.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import {
  ADVERTISEMENTS,
  bootRouter,
  DHCP,
  foreign,
  foreignState,
  LiveHost,
  monitored,
  NOT_OURS,
  startPing,
  storeSilent,
  unharmed,
  type RunOptions,
} from '../support/live-host.ts';

const V6 = nic(1, { address: 'fd00:101::10', prefix: 64 });
const THREE: readonly Interface[] = [nic(0), V6, nic(2, { mtu: 1400 })];
const SAME_SUBNET: readonly Interface[] = [nic(0, { address: '192.168.100.11' }), V6, THREE[2]!];
const ELSEWHERE: readonly Interface[] = [nic(0, { address: '192.168.110.10' }), V6, THREE[2]!];
const SWAPPED: readonly Interface[] = [nic(0, { mac: nic(2).mac }), V6, nic(2, { mac: nic(0).mac })];
const CONFIGURED = {
  multinic0: '1500 192.168.100.10/24',
  multinic1: '1500 fd00:101::10/64',
  multinic2: '1400 192.168.102.10/24',
};
/** Addresses on the network of each NIC. */
const PEERS = ['192.168.100.1/24', 'fd00:101::1/64', '192.168.102.1/24'];
const LATE = nic(3);
const LATE_ADDRESS = `${LATE.address}/${LATE.prefix}`;
const FILES = '/etc/netplan/9*.yaml';
const OUR_ADDRESSES = 'ip -br addr | grep -E "192.168.1|fd00:" || true';

let host: LiveHost;
/** A ping that goes over the node's own NIC all the time. */
let stopPing: Awaited<ReturnType<typeof startPing>>;

/** The tests share one host: each begins where the one before ended. */
export function netplanLife(rootfs: RootfsKind): void {
  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    for (const index of [0, 1, 2])
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    // A router that gives addresses, a default route and name servers to every NIC that listens.
    await bootRouter(host.lab, 'tenant-1', `${DHCP}${ADVERTISEMENTS}`);
    await foreign(host);
    stopPing = await startPing(host.lab, host.machine.address);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  describe.each([
    ['a clean host', 'true'],
    // Reloads systemd as any installation of a package does; networkd then takes every file for new.
    ['a host that was reloaded', 'systemctl daemon-reload; netplan generate'],
  ])('on %s', (_, prepare) => {
    beforeAll(async () => {
      await host.sh(prepare);
    });

    test('a plan says what a run would do, and changes nothing', async () => {
      const [{ code, preview }, seen] = await monitored(host, () => host.plan('netplan', [nic(0)]));
      expect([code, preview.result]).toEqual([10, 'change']);
      expect(preview.files).toEqual([{ op: 'write', path: 'etc/netplan/90-multinic0.yaml' }]);
      expect(preview.links.map(({ op }) => op)).toContain('rename');
      expect(JSON.stringify(preview.nextBoot)).toContain('multinic0');
      expect(seen.filter((line) => !line.includes(' lladdr '))).toEqual([]);
    });

    test('one NIC, then three, with IPv6 and an MTU', async () => {
      expect((await run([nic(0)])).end.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.addresses('multinic0')).toEqual(['192.168.100.10/24']);
      for (const [index, peer] of PEERS.entries()) await host.lab.switch.peer(`tenant-${index}`, peer);
      const probes = PEERS.map((peer) => peer.split('/')[0]!);
      expect((await run(THREE, { probes })).end.outcome).toMatchObject({ result: 'Applied' });
      for (const [index, peer] of PEERS.entries()) await host.lab.switch.peer(`tenant-${index}`, peer, false);
      expect(await host.configured()).toEqual(CONFIGURED);
    });

    test('a second run of the same commit writes nothing and changes nothing in the kernel', async () => {
      const before = await host.sh(`stat -c '%n %i %Y' ${FILES}`);
      const { end, seen } = await run(THREE);
      expect(end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(seen).toEqual([]);
      expect(await host.sh(`stat -c '%n %i %Y' ${FILES}`)).toBe(before);
      expect(await host.plan('netplan', THREE)).toMatchObject({ code: 0, preview: { result: 'none' } });
      const { nics } = await host.detect();
      expect(nics.find(({ name }) => name === 'eth0')).toMatchObject({
        use: 'carries the node’s default route',
      });
      expect(nics.find(({ name }) => name === 'multinic0')).toMatchObject({
        mac: nic(0).mac,
        files: ['etc/netplan/90-multinic0.yaml'],
      });
    });

    test.each([
      ['in the same subnet', SAME_SUBNET, '1500 192.168.100.11/24'],
      ['in another', ELSEWHERE, '1500 192.168.110.10/24'],
    ])('another address %s changes that NIC alone', async (_where, network, expected) => {
      const { end, seen } = await run(network);
      expect(end.outcome).toMatchObject({ result: 'Applied', written: ['etc/netplan/90-multinic0.yaml'] });
      expect((await host.configured())['multinic0']).toBe(expected);
      expect(seen.filter((line) => !line.includes('multinic0'))).toEqual([]);
    });

    test('two NICs exchange their names, and exchange them again', async () => {
      for (const network of [SWAPPED, THREE]) {
        expect((await run(network)).end.outcome).toMatchObject({ result: 'Applied' });
        for (const { name, mac } of network)
          expect((await host.sh(`cat /sys/class/net/${name}/address`)).trim()).toBe(mac);
        for (const { name, address, prefix, mtu = 1500 } of network)
          expect((await host.configured())[name]).toBe(`${mtu} ${address}/${prefix}`);
      }
    });

    test('a broken foreign file is named, and nothing is touched', async () => {
      await host.machine.write(
        '/etc/netplan/60-broken.yaml',
        'network: {ethernets: {eth9: {addresses: [nonsense]}}}\n',
      );
      const before = await host.configured();
      const { end, seen } = await run(SAME_SUBNET);
      expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'ValidationFailed', step: 'validate' });
      expect(end.outcome?.message).toContain('60-broken.yaml');
      expect(end.outcome?.message).not.toContain('WARNING');
      expect(seen).toEqual([]);
      expect(await host.configured()).toEqual(before);
      await host.sh('rm /etc/netplan/60-broken.yaml');
    });

    test('the store no longer answers: everything is restored', async () => {
      const files = await host.sh(`sha256sum ${FILES}`);
      const before = await host.configured();
      const [end] = await monitored(host, () => storeSilent(host, () => host.apply('netplan', SAME_SUBNET)));
      expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'StoreLost', step: 'verify' });
      expect(await host.configured()).toEqual(before);
      expect(await host.sh(`sha256sum ${FILES}`)).toBe(files);
    });

    test('NICs that leave the commit have no address and no file', async () => {
      expect((await run([nic(0)])).end.outcome).toMatchObject({ result: 'Applied' });
      expect(Object.keys(await host.configured())).toEqual(['multinic0']);
      expect((await host.sh(`ls ${FILES}`)).trim()).toBe('/etc/netplan/90-multinic0.yaml');
      expect((await run([])).end.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.sh(OUR_ADDRESSES)).toBe('');
    });
  });

  describe('later events', () => {
    test('a NIC that is attached later is configured, and ignores the router and the DHCP server of its network', async () => {
      await run(THREE);
      await host.machine.attachNic({ mac: nic(3).mac, network: 'tenant-1', name: 'ens9' });
      await host.sh('ip link set ens9 up');
      // An unconfigured NIC shows what router and DHCP server offer.
      await waitFor('a router', async () => (await host.addresses('ens9')).some(advertised), {
        timeoutMs: 40_000,
      });
      await host.sh('ip link set ens9 down');
      const { end } = await run([...THREE, LATE]);
      expect(end.outcome).toMatchObject({ result: 'Applied', written: ['etc/netplan/93-multinic3.yaml'] });
      // A kernel that accepts routers asks for one within a second, and again after four.
      await host.sh('sleep 5');
      expect(await host.addresses('multinic3')).toEqual([LATE_ADDRESS]);
      expect(await host.configured()).toEqual({ ...CONFIGURED, multinic3: `1500 ${LATE_ADDRESS}` });
      expect(await host.sh('ip -6 route show default')).toBe('');
    });

    test('the file of a NIC that leaves the machine is removed', async () => {
      await host.machine.detachNic(nic(3).mac);
      const { end } = await run([...THREE, LATE]);
      expect(end.outcome).toMatchObject({
        result: 'Pending',
        missing: [nic(3).mac],
        removed: ['etc/netplan/93-multinic3.yaml'],
      });
      expect(host.log).toContain('CleanupOrphanedConfigs: 1 orphaned: etc/netplan/93-multinic3.yaml');
      expect(await host.configured()).toEqual(CONFIGURED);
      expect((await run(THREE)).end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
    });

    test('links lose their carrier and get it back, also after somebody’s `netplan generate`', async () => {
      await flap();
      expect(await host.configured()).toEqual(CONFIGURED);
      await host.sh('netplan generate');
      await flap();
      expect(await host.configured()).toEqual(CONFIGURED);
      const { end, seen } = await run(THREE);
      expect(end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(end.outcome).not.toHaveProperty('warnings');
      expect(seen).toEqual([]);
    });

    test('manual changes of our NICs are repaired by the next run', async () => {
      await host.sh(`ip addr flush dev multinic0 scope global
        ip link set multinic1 down
        ip link set multinic2 mtu 1500
        echo 1 | tee /proc/sys/net/ipv6/conf/multinic*/accept_ra`);
      expect(await host.configured()).not.toEqual(CONFIGURED);
      expect((await run(THREE)).end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(await host.configured()).toEqual(CONFIGURED);
      expect(await host.sh('cat /proc/sys/net/ipv6/conf/multinic*/accept_ra')).toBe('0\n0\n0');
    });

    test.each([
      ['another address, a NIC less', 'agent.verify', [SAME_SUBNET[0]!, V6]],
      ['links half done', 'agent.activate.link', SWAPPED],
    ])(
      'killed with %s: the host restores itself, and the next run has nothing to undo',
      async (_what, killAt, network) => {
        const files = await host.sh(`sha256sum ${FILES}`);
        const { end } = await run(network, { killAt });
        expect(end.outcome).toBe(undefined);
        expect(await host.sh(`sha256sum ${FILES}`)).not.toBe(files);
        const unit = await host.sh('cat /var/lib/multinic/restore.unit');
        expect(await host.sh(`systemctl is-active ${unit}.timer`)).toBe('active');
        // Starts the unit at once, as its timer would later.
        await monitored(host, () => host.sh(`systemctl start --wait ${unit}.service`));
        await host.settled();
        expect(await host.configured()).toEqual(CONFIGURED);
        expect(await host.sh(`sha256sum ${FILES}`)).toBe(files);
        const next = await run(THREE);
        expect(next.end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
        expect(host.log).toContain('an interrupted run was undone');
        expect(await host.configured()).toEqual(CONFIGURED);
      },
    );

    test('a ping over the node’s own NIC lost no packet during all this', async () => {
      const { missing, answered } = await stopPing();
      expect(missing).toEqual([]);
      expect(answered).toBeGreaterThan(0.25);
    });

    test.each([
      // The commands of Debian's packages.
      ['an upgrade of systemd', 'systemctl daemon-reload; systemctl restart systemd-networkd'],
      ['somebody’s `netplan apply`', 'netplan apply'],
    ])('%s leaves our NICs as they are', async (_what, command) => {
      await host.sh(command);
      await waitFor('the NICs', async () => isDeepStrictEqual(await host.configured(), CONFIGURED), {
        timeoutMs: 60_000,
        hint: () => host.sh('networkctl; ip addr'),
      });
      await host.managed();
      await host.settled();
      await flap();
      expect(await host.configured()).toEqual(CONFIGURED);
      const { end } = await run(THREE);
      expect(end.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(end.outcome).not.toHaveProperty('warnings');
    });

    test('NICs that networkd took over can leave the commit', async () => {
      const { outcome } = await unharmed(host, () => host.apply('netplan', []));
      expect(outcome).toMatchObject({ result: 'Applied' });
      await host.sh('sleep 1');
      expect(await host.sh(OUR_ADDRESSES)).toBe('');
    });
  });

  test('a NIC to which cloud-init’s file had a DHCP server give an address and a default route', async () => {
    const cloudInit = '/etc/netplan/51-cloud-init-more.yaml';
    await host.machine.write(
      cloudInit,
      `network:
  version: 2
  ethernets:
    ens6:
      match: {macaddress: "${V6.mac}"}
      set-name: ens6
      dhcp4: true
      dhcp4-overrides: {route-metric: 2000}
      accept-ra: false
`,
      0o600,
    );
    await reboot(0);
    const leased = async (): Promise<boolean> =>
      (await host.sh('ip route show default')).includes('dev ens6');
    await waitFor('a default route by DHCP', leased, { timeoutMs: 60_000, hint: () => host.sh('ip addr') });
    await host.managed();
    await foreign(host);
    const adopted = [{ ...V6, netplanId: 'ens6' }];
    // networkd 247 removes foreign blackhole routes with the lease, and the agent restores them.
    const end = await unharmed(host, () => host.apply('netplan', adopted));
    expect(end.outcome).toMatchObject({ result: 'Applied' });
    // networkd no longer manages the NIC, and sets the route no more.
    for (const pause of ['true', 'sleep 3']) {
      await host.sh(pause);
      expect(await host.sh('ip route show default')).not.toContain('multinic1');
      // The rest of a lease expires.
      expect(await host.sh('ip -o addr show multinic1 permanent scope global')).toMatch(
        /^\S+ multinic1 +inet6 fd00:101::10\/64 [^\n]*$/,
      );
      await run(adopted);
      expect(host.log).toContain('nothing to change');
    }
    await reboot(1);
    // A lease would have arrived by now.
    await host.sh('sleep 3');
    expect(await host.addresses('multinic1')).toEqual(['fd00:101::10/64', expect.stringMatching(/^fe80::/)]);
    // The NIC is given back, and cloud-init's file is as before.
    expect((await unharmed(host, () => host.cleanUp())).outcome).toMatchObject({ result: 'Applied' });
    expect(await host.sh(`ls /var/lib/multinic ${FILES} 2>/dev/null || true`)).not.toMatch(
      /record\.json|multinic\d/,
    );
    await reboot(0);
    await waitFor('a default route by DHCP', leased, { timeoutMs: 60_000, hint: () => host.sh('ip addr') });
    await host.sh(`rm ${cloudInit}`);
    await reboot(0);
  }, 400_000);

  test('after a reboot without a run everything is the same, also where cloud-init lists the NIC with DHCP', async () => {
    const cloudInit = `network:
  version: 2
  ethernets:
    ens5: {match: {macaddress: "${nic(0).mac}"}, set-name: ens5, dhcp4: true}
`;
    await host.machine.write('/etc/netplan/51-cloud-init-more.yaml', cloudInit, 0o600);
    const first = await host.apply('netplan', THREE);
    // The netplan ID of the foreign file has to be ours too, so the controller adopts it.
    expect(first.outcome).toMatchObject({ result: 'Adopt', found: [{ mac: nic(0).mac, netplanId: 'ens5' }] });
    const adopted = THREE.map((each) => (each.mac === nic(0).mac ? { ...each, netplanId: 'ens5' } : each));
    expect((await run(adopted)).end.outcome).toMatchObject({ result: 'Applied' });
    const before = await host.configured();
    await reboot(3);
    expect(await host.configured()).toEqual(before);
    await run(adopted);
    expect(host.log).toContain('nothing to change');
  }, 300_000);

  const MOVED: readonly Interface[] = [
    { ...THREE[0]!, netplanId: 'ens5', address: '192.168.100.11' },
    V6,
    nic(2, { mtu: 1400, address: '192.168.102.11' }),
  ];

  test('networkd sets a changed address of the boot again: a warning says so before, and the next run repairs it', async () => {
    const { end } = await run(MOVED);
    expect(end.outcome).toMatchObject({ result: 'Applied', warnings: ['NetworkdHoldsOldFile'] });
    expect(end.outcome?.message).toContain('multinic0 192.168.100.10/24; multinic2 192.168.102.10/24;');
    const now = await host.configured();
    await host.sh('netplan generate');
    await flap();
    for (const [name, old] of [
      ['multinic0', '192.168.100.10/24'],
      ['multinic2', '192.168.102.10/24'],
    ] as const) {
      await waitFor(`${old} again`, async () => (await host.addresses(name)).includes(old), {
        timeoutMs: 40_000,
      });
    }

    const next = await run(MOVED);
    expect(next.end.outcome).toMatchObject({
      result: 'Applied',
      warnings: ['NetworkdHoldsOldFile'],
      written: [],
    });
    expect(await host.addresses('multinic0')).toEqual(['192.168.100.11/24']);
    expect(await host.addresses('multinic2')).toEqual(['192.168.102.11/24']);
    expect(await host.configured()).toEqual(now);

    await reboot(3);
    expect(await host.configured()).toEqual(now);
    const last = await run(MOVED);
    expect(last.end.outcome).toMatchObject({ result: 'Applied', written: [] });
    expect(last.end.outcome).not.toHaveProperty('warnings');
    expect(host.log).toContain('nothing to change');
  }, 300_000);

  describe.each([
    ['a host as it booted', 'true'],
    ['a host that was reloaded since', 'systemctl daemon-reload; netplan generate'],
  ])(
    'on %s, a NIC that gets the name again that it had at the boot, so that networkd configures it anew',
    (_, prepare) => {
      beforeAll(async () => {
        await host.sh(prepare);
      });

      const less = [MOVED[0]!, MOVED[2]!];
      const others = [
        { ...MOVED[0]!, mac: nic(1).mac, netplanId: 'multinic0' },
        { ...MOVED[1]!, mac: nic(0).mac, netplanId: 'ens5' },
        MOVED[2]!,
      ];

      test.each([
        ['because it left the commit, and returns', less],
        ['because two NICs exchange their names', others],
      ])('%s: foreign state stays', async (_, network) => {
        for (const each of [network, MOVED]) {
          const { outcome } = await unharmed(host, () => host.apply('netplan', each));
          expect(outcome?.result).toBe('Applied');
        }
        expect(await host.configured()).toEqual({
          multinic0: '1500 192.168.100.11/24',
          multinic1: '1500 fd00:101::10/64',
          multinic2: '1400 192.168.102.11/24',
        });
      });

      test('because it returns with another address: the address of the boot does not return', async () => {
        const other = [MOVED[0]!, { ...MOVED[1]!, address: 'fd00:101::99' }, MOVED[2]!];
        for (const network of [less, other]) {
          const { outcome } = await unharmed(host, () => host.apply('netplan', network));
          expect(outcome?.result).toBe('Applied');
          // As on most machines, networkd configures the NIC as soon as it has the name.
          await host.sh(`ip link set $(ip -br link | sed -n 's/[@ ].*${MOVED[1]!.mac}.*//p') up; sleep 1`);
        }
        expect((await host.configured())['multinic1']).toBe('1500 fd00:101::99/64');
        for (const network of [less, MOVED]) expect((await host.apply('netplan', network)).code).toBe(0);
      });

      test('because a change failed, or its agent was killed: foreign state stays', async () => {
        const before = await host.configured();
        const failed = await unharmed(host, () =>
          host.apply('netplan', less, { probes: ['192.168.100.99'] }),
        );
        expect(failed.outcome).toMatchObject({ result: 'Failed', reason: 'ProbeFailed' });
        expect(await host.configured()).toEqual(before);
        await unharmed(host, async () => {
          expect((await host.apply('netplan', less, { killAt: 'agent.verify' })).code).toBe(137);
          await host.sh('systemctl start --wait $(cat /var/lib/multinic/restore.unit).service');
        });
        expect(await host.configured()).toEqual(before);
        expect((await host.apply('netplan', MOVED)).outcome).toMatchObject({
          result: 'Applied',
          written: [],
        });
      });
    },
  );

  // systemd 247 removes blackhole routes with each NIC that it configures, also when an undo renames the NIC. The test is
  // the last one of the file, so that the host needs no further boot.
  test.runIf(rootfs === 'netplan-bullseye')(
    'without power in the middle: the undo keeps what others set since the boot',
    async () => {
      const less = [MOVED[0]!, MOVED[2]!];
      expect((await host.apply('netplan', less)).outcome).toMatchObject({ result: 'Applied' });
      const killed = await host.apply('netplan', MOVED, { killAt: 'agent.activate.link' });
      expect(killed.code).toBe(137);
      await host.machine.kill();
      await host.machine.start();
      await host.managed();
      await foreign(host);
      const before = await foreignState(host);
      // The change is no longer complete, so the next run undoes it.
      await host.sh('ip address flush dev multinic1 scope global');
      expect((await host.apply('netplan', MOVED)).outcome).toMatchObject({ result: 'Applied' });
      expect(host.log).toContain('an interrupted run was undone');
      expect(await host.sh(NOT_OURS)).toBe(before);
    },
    300_000,
  );
}

/** Runs the agent. @throws if foreign state changed */
async function run(network: readonly Interface[], options?: RunOptions) {
  const [end, seen] = await monitored(host, () => host.apply('netplan', network, options));
  // Neighbours on our NICs change with the traffic there, such as that of the router.
  return { end, seen: seen.filter((line) => /multinic|ens\d/.test(line) && !line.includes(' lladdr ')) };
}

/** @param count how many of our NICs have addresses then */
async function reboot(count: number): Promise<void> {
  await host.reboot(count);
  await foreign(host);
}

/** Takes the carrier of all our links away and gives it back, each time for as long as networkd needs to act on it. */
async function flap(): Promise<void> {
  for (const up of [false, true]) {
    for (const { mac } of THREE) await host.machine.setCarrier(mac, up);
    const states = up ? 'degraded|routable' : 'no-carrier';
    const seen = `test $(networkctl --no-legend | grep -cE 'multinic[0-2] +ether +(${states})') = 3`;
    await waitFor('networkd', async () => host.sh(`${seen} && echo yes`), {
      timeoutMs: 40_000,
      hint: () => host.sh('networkctl; ip addr'),
    });
    await host.sh('sleep 0.5');
    await host.settled();
  }
  // networkd 247 removes foreign blackhole routes whenever it configures a NIC.
  await foreign(host);
}

const advertised = (address: string): boolean => address.startsWith('2001:db8:9:');
