// A host whose NICs NetworkManager manages: every NIC that nobody configured has an automatic profile.
// The tests share one host: each begins where the one before ended.
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Interface } from '../../src/network/interface.ts';
import type { RootfsKind } from '../nodes/rootfs.ts';
import { waitFor } from '../nodes/wait.ts';
import { nic } from '../support/agent.ts';
import {
  ADVERTISEMENTS,
  atArm,
  bootRouter,
  DHCP,
  foreign,
  LiveHost,
  monitored,
  startPing,
  storeSilent,
} from '../support/live-host.ts';

const V6 = nic(1, { address: 'fd00:101::10', prefix: 64 });
const THREE: readonly Interface[] = [nic(0), V6, nic(2, { mtu: 1400 })];
const MOVED: readonly Interface[] = [nic(0, { address: '192.168.100.11' }), V6, nic(2, { mtu: 1400 })];
const TWO: readonly Interface[] = [MOVED[0]!, MOVED[2]!];

/** The two kinds of files for profiles of NetworkManager. */
const FILES = {
  keyfile: {
    folder: '/etc/NetworkManager/system-connections',
    fileOf: (name: string) => `${name}.nmconnection`,
  },
  ifcfg: { folder: '/etc/sysconfig/network-scripts', fileOf: (name: string) => `ifcfg-${name}` },
};

/** Values that the DHCP server of tenant-1 gives. */
const NAME_SERVER = '172.16.53.1';

let host: LiveHost;
/** A ping that goes over the node's own NIC all the time. */
let stopPing: Awaited<ReturnType<typeof startPing>>;

