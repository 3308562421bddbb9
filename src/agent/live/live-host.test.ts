import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Folder } from '../../../test/support/agent.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { run } from '../command/host-command.ts';
import { restoreCommand } from './dead-man.ts';
import { restoreScript } from './restore-script.ts';
import { heldAddresses } from '../host/links.ts';
import type { Link } from '../host/machine.ts';
import { readConnected, readLinks, readMtuLimits, readRoutes, withYields } from './ip.ts';
import { withoutAutomatic } from './automatic-profiles.ts';
import { readUppers, uppersAcross } from './upper-links.ts';
import { isWithoutIpv6 } from './live-links.ts';
import { NetworkManager, readRow } from './network-manager.ts';
import type { Pending } from '../files/host-record.ts';
import { mac } from '../../../test/support/mac.ts';

test('links by their permanent MAC, with what people gave them', () => {
  const raw = [
    { ifname: 'lo', link_type: 'loopback', address: '00:00:00:00:00:00' },
    {
      ifname: 'ens6',
      link_type: 'ether',
      address: 'fa:16:3e:00:00:09',
      permaddr: 'FA:16:3E:00:00:01',
      master: 'bond0',
      flags: ['BROADCAST', 'UP', 'LOWER_UP'],
      mtu: 9000,
      addr_info: [
        { family: 'inet', local: '192.168.1.10', prefixlen: 24, scope: 'global' },
        { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
      ],
    },
    { ifname: 'tun0', link_type: 'none' },
    {
      ifname: 'br-provider',
      link_type: 'ether',
      address: 'fa:16:3e:00:00:01',
      linkinfo: { info_kind: 'openvswitch' },
    },
    { ifname: 'eth0', link_type: 'ether', address: 'fa:16:3e:00:00:02', linkinfo: { info_kind: 'veth' } },
  ];
  expect(readLinks(raw)).toEqual([
    {
      name: 'ens6',
      mac: 'fa:16:3e:00:00:01',
      up: true,
      mtu: 9000,
      addresses: ['192.168.1.10/24'],
      master: 'bond0',
    },
    { name: 'br-provider', mac: 'fa:16:3e:00:00:01', up: false, mtu: 1500, addresses: [], software: true },
    { name: 'eth0', mac: 'fa:16:3e:00:00:02', up: false, mtu: 1500, addresses: [] },
  ]);
});

test('links that stand on others, and none for the other end of a veth', () => {
  const raw = [
    { ifname: 'ens6' },
    { ifname: 'ens6.7', link: 'ens6', linkinfo: { info_kind: 'vlan' } },
    { ifname: 'net1', link: 'ens6', linkinfo: { info_kind: 'macvlan' } },
    { ifname: 'veth0', link: 'veth1', linkinfo: { info_kind: 'veth' } },
    { ifname: 'nk0', link: 'nk1', linkinfo: { info_kind: 'netkit' } },
    { ifname: 'gre1', link: 'ens6', linkinfo: { info_kind: 'gre', info_data: { link: 'ens6' } } },
    { ifname: 'flannel.1', linkinfo: { info_kind: 'vxlan', info_data: { id: 1, link: 'ens6', port: 8472 } } },
    { ifname: 'tunl0', link: null, linkinfo: { info_kind: 'ipip', info_data: { local: 'any' } } },
    { ifname: 'sec0', link: 'ens6', linkinfo: { info_kind: 'macsec' } },
  ];
  expect(readUppers(raw)).toEqual(
    ['ens6.7', 'net1', 'gre1', 'flannel.1', 'sec0'].map((name) => ({ name, lower: 'ens6' })),
  );
});

test('tunnels without a device stand on the link that has their local address', () => {
  const raw = [
    { ifname: 'ens6', addr_info: [{ local: '192.168.100.10', prefixlen: 24 }, { local: 'fd00::10' }] },
    { ifname: 'vx4', linkinfo: { info_kind: 'vxlan', info_data: { local: '192.168.100.10' } } },
    { ifname: 'vx6', linkinfo: { info_kind: 'vxlan', info_data: { local6: 'fd00::10' } } },
    { ifname: 'vx7', linkinfo: { info_kind: 'vxlan', info_data: { local: '192.168.100.11' } } },
  ];
  expect(readUppers(raw)).toEqual(['vx4', 'vx6'].map((name) => ({ name, lower: 'ens6' })));
});

test('links of other network namespaces that stand on one of this', () => {
  const own = [
    { ifname: 'lo', ifindex: 1 },
    { ifname: 'ens6', ifindex: 5 },
    { ifname: 'veth9', ifindex: 9, linkinfo: { info_kind: 'veth' } },
  ];
  const others = [
    { ifname: 'net1', link_index: 5, link_netnsid: 0, linkinfo: { info_kind: 'macvlan' } },
    { ifname: 'net2', link_index: 5, link_netnsid: 0, linkinfo: { info_kind: 'ipvlan' } },
    { ifname: 'net3', link: 'net1', linkinfo: { info_kind: 'vlan' } },
    { ifname: 'vx0', link_netnsid: 0, linkinfo: { info_kind: 'vxlan', info_data: { link: 'if5' } } },
    { ifname: 'eth0', link_index: 9, link_netnsid: 0, linkinfo: { info_kind: 'veth' } },
    { ifname: 'odd', link_index: 77, link_netnsid: 0, linkinfo: { info_kind: 'macvlan' } },
  ];
  expect(uppersAcross(others, own)).toEqual(['net1', 'net2', 'vx0'].map((name) => ({ name, lower: 'ens6' })));
});

test('bounds of MTUs, and none where the kernel reports none', () => {
  expect(readMtuLimits([{ ifname: 'ens6', min_mtu: 68, max_mtu: 1450 }, { ifname: 'ens7' }])).toEqual([
    { name: 'ens6', min: 68, max: 1450 },
  ]);
});

test.each<[string, Record<string, string>, boolean]>([
  ['switched off on the link', { ens6: '1', default: '0' }, true],
  ['on', { ens6: '0', default: '1' }, false],
  ['without settings of the link, off for a new one', { default: '1' }, true],
  ['without settings of the link, on for a new one', { default: '0' }, false],
  ['that the kernel has not', {}, true],
])('IPv6 %s', (_, settings, expected) => {
  using folder = new Folder();
  for (const [name, value] of Object.entries(settings)) {
    const conf = join(folder.path, 'proc/sys/net/ipv6/conf', name);
    mkdirSync(conf, { recursive: true });
    writeFileSync(join(conf, 'disable_ipv6'), `${value}\n`);
  }
  expect(isWithoutIpv6(folder.path, 'ens6')).toBe(expected);
});

test('routes that lead somewhere: those that follow from addresses, and those of pods, are left out', () => {
  const raw = [
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0' },
    { dst: 'default', nexthops: [{ gateway: '10.0.0.2', dev: 'eth1' }] },
    { dst: '10.0.0.0/24', dev: 'eth0' },
    { dst: '10.244.1.7', dev: 'cali123' },
    { dst: '10.244.2.0/24', gateway: '10.0.0.12', dev: 'eth0' },
  ];
  expect(readRoutes(raw)).toEqual([
    { to: 'default', dev: 'eth0', via: '10.0.0.1' },
    { to: 'default', dev: 'eth1', via: '10.0.0.2' },
    { to: '10.244.2.0/24', dev: 'eth0', via: '10.0.0.12' },
  ]);
});

describe('what a NIC got for want of a profile', () => {
  const raw = ['eth0', 'ens6'].map((ifname) => ({
    ifname,
    link_type: 'ether',
    address: 'fa:16:3e:00:00:01',
    addr_info: [
      { local: '10.0.0.5', prefixlen: 24, scope: 'global', dynamic: true },
      { local: '10.0.1.5', prefixlen: 24, scope: 'global' },
    ],
  }));
  const routes = [
    { dst: 'default', gateway: '10.0.9.1', dev: 'ens6', protocol: 'dhcp' },
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', protocol: 'dhcp' },
  ];

  test('counts for nothing: the way out is the other one', () => {
    const { links, routes: left } = withoutAutomatic(raw, [routes], new Set(['ens6']));
    expect(links.map(heldAddresses)).toEqual([['10.0.1.5/24', '10.0.0.5/24'], ['10.0.1.5/24']]);
    expect(left).toEqual([{ to: 'default', via: '10.0.0.1', dev: 'eth0' }]);
    const byHand = { dst: '10.9.0.0/16', gateway: '10.0.9.1', dev: 'ens6', protocol: 'boot' };
    expect(withoutAutomatic(raw, [[...routes, byHand]], new Set(['ens6'])).routes).toHaveLength(2);
  });

  test('counts where there is no other way out', () => {
    const all = new Set(['ens6', 'eth0']);
    expect(withoutAutomatic(raw, [routes], all)).toEqual({
      links: readLinks(raw),
      routes: routes.map(({ dst, gateway, dev }) => ({ to: dst, via: gateway, dev })),
    });
    const { links } = withoutAutomatic(raw, [routes.slice(1)], all);
    expect(links.map(heldAddresses)).toEqual([['10.0.1.5/24', '10.0.0.5/24'], ['10.0.1.5/24']]);
  });
});

test('a second way out counts only if somebody wrote it, or NetworkManager made both', () => {
  const first = { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', protocol: 'dhcp' };
  const second = { dst: 'default', gateway: '10.0.9.1', dev: 'ens6', protocol: 'dhcp' };
  const left = (route: object, automatic: string[] = []): string[] =>
    withoutAutomatic([], [[first, { ...second, ...route }]], new Set(automatic)).routes.map(({ dev }) => dev);
  expect(left({})).toEqual(['eth0']);
  expect(left({ protocol: 'static' })).toEqual(['eth0', 'ens6']);
  // OpenStack's route to its metadata service.
  expect(left({ dst: '169.254.169.254' })).toEqual(['eth0']);
  expect(left({}, ['eth0', 'ens6'])).toEqual(['eth0', 'ens6']);
});

test('nmcli’s rows', () => {
  const file = '/run/NetworkManager/system-connections/Wired connection 1.nmconnection';
  expect(readRow(`1-2:ens6:-999:${file}`)).toEqual(['1-2', 'ens6', '-999', file]);
  expect(readRow(String.raw`a\:b:02\:00:`)).toEqual(['a:b', '02:00', '']);
});

function saying(says: string): NetworkManager {
  return new NetworkManager(([program]) => [
    'echo',
    program === 'busctl' ? says : '7cd7fad6:ens6:130:/etc/x',
  ]);
}

describe('a profile that NetworkManager has already', () => {
  test('is read anew', async () => {
    await expect(saying('bas true 0').load('/etc/x')).resolves.toBeUndefined();
  });

  test('stays as it was where its file is not understood: refused', async () => {
    await expect(saying('bas false 1 "/etc/x"').load('/etc/x')).rejects.toThrow(
      'does not take the profile /etc/x',
    );
  });
});

test('a command that hangs is ended, and one that is missing is named', async () => {
  await expect(run(['sleep', '10'], 50)).rejects.toMatchObject({ code: 'CommandHangs' });
  await expect(run(['no-such-command'])).rejects.toMatchObject({ code: 'CommandMissing' });
  expect(await run(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toEqual({
    code: 3,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  // Nothing of the pod's environment reaches a command of the host.
  process.env['SECRET'] = 'x';
  expect((await run(['sh', '-c', 'echo "[$SECRET]"'])).stdout).toBe('[]\n');
});

const MAC = mac('fa:16:3e:00:00:01');

const pending: Pending = {
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: false,
  others: [],
  files: [
    { path: 'etc/netplan/90-multinic0.yaml', before: null, after: 'a' },
    { path: 'etc/netplan/91-multinic1.yaml', before: { content: "it's old\n", mode: 0o600 }, after: null },
  ],
  links: {
    before: [{ name: 'ens6', mac: MAC, up: false, mtu: 1500, addresses: ['10.0.0.1/24'] }],
    after: [{ name: 'multinic0', mac: MAC, up: true, mtu: 9000, addresses: ['10.0.0.2/24'] }],
  },
  machine: { links: [], routes: [] },
  applied: null,
};

describe("the host's own restore", () => {
  let root: string;
  const sh = (text: string): string => execFileSync('sh', ['-c', text], { cwd: root, encoding: 'utf8' });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'multinic-restore-'));
    sh('mkdir -p etc/netplan var/lib/multinic');
    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending }, null, 2));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** Runs the host's script with its paths in a folder, and an `ip` that has a list of links and logs its commands. */
  function restore(change: Pending, links: readonly string[]): void {
    const ip = `ip() {
      if [ "$1 $2" = '-o link' ]; then cat ${root}/links; return; fi
      if [ "$2" = property ]; then rm "${root}/altnames/$7"; return; fi
      if [ "$4" = name ]; then
        [ ! -e "${root}/altnames/$5" ] && [ ! -e "${root}/names/$5" ] || return 1
        sed -i "s/: $3: /: $5: /" ${root}/links
        mv "${root}/names/$3" "${root}/names/$5"
      fi
      echo "ip $*" >> ${root}/commands
      [ "$4" != mtu ] || [ "$5" != 13 ]
    }
    timeout() { echo "$*" >> ${root}/commands; case "$*" in *FILENAME*) return 1 ;; esac; }
    sleep() { :; }`;
    const script = restoreScript(change)
      .replaceAll('/etc/', `${root}/etc/`)
      .replaceAll('/var/lib/', `${root}/var/lib/`)
      .replaceAll('/sys/class/net/', `${root}/names/`)
      .replaceAll('/proc/sys/net/ipv6/conf/', `${root}/conf/`)
      .replace(/^PATH=.*$/m, () => ip);
    writeFileSync(join(root, 'links'), links.map((link) => `${link}\n`).join(''));
    writeFileSync(join(root, 'var/lib/multinic/restore.sh'), script);
    rmSync(join(root, 'commands'), { force: true });
    rmSync(join(root, 'names'), { recursive: true, force: true });
    sh(`mkdir -p names altnames; touch ${links.map((link) => `names/${link.split(': ')[1]}`).join(' ')}`);
    sh('sh var/lib/multinic/restore.sh');
  }
  /** The commands of the script that change something. */
  const commands = (): string[] =>
    sh('cat commands')
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('ip -o addr show'));
  const OURS = String.raw`7: multinic0: <BROADCAST,UP> mtu 9000 qdisc mq state UP\    link/ether fa:16:3e:00:00:01 brd ff:ff:ff:ff:ff:ff`;

  test('puts files back, once and again, and nothing when the change is over', () => {
    writeFileSync(join(root, 'etc/netplan/90-multinic0.yaml'), 'new');
    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending: null }));
    restore(pending, [OURS]);
    expect(sh('ls etc/netplan')).toBe('90-multinic0.yaml\n');

    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending }, null, 2));
    for (let time = 1; time <= 2; time += 1) {
      restore(pending, [OURS]);
      expect(sh('ls -a etc/netplan')).toBe('.\n..\n91-multinic1.yaml\n');
      expect(sh('cat etc/netplan/*; stat -c %a etc/netplan/*')).toBe("it's old\n600\n");
    }
    expect(commands()).toEqual([
      'ip link set multinic0 down',
      'ip link set multinic0 name mnrestore0',
      'ip link set mnrestore0 name ens6',
      'ip link set ens6 mtu 1500',
      'ip link set ens6 down',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
      'ip addr del 10.0.0.2/24 dev ens6',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
    ]);
  });

  test('leaves a NIC alone that has the name by now, or is gone, and one that copies the MAC', () => {
    const foreign = String.raw`9: ens6: <BROADCAST> mtu 1500\    link/ether fa:16:3e:00:00:99 brd ff:ff:ff:ff:ff:ff`;
    restore(pending, [foreign, OURS]);
    expect(commands()).toContain('ip link set mnrestore0 name enxfa163e000001');
    expect(commands().filter((line) => line.includes('ens6'))).toEqual([]);

    const bond = OURS.replace('multinic0', 'bond0');
    const member = `${OURS.replace('00:01 brd', '00:09 brd')} permaddr fa:16:3e:00:00:01`;
    restore(pending, [bond, member]);
    expect(commands()[0]).toBe('ip link set multinic0 down');

    // A physical function's line names its virtual functions.
    const physical = String.raw`2: ens1f0: <UP> mtu 1500\    link/ether fa:16:3e:00:00:77 brd ff:ff:ff:ff:ff:ff\    vf 0     link/ether fa:16:3e:00:00:01 brd ff:ff:ff:ff:ff:ff, spoof checking on`;
    restore(pending, [physical, OURS]);
    expect(commands().filter((line) => line.includes('ens1f0'))).toEqual([]);

    restore(pending, [foreign, physical]);
    expect(sh('ls')).not.toContain('commands');
  });

  test('takes the name back that udev has made another one of the NIC’s', () => {
    sh('mkdir altnames; touch altnames/ens6');
    restore(pending, [OURS]);
    expect(commands()).toContain('ip link set mnrestore0 name ens6');
    expect(sh('ls names; ls var/lib/multinic')).toBe('ens6\nrecord.json\n');
  });

  test('has the files read again only if the run came to have them read', () => {
    restore(pending, [OURS]);
    expect(commands()).not.toContain('60 netplan apply');
    const begun = { ...pending, reload: true };
    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending: begun }, null, 2));
    restore(pending, [OURS]);
    expect(commands()).toContain('60 netplan apply');
  });

  test('stays for the next agent where it could not do all of it', () => {
    const [before] = pending.links.before;
    restore({ ...pending, links: { ...pending.links, before: [{ ...before!, mtu: 13 }] } }, [OURS]);
    expect(sh('ls var/lib/multinic')).toBe('record.json\nrestore.sh\n');
    restore(pending, [OURS]);
    expect(sh('ls var/lib/multinic')).toBe('record.json\n');
  });

  test('waits for an agent that hangs for as long as it takes, and goes by what that agent leaves', async () => {
    const lock = `flock var/lib/multinic/lock`;
    const restored = (): Promise<unknown> => run(['sh', '-c', restoreCommand(root)], 60_000);
    writeFileSync(join(root, 'var/lib/multinic/restore.sh'), `echo ran >> ${root}/ran`);
    expect(restoreCommand()).not.toMatch(/flock\s+(-w|--wait|--timeout|-n)/);
    const began = performance.now();
    const holds = run(['sh', '-c', `cd ${root}; ${lock} sleep 1`]);
    await pause(200);
    await Promise.all([restored(), holds]);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(sh('cat ran')).toBe('ran\n');
    const removes = run(['sh', '-c', `cd ${root}; ${lock} sh -c 'sleep 1; rm var/lib/multinic/restore.sh'`]);
    await pause(200);
    await Promise.all([restored(), removes]);
    expect(sh('cat ran')).toBe('ran\n');
  });

  test('what a network manager may have written is added only where it did not read its files again', () => {
    const own = '-4 route add 10.6.0.0/16 via 10.0.0.9 dev ens6 proto 4';
    const others = [own, '-4 route add 10.7.0.0/16 via 10.1.0.9 dev eth0 proto 4'];
    const added = (reload: boolean): string[] => {
      const change = { ...pending, others, reload };
      writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending: change }, null, 2));
      restore(change, [`2: ens6: <UP> mtu 1500\\    link/ether ${MAC} brd`]);
      const ran = sh('grep "route add" commands').split('\n');
      return [...new Set(ran.flatMap((line) => /10\.[67]/.exec(line)?.[0] ?? []))];
    };
    expect(added(false)).toEqual(['10.6', '10.7']);
    expect(added(true)).toEqual(['10.6']);
  });

  test('gives back what others had through a NIC, and leaves what a DHCP server gave', () => {
    const [before] = pending.links.before;
    const change = {
      ...pending,
      others: ['-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens6 proto 12', 'neigh add 10.0.0.9 dev eth0'],
      links: { ...pending.links, before: [{ ...before!, leases: ['10.0.0.2/24'] }] },
    };
    const foreign = String.raw`9: ens6: <BROADCAST> mtu 1500\    link/ether fa:16:3e:00:00:99 brd ff:ff:ff:ff:ff:ff`;
    restore(change, [foreign, OURS]);
    const given = [
      'ip neigh add 10.0.0.9 dev eth0',
      'ip -4 route add 10.5.0.0/16 via 10.0.0.9 dev enxfa163e000001 proto 12',
    ];
    expect(commands().slice(-4)).toEqual([...given, ...given]);
    expect(sh('ls var/lib/multinic')).toBe('record.json\n');
    expect(commands().filter((line) => line.includes('addr del'))).toEqual([]);
  });

  test('restores IPv6 settings before the link comes up, and drops the link-local address that they forbid', () => {
    const [before] = pending.links.before;
    const links = {
      ...pending.links,
      before: [{ ...before!, name: 'multinic0', ipv6: { acceptRa: 1, addrGenMode: 1 } }],
    };
    sh('mkdir -p conf/multinic0; echo 0 >conf/multinic0/accept_ra; echo 0 >conf/multinic0/addr_gen_mode');
    restore({ ...pending, links }, [OURS]);
    expect(sh('cat conf/multinic0/accept_ra conf/multinic0/addr_gen_mode')).toBe('1\n1\n');
    expect(commands().slice(0, 2)).toEqual([
      'ip addr del fe80::f816:3eff:fe00:1/64 dev multinic0',
      'ip link set multinic0 mtu 1500',
    ]);
  });

  test('gives an address its metric again, and takes the metric of a change away', () => {
    const [before] = pending.links.before;
    const restored = (yields?: string[]): string[] => {
      const nic = { ...before!, name: 'multinic3', ...(yields && { yields }) };
      restore({ ...pending, links: { ...pending.links, before: [nic] } }, [OURS]);
      return commands().filter((line) => line.includes('addr replace'));
    };
    const line = 'ip addr replace 10.0.0.1/24 dev multinic3 brd +';
    expect(restored(['10.0.0.1/24'])).toEqual([`${line} metric 1003`, `${line} metric 1003`]);
    // Without a metric in the record, the address gets the kernel's metric.
    expect(restored()).toEqual([line, line]);
  });

  test('has NetworkManager read its settings again where a metric was one of them', () => {
    const path = 'etc/NetworkManager/conf.d/90-multinic-metric-multinic0.conf';
    restore({ ...pending, files: [{ path, before: null, after: 'a' }], profiles: {} }, [OURS]);
    expect(commands()).toContain('10 nmcli general reload conf');
  });

  test('has NetworkManager forget and take up what the change was about, names first', () => {
    const UUID = '580c9022-04e9-3acb-a492-f4ec1686e2f1';
    const paths = [
      'etc/NetworkManager/system-connections/multinic0.nmconnection',
      'etc/systemd/network/70-multinic0.link',
      'etc/sysconfig/network-scripts/ifcfg-multinic1',
      'etc/NetworkManager/conf.d/90-multinic-fa163e000001.conf',
    ];
    const files = paths.map((path) => ({ path, before: null, after: 'a' }));
    restore({ ...pending, files, profiles: { 'fa:16:3e:00:00:01': UUID } }, [OURS]);
    expect(commands().filter((line) => !line.includes('UUID,FILENAME'))).toEqual([
      'ip link set multinic0 down',
      'ip link set multinic0 name mnrestore0',
      'ip link set mnrestore0 name ens6',
      '10 nmcli general reload conf',
      `10 nmcli connection load ${root}/etc/NetworkManager/system-connections/multinic0.nmconnection`,
      `10 nmcli connection load ${root}/etc/sysconfig/network-scripts/ifcfg-multinic1`,
      'ip link set ens6 up',
      `10 nmcli --wait 5 connection up uuid ${UUID} ifname ens6`,
      'ip link set ens6 mtu 1500',
      'ip link set ens6 down',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
      'ip addr del 10.0.0.2/24 dev ens6',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
    ]);
    expect(sh('ls var/lib/multinic')).toBe('record.json\n');
  });
});

