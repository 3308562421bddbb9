import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from './command.ts';
import { restoreScript } from './dead-man.ts';
import { heldAddresses } from './links.ts';
import { readLinks, readRoutes, readUppers, withoutAutomatic } from './kernel.ts';
import { NetworkManager, readRow } from './network-manager.ts';
import type { Pending } from './record.ts';

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
  ]);
});

test('links that stand on others, and none for the other end of a veth', () => {
  const raw = [
    { ifname: 'ens6' },
    { ifname: 'ens6.7', link: 'ens6', linkinfo: { info_kind: 'vlan' } },
    { ifname: 'net1', link: 'ens6', linkinfo: { info_kind: 'macvlan' } },
    { ifname: 'veth0', link: 'veth1', linkinfo: { info_kind: 'veth' } },
  ];
  expect(readUppers(raw)).toEqual([
    { name: 'ens6.7', lower: 'ens6' },
    { name: 'net1', lower: 'ens6' },
  ]);
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
    { dst: 'default', gateway: '10.0.9.1', dev: 'ens6' },
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0' },
  ];

  test('counts for nothing: the way out is the other one', () => {
    const { links, routes: left } = withoutAutomatic(raw, [routes], new Set(['ens6']));
    expect(links.map(heldAddresses)).toEqual([['10.0.1.5/24', '10.0.0.5/24'], ['10.0.1.5/24']]);
    expect(left).toEqual([{ to: 'default', via: '10.0.0.1', dev: 'eth0' }]);
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
  expect(left({ dst: '10.9.0.0/16' })).toEqual(['eth0', 'ens6']);
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

const pending: Pending = {
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: false,
  files: [
    { path: 'etc/netplan/90-multinic0.yaml', before: null, after: 'a' },
    { path: 'etc/netplan/91-multinic1.yaml', before: { content: "it's old\n", mode: 0o600 }, after: null },
  ],
  links: {
    before: [{ name: 'ens6', mac: 'fa:16:3e:00:00:01', up: false, mtu: 1500, addresses: ['10.0.0.1/24'] }],
    after: [{ name: 'multinic0', mac: 'fa:16:3e:00:00:01', up: true, mtu: 9000, addresses: ['10.0.0.2/24'] }],
  },
  machine: { links: [], routes: [] },
  applied: null,
};

test("the host's own restore puts files back, once and again, and nothing when the change is over", () => {
  const root = mkdtempSync(join(tmpdir(), 'multinic-restore-'));
  try {
    // The script is the host's: here its paths begin in a folder, and its `ip` is a list of what it was told.
    const script = restoreScript(pending)
      .replaceAll('/etc/', `${root}/etc/`)
      .replaceAll('/var/lib/', `${root}/var/lib/`)
      .replaceAll('/sys/', `${root}/sys/`)
      .replace(/^PATH=.*$/m, `ip() { echo "ip $*" >> ${root}/told; }`);
    const sh = (text: string): string => execFileSync('sh', ['-c', text], { cwd: root, encoding: 'utf8' });
    sh('mkdir -p etc/netplan var/lib/multinic sys/class/net/multinic0');
    writeFileSync(join(root, 'sys/class/net/multinic0/address'), 'fa:16:3e:00:00:01\n');
    writeFileSync(join(root, 'etc/netplan/90-multinic0.yaml'), 'new');
    writeFileSync(join(root, 'restore.sh'), script);

    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending: null }));
    sh('sh restore.sh');
    expect(sh('ls etc/netplan')).toBe('90-multinic0.yaml\n');

    writeFileSync(join(root, 'var/lib/multinic/record.json'), JSON.stringify({ pending }, null, 2));
    for (let time = 1; time <= 2; time += 1) {
      sh('sh restore.sh');
      expect(sh('ls -a etc/netplan')).toBe('.\n..\n91-multinic1.yaml\n');
      expect(sh('cat etc/netplan/*; stat -c %a etc/netplan/*')).toBe("it's old\n600\n");
    }
    expect(sh('cat told').split('\n').slice(0, 8)).toEqual([
      'ip link set multinic0 down',
      'ip link set multinic0 name mnrestore0',
      'ip link set multinic0 name ens6',
      'ip link set ens6 mtu 1500',
      'ip link set ens6 down',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
      'ip addr del 10.0.0.2/24 dev ens6',
      'ip addr replace 10.0.0.1/24 dev ens6 brd +',
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the host's own restore has NetworkManager forget and take up what the change was about, names first", () => {
  const script = restoreScript({
    ...pending,
    files: [
      { path: 'etc/NetworkManager/system-connections/multinic0.nmconnection', before: null, after: 'a' },
      { path: 'etc/systemd/network/70-multinic0.link', before: null, after: 'b' },
      { path: 'etc/sysconfig/network-scripts/ifcfg-multinic1', before: null, after: 'd' },
      { path: 'etc/NetworkManager/conf.d/90-multinic-fa163e000001.conf', before: null, after: 'c' },
    ],
    profiles: { 'fa:16:3e:00:00:01': '580c9022-04e9-3acb-a492-f4ec1686e2f1' },
  });
  const order = [
    "name 'ens6'",
    'nmcli general reload conf',
    "nmcli connection load '/etc/NetworkManager/system-connections/multinic0.nmconnection'",
    "nmcli connection load '/etc/sysconfig/network-scripts/ifcfg-multinic1'",
    "up \"$(uuid '580c9022-04e9-3acb-a492-f4ec1686e2f1')\" 'ens6'",
    "ip link set 'ens6' mtu 1500",
  ].map((text) => script.indexOf(text));
  expect(order.every((at) => at > 0)).toBe(true);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(script).not.toContain("load '/etc/systemd");
});