export function networkManagerLife(rootfs: RootfsKind, kind: keyof typeof FILES): void {
  const { folder, fileOf } = FILES[kind];
  beforeAll(async () => {
    host = await LiveHost.boot(rootfs);
    await bootRouter(host.lab, 'tenant-1', `${DHCP}${ADVERTISEMENTS}`);
    for (const index of [0, 1, 2]) {
      await host.machine.attachNic({ mac: nic(index).mac, network: `tenant-${index}` });
    }
    for (const name of ['ens5', 'ens6', 'ens7']) {
      const automatic = async (): Promise<boolean> => (await active(name)).startsWith('Wired');
      await waitFor(`an automatic profile on ${name}`, automatic, { timeoutMs: 30_000 });
    }
    await waitFor('what the router offers', offered, { timeoutMs: 40_000, hint: () => host.sh('ip addr') });
    await host.settled();
    // The command of any installation of a package.
    await host.sh('systemctl daemon-reload');
    await foreign(host);
    stopPing = await startPing(host.lab, host.machine.address);
  });

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(host.log);
  });

  afterAll(() => host?.[Symbol.asyncDispose]());

  describe('configuring', () => {
    test('a NIC that asks for DHCP in vain does so again after a failed run', async () => {
      const before = await picture();
      const end = await storeSilent(host, () => host.apply(kind, [nic(0), nic(1)]));
      expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'StoreLost', step: 'verify' });
      await waitFor('what the router offers', offered, { timeoutMs: 40_000 });
      await host.settled();
      expect(await picture()).toEqual(before);
    });

    test('a plan says what a run would do, and changes nothing', async () => {
      const { result, told } = await watched(() => host.plan(kind, [nic(0)]));
      expect([result.code, result.preview.result]).toEqual([10, 'change']);
      expect(result.preview.files.map(({ path }) => path)).toContain(
        `${folder}/${fileOf('multinic0')}`.slice(1),
      );
      expect(JSON.stringify(result.preview.nextBoot)).toContain('multinic0');
      expect(told).toEqual([]);
      const { nics } = await host.detect();
      expect(nics.find(({ name }) => name === 'eth0')).toMatchObject({
        use: 'carries the node’s default route',
      });
    });

    test('one NIC; the node’s own stays as it is', async () => {
      const { result } = await watched(() => host.apply(kind, [nic(0)]));
      expect(result.outcome).toMatchObject({ result: 'Applied', missing: [] });
      expect(await host.addresses('multinic0')).toEqual(['192.168.100.10/24']);
      expect(await active('multinic0')).toBe('multinic0');
      expect(await active('ens6')).toMatch(/^Wired connection/);
    });

    test('three NICs, with IPv6 and an MTU, although a DHCP server gave addresses meanwhile', async () => {
      expect(await host.sh('cat /etc/resolv.conf')).toContain(NAME_SERVER);
      const { result, seen, told } = await watched(() => host.apply(kind, THREE));
      expect(result.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.configured()).toEqual({
        multinic0: '1500 192.168.100.10/24',
        multinic1: '1500 fd00:101::10/64',
        multinic2: '1400 192.168.102.10/24',
      });
      expect(deletions(seen, 'multinic0')).toEqual([]);
      expect(told).not.toEqual([]);
      // A kernel that accepts routers asks for one within a second, and again after four.
      await host.sh('sleep 5');
      expect(await host.addresses('multinic1')).toEqual([
        'fd00:101::10/64',
        expect.stringMatching(/^fe80::/),
      ]);
      expect(await host.sh('ip -6 route show default')).toBe('');
      expect(await host.sh('ip route show default')).toMatch(/^default via \S+ dev eth0 [^\n]*$/);
      expect(await host.sh('cat /etc/resolv.conf')).not.toContain(NAME_SERVER);
    });

    test('another address: foreign state on that NIC stays, and other NICs do not change', async () => {
      await host.sh(`ip address add 192.168.100.77/24 dev multinic0
      ip route add 10.99.0.0/16 via 192.168.100.1 dev multinic0`);
      const { result, seen } = await watched(() => host.apply(kind, MOVED));
      expect(result.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.addresses('multinic0')).toEqual(['192.168.100.11/24', '192.168.100.77/24']);
      expect(await host.sh('ip route show 10.99.0.0/16')).toContain('via 192.168.100.1 dev multinic0');
      await host.sh('ip address del 192.168.100.77/24 dev multinic0; ip route del 10.99.0.0/16');
      expect(seen.filter((line) => !line.includes('multinic0') && !line.includes('192.168.100.'))).toEqual(
        [],
      );
    });

    test('two NICs exchange their names, and exchange them again', async () => {
      const swapped = [nic(0, { mac: nic(2).mac }), V6, nic(2, { mac: nic(0).mac })];
      for (const network of [swapped, MOVED]) {
        const { result } = await watched(() => host.apply(kind, network));
        expect(result.outcome).toMatchObject({ result: 'Applied' });
        for (const { name, mac, address, mtu } of network) {
          expect(await host.sh(`cat /sys/class/net/${name}/address`)).toBe(mac);
          expect((await host.configured())[name]).toMatch(new RegExp(`^${mtu} ${address}/`));
        }
      }
    });

    test('a second run of the same commit sends nothing to NetworkManager or the kernel', async () => {
      const before = await host.sh(`stat -c '%n %i %Y' ${folder}/* /var/lib/multinic/record.json`);
      const commit = (await host.store.store.reader.ref('refs/heads/node/worker-1'))!;
      const { result, seen, told } = await watched(() => host.run(commit));
      expect(result.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(seen).toEqual([]);
      expect(told).toEqual([]);
      expect(await host.sh(`stat -c '%n %i %Y' ${folder}/* /var/lib/multinic/record.json`)).toBe(before);
    });

    test('links lose their carrier and get it back', async () => {
      const before = await host.configured();
      for (const { mac } of MOVED) await host.machine.setCarrier(mac, false);
      // NetworkManager gives up on a NIC after six.
      await host.sh('sleep 8');
      for (const { mac } of MOVED) await host.machine.setCarrier(mac, true);
      await waitFor('the NICs', async () => isDeepStrictEqual(await host.configured(), before), {
        timeoutMs: 30_000,
        hint: () => host.sh('nmcli device; ip addr'),
      });
      const { result } = await watched(() => host.apply(kind, MOVED));
      expect(result.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(host.log).toContain('nothing to change');
    });

    test('manual changes of our NICs are repaired by the next run', async () => {
      const before = await host.configured();
      await host.sh(`ip addr flush dev multinic0 scope global
        ip link set multinic1 down
        ip link set multinic2 mtu 1500`);
      expect(await host.configured()).not.toEqual(before);
      const { result } = await watched(() => host.apply(kind, MOVED));
      expect(result.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(await host.configured()).toEqual(before);
    });

    test('a NIC that leaves the commit stays unconfigured, also by NetworkManager', async () => {
      const { result, seen } = await watched(() => host.apply(kind, TWO));
      expect(result.outcome).toMatchObject({ result: 'Applied' });
      const files = ['eth0', 'multinic0', 'multinic2'].map(fileOf);
      expect(await host.sh(`ls ${folder}`)).toBe(['backup', ...files].join('\n'));
      expect(deletions(seen, 'multinic0')).toEqual([]);
      await staysAlone('ens6');
    });

    test('a ping over the node’s own NIC lost no packet during all this', async () => {
      const { missing, answered } = await stopPing();
      expect(missing).toEqual([]);
      expect(answered).toBeGreaterThan(0.25);
    });

    test('after a reboot without a run everything is the same', async () => {
      await host.reboot(2);
      await foreign(host);
      expect(await host.configured()).toEqual({
        multinic0: '1500 192.168.100.11/24',
        multinic2: '1400 192.168.102.10/24',
      });
      await staysAlone('ens6');
      await host.apply(kind, TWO);
      expect(host.log).toContain('nothing to change');
    }, 300_000);

    test('after that reboot a carrier may flap: foreign state on that NIC stays', async () => {
      await host.sh(`ip address replace 192.168.100.77/32 dev multinic0
      ip route replace 10.99.0.0/16 via 192.168.100.1 dev multinic0`);
      const routes = 'ip -br address show multinic0; ip route show 10.99.0.0/16';
      const before = await host.sh(routes);
      expect(before).toContain('dev multinic0');
      // NetworkManager itself waits six seconds.
      for (const seconds of [1, 8]) {
        await host.machine.setCarrier(nic(0).mac, false);
        await host.sh(`sleep ${seconds}`);
        await host.machine.setCarrier(nic(0).mac, true);
        await host.sh('sleep 2');
        expect(await host.sh(routes)).toBe(before);
      }
      await host.sh('ip address del 192.168.100.77/32 dev multinic0; ip route del 10.99.0.0/16');
    });

    test('two NICs that exchanged their names keep the new names after a reboot', async () => {
      const swapped = TWO.map((each, index) => ({ ...each, mac: TWO[1 - index]!.mac }));
      expect((await watched(() => host.apply(kind, swapped))).result.outcome).toMatchObject({
        result: 'Applied',
      });
      const before = await host.configured();
      await host.reboot(2);
      await foreign(host);
      expect(await host.configured()).toEqual(before);
      for (const { name, mac } of swapped)
        expect(await host.sh(`cat /sys/class/net/${name}/address`)).toBe(mac);
      await host.apply(kind, swapped);
      expect(host.log).toContain('nothing to change');
      expect((await watched(() => host.apply(kind, TWO))).result.outcome).toMatchObject({
        result: 'Applied',
      });
    }, 300_000);
  });

  describe('failures', () => {
    test('the store no longer answers: everything is restored', async () => {
      const before = await picture();
      const end = await storeSilent(host, () => host.apply(kind, [MOVED[0]!, nic(1)]));
      expect(end.outcome).toMatchObject({
        result: 'Failed',
        reason: 'StoreLost',
        step: 'verify',
      });
      expect(await picture()).toEqual(before);
      await staysAlone('ens6');
    });

    test('NetworkManager refuses: everything is restored', async () => {
      const before = await picture();
      // Without carrier an IPv6 address stays tentative, and NetworkManager waits for it in vain.
      await host.machine.setCarrier(nic(1).mac, false);
      const end = await host.apply(kind, [...TWO, V6]);
      await host.machine.setCarrier(nic(1).mac, true);
      expect(end.outcome).toMatchObject({ result: 'Failed', step: 'activate' });
      await host.settled();
      expect(await picture()).toEqual(before);
    });

    test.each([
      ['a NIC more', 'agent.verify', (): readonly Interface[] => [...TWO, V6]],
      ['another address, a NIC less', 'agent.verify', (): readonly Interface[] => [nic(0)]],
      ['links half done', 'agent.activate.link', (): readonly Interface[] => [...TWO, V6]],
    ])(
      'killed with %s: the host restores itself, and the next run has nothing to undo',
      async (_what, at, network) => {
        const before = await picture();
        const end = await host.apply(kind, network(), { killAt: at });
        expect(end.outcome?.result).toBe(undefined);
        expect(await picture()).not.toEqual(before);
        // Starts the unit at once, as its timer would later.
        await host.sh('systemctl start --wait $(cat /var/lib/multinic/restore.unit).service');
        await host.settled();
        expect(await picture()).toEqual(before);

        const next = await host.apply(kind, TWO);
        expect(next.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
        expect(next.log).toContain('an interrupted run was undone');
        expect(await picture()).toEqual(before);
      },
    );

    test('the agent is killed before it verifies: the next run undoes the change, then applies its commit', async () => {
      const before = await picture();
      await host.apply(kind, [nic(0, { mtu: 1300 })], { killAt: 'agent.activate.link' });
      const next = await host.apply(kind, TWO);
      expect(next.outcome).toMatchObject({ result: 'Applied', written: [], removed: [] });
      expect(await picture()).toEqual(before);
    });

    test('NetworkManager stops during a change: the run fails, and the next run repairs the host', async () => {
      const before = await picture();
      // systemctl in a pod loses its connection.
      const stop = `busctl.real call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss NetworkManager.service replace
        while nmcli general; do sleep 0.1; done`;
      const end = await atArm(host, stop, () => host.apply(kind, [nic(0), V6]));
      await host.sh('systemctl start NetworkManager');
      await host.managed();
      expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'RestoreFailed', step: 'restore' });
      expect(end.outcome?.message).toContain('NetworkManager does not answer on this node');
      const next = await host.apply(kind, TWO);
      expect(next.outcome).toMatchObject({ result: 'Applied' });
      expect(next.log).toContain('an interrupted run was undone');
      await pictureAgain(before);
    });

    test('NetworkManager does not manage the NIC: nothing is touched', async () => {
      await host.sh('nmcli device set ens6 managed no');
      const before = await picture();
      const end = await host.apply(kind, [...TWO, V6]);
      await host.sh('nmcli device set ens6 managed yes');
      expect(end.outcome).toMatchObject({
        result: 'Failed',
        reason: 'NicUnmanaged',
        step: 'preflight',
      });
      expect(end.outcome?.message).toContain('multinic.io/renderer');
      expect(await picture()).toEqual(before);
    });

    test.each(['NetworkManager.service', 'dbus.service dbus.socket'])(
      'without %s nothing is touched',
      async (unit) => {
        const before = await picture();
        await host.sh(`systemctl stop ${unit}`);
        const end = await host.apply(kind, [...TWO, V6]);
        await host.sh(`systemctl start ${unit}; systemctl restart NetworkManager`);
        expect(end.outcome).toMatchObject({
          result: 'Failed',
          reason: 'NetworkManagerDown',
          step: 'preflight',
        });
        await pictureAgain(before);
      },
    );
  });

  describe('cleaning up', () => {
    test('a cleanup frees all NICs, and no NIC gets a profile', async () => {
      const { result } = await watched(() => host.cleanUp());
      expect(result.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.sh(`ls ${folder} /etc/systemd/network`)).not.toContain('multinic');
      for (const name of ['ens5', 'ens6', 'ens7']) await staysAlone(name);
    });

    test('a NIC that was given back can be configured again', async () => {
      const end = await host.apply(kind, [nic(2)]);
      expect(end.outcome).toMatchObject({ result: 'Applied' });
      expect(await host.configured()).toEqual({ multinic2: '1500 192.168.102.10/24' });
    });

    test.runIf(kind === 'keyfile')(
      'a profile that leaves its UUID to NetworkManager is as good as ours',
      async () => {
        const file = `${folder}/multinic2.nmconnection`;
        await host.sh(`sed -i /^uuid=/d ${file}; nmcli connection load ${file}; sleep 1
      ip address flush dev multinic2`);
        const end = await host.apply(kind, [nic(2)]);
        expect(end.outcome).toMatchObject({ result: 'Applied', written: [] });
        expect(await host.configured()).toEqual({ multinic2: '1500 192.168.102.10/24' });
        expect(await host.sh(`cat ${file}`)).not.toContain('uuid=');
      },
    );

    test.runIf(kind === 'keyfile')(
      'ifcfg files are refused where NetworkManager does not read them',
      async () => {
        const before = await picture();
        const end = await host.apply('ifcfg', [nic(2)]);
        expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'NoIfcfgPlugin', step: 'validate' });
        expect(end.outcome?.message).toContain('write keyfile in the annotation multinic.io/renderer');
        expect(await picture()).toEqual(before);
      },
    );

    test.runIf(kind === 'ifcfg')(
      'ifcfg files are refused where nothing names NICs by them at boot',
      async () => {
        const before = await picture();
        await host.sh('mv /usr/lib/udev/rename_device /run');
        const end = await host.apply(kind, [nic(2), V6]);
        await host.sh('mv /run/rename_device /usr/lib/udev');
        expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'NoRenameDevice', step: 'validate' });
        expect(await picture()).toEqual(before);
      },
    );

    test.runIf(kind === 'ifcfg')('a node becomes one of keyfiles, and one of ifcfg files again', async () => {
      for (const other of ['keyfile', kind] as const) {
        const { result } = await watched(() => host.apply(other, [nic(2)]));
        expect(result.outcome).toMatchObject({ result: 'Applied' });
        expect(await host.configured()).toEqual({ multinic2: '1500 192.168.102.10/24' });
        expect(await host.sh(`nmcli -g FILENAME,DEVICE connection | grep :multinic2$`)).toContain(
          other === kind ? fileOf('multinic2') : 'multinic2.nmconnection',
        );
      }
    });

    test('the files of a NIC that leaves the machine are removed', async () => {
      expect((await host.apply(kind, [nic(2), nic(0)])).outcome?.result).toBe('Applied');
      await host.machine.detachNic(nic(0).mac);
      const { result } = await watched(() => host.apply(kind, [nic(2), nic(0)]));
      expect(result.outcome).toMatchObject({
        result: 'Pending',
        missing: [nic(0).mac],
        removed: expect.arrayContaining([expect.stringContaining(fileOf('multinic0'))]),
      });
      expect(host.log).toContain('orphaned');
      expect(await host.sh(`ls ${folder} /etc/systemd/network`)).not.toContain('multinic0');
      expect(await host.sh('nmcli -g NAME connection show')).not.toContain('multinic0');
      expect(await host.configured()).toEqual({ multinic2: '1500 192.168.102.10/24' });
      await host.machine.attachNic({ mac: nic(0).mac, network: 'tenant-0' });
      expect((await host.apply(kind, [nic(2), nic(0)])).outcome?.result).toBe('Applied');
      expect((await host.apply(kind, [nic(2)])).outcome?.result).toBe('Applied');
    });

    test('NetworkManager ignores a freed NIC as long as the NIC exists', async () => {
      await host.machine.detachNic(nic(0).mac);
      const end = await host.apply(kind, [nic(2), nic(0)]);
      expect(end.outcome).toMatchObject({ result: 'Pending', missing: [nic(0).mac] });
      expect(await host.sh('ls /etc/NetworkManager/conf.d')).toBe(
        '90-multinic-020000000101.conf\n90-multinic-020000000102.conf\n90-multinic-carrier.conf\nbackup',
      );
    });
  });
}