const linkOf = (name: string, addresses: string[]): Link => ({
  name,
  mac: MAC,
  up: true,
  mtu: 1500,
  addresses,
});

describe('connected routes', () => {
  const raw = [
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', metric: 100 },
    { dst: '10.0.0.0/24', dev: 'eth0', metric: 100 },
    { dst: '10.0.0.0/24', dev: 'multinic0', metric: 1000 },
    { dst: '10.0.0.1', dev: 'eth0', metric: 100 },
    { dst: '10.1.0.0/24', dev: 'multinic1' },
    { dst: '10.2.0.0/24', gateway: '10.0.0.9', dev: 'eth0' },
    { dst: 'fd00::/64', dev: 'multinic0', metric: 1000 },
  ];

  test('are those to subnets, without a gateway', () => {
    expect(readConnected(raw)).toEqual([
      { to: '10.0.0.0/24', dev: 'eth0', metric: 100 },
      { to: '10.0.0.0/24', dev: 'multinic0', metric: 1000 },
      { to: '10.1.0.0/24', dev: 'multinic1', metric: 0 },
      { to: 'fd00::/64', dev: 'multinic0', metric: 1000 },
    ]);
  });

  test.each([
    [
      'multinic0',
      ['10.0.0.77/24', '10.0.0.78/32', '10.1.0.5/24', 'fd00::5/64'],
      ['10.0.0.77/24', 'fd00::5/64'],
    ],
    ['multinic1', ['10.1.0.5/24'], undefined],
    ['eth0', ['10.0.0.5/24'], undefined],
  ])('%s %j yields with %j', (name, addresses, yields) => {
    expect(withYields(linkOf(name, addresses), readConnected(raw)).yields).toEqual(yields);
  });
});