/** Whether ens6 has a default route and an address by DHCP, and one that the router advertises. */
async function offered(): Promise<boolean> {
  const addresses = (await host.addresses('ens6')).join(' ');
  const route = await host.sh('ip route show default via 172.16.9.1 dev ens6');
  return route !== '' && addresses.includes('172.16.9.') && addresses.includes('2001:db8:9:');
}

/** Everything that a run may change: files, the kernel's links, addresses and routes, NetworkManager's profiles. */
async function picture(): Promise<Record<string, string>> {
  return {
    files:
      await host.sh(`cd /etc; find NetworkManager systemd/network sysconfig -path '*/backup' -prune -o -type f -print0 |
      sort -z | xargs -0 sha256sum`),
    links: await host.sh(
      `ip -br -d link | grep -v ^lo; ip -br addr | sed 's/ fe80[^ ]*//'; (ip route; ip -6 route) | grep -v fe80 | sed 's/ metric.*//'; ip rule`,
    ),
    profiles: await host.sh(`nmcli -g NAME,UUID,DEVICE,FILENAME connection | sort`),
  };
}

/** A restarted NetworkManager may remove foreign state on the node's own NIC. Other software sets it again. */
async function pictureAgain(before: Readonly<Record<string, string>>): Promise<void> {
  await host.managed();
  const again = async (): Promise<boolean> => {
    await foreign(host);
    return isDeepStrictEqual(await picture(), before);
  };
  await waitFor('all as it was', again, {
    timeoutMs: 30_000,
    hint: async () => JSON.stringify([before, await picture()], null, 1),
  });
  await host.settled();
}

async function active(name: string): Promise<string> {
  return host.sh(`nmcli -g GENERAL.CONNECTION device show ${name}`);
}

/** The NIC has no address and no profile, and gets none when the link goes down and comes up again. */
async function staysAlone(name: string): Promise<void> {
  await host.sh(`ip link set ${name} down; ip link set ${name} up`);
  const alone = async (): Promise<boolean> =>
    (await host.sh(`nmcli -g GENERAL.STATE,GENERAL.CONNECTION device show ${name}`)) ===
    '30 (disconnected)\n';
  await waitFor(`${name} to be left alone`, alone, {
    timeoutMs: 40_000,
    hint: () => host.sh('nmcli device'),
  });
  await host.sh('sleep 2');
  expect(await alone()).toBe(true);
  expect(await host.addresses(name)).toEqual([]);
  const automatic = '/run/NetworkManager/system-connections/*';
  expect(await host.sh(`grep -l interface-name=${name}$ ${automatic} || true`)).toBe('');
}

interface Watched<T> {
  readonly result: T;
  /** Messages of the kernel about links, addresses, routes and rules. */
  readonly seen: readonly string[];
  /** Requests to NetworkManager. */
  readonly told: readonly string[];
}

/** Runs an action of the agent. @throws if foreign state changed */
async function watched<T>(action: () => Promise<T>): Promise<Watched<T>> {
  await host.sh(`journalctl -u NetworkManager -n 0 --show-cursor | sed -n 's/^-- cursor: //p' > /run/cursor`);
  const [result, seen] = await monitored(host, action);
  const told = await host.sh(
    'journalctl -u NetworkManager -o cat --after-cursor="$(cat /run/cursor)" | grep audit: || true',
  );
  return {
    result,
    // Neighbours change with the traffic.
    seen: seen.filter((line) => !/ lladdr |FAILED|INCOMPLETE/.test(line)),
    told: told.split('\n').filter((line) => line !== ''),
  };
}

function deletions(seen: readonly string[], name: string): string[] {
  return seen.filter((line) => line.startsWith('Deleted') && line.includes(name));
}
