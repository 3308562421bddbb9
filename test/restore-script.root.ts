// shellcheck of the script of the host's own restore: restore.sh alone, and with the data of a change.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Pending } from '../src/agent/files/host-record.ts';
import { restoreScript } from '../src/agent/live/restore-script.ts';
import { wantedRouting } from '../src/agent/host/routing.ts';
import { cidrsOf } from '../src/network/interface.ts';
import { Folder, nic } from './support/agent.ts';

const PENDING: Pending = {
  bootId: 'b',
  startedAt: '2026-01-01T00:00:00.000Z',
  reload: false,
  profiles: { [nic(0).mac]: '580c9022-04e9-3acb-a492-f4ec1686e2f1' },
  others: ['-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens5 proto 12', 'neigh add 10.0.0.9 dev eth0'],
  files: [
    { path: 'etc/netplan/90-multinic0.yaml', before: null, after: 'a' },
    { path: 'etc/netplan/91-multinic1.yaml', before: { content: "it's old\n", mode: 0o600 }, after: null },
  ],
  links: {
    before: [
      {
        name: 'ens5',
        mac: nic(0).mac,
        up: true,
        mtu: 1500,
        addresses: ['10.0.0.1/24'],
        ipv6: { acceptRa: 1, addrGenMode: 0 },
      },
    ],
    after: [{ name: 'multinic0', mac: nic(0).mac, up: true, mtu: 9000, addresses: ['10.0.0.2/24'] }],
  },
  machine: { links: [], routes: [] },
  applied: null,
};

const complaints = (file: string, ...options: string[]): string => {
  try {
    return execFileSync('shellcheck', ['-s', 'sh', ...options, file], { encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
};

test('restore.sh', () => {
  expect(complaints(join(import.meta.dirname, '../src/agent/live/restore.sh'))).toBe('');
});

test('the script of a change', () => {
  using folder = new Folder();
  const file = join(folder.path, 'restore.sh');
  writeFileSync(file, restoreScript(PENDING));
  // shellcheck reads the directive of restore.sh only at the beginning of a file.
  expect(complaints(file, '--exclude=SC2317,SC2329')).toBe('');
});

/** Commands that give a script a network namespace and the files of a folder. */
const prepared = ({ path }: Folder): string => `mount -t tmpfs tmpfs /var/lib
    mkdir /var/lib/multinic
    cp ${path}/* /var/lib/multinic
    mount -t sysfs sysfs /sys
    ip link set lo up`;

const linesOf = (script: string): string[] =>
  execFileSync('unshare', ['--net', '--mount', 'sh', '-c', script], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '));

test('addresses and rules that a network manager has set again stay as they are', () => {
  using folder = new Folder();
  const own = nic(1, { sourceRouting: true, furtherAddresses: ['2001:db8::10/64'] });
  const addresses = [...cidrsOf(own)];
  const { mac, name } = own;
  const link = { mac, name, up: true, mtu: 1500, addresses, yields: addresses, routing: wantedRouting(own) };
  const links = { before: [link], after: [link] };
  const pending: Pending = { ...PENDING, others: [], files: [], profiles: {}, links };
  writeFileSync(join(folder.path, 'restore.sh'), restoreScript(pending));
  writeFileSync(join(folder.path, 'record.json'), JSON.stringify(pending, null, 2));
  const shown = `ip -o addr show dev ${name} scope global | sed 's/valid_lft.*//'
    ip -N rule; ip -N -6 rule
    ip route; ip route show table 20001`;
  const script = `${prepared(folder)}
    ip link add ${name} address ${mac} type veth peer name peer
    ip link set peer up
    ip link set ${name} up
    ip addr add 192.168.101.10/24 brd + dev ${name} noprefixroute
    ip addr add 2001:db8::10/64 dev ${name} noprefixroute nodad
    ip route add 192.168.101.0/24 dev ${name} proto kernel src 192.168.101.10 metric 1001
    ip route add 192.168.101.0/24 dev ${name} proto static src 192.168.101.10 table 20001 metric 1001
    ip rule add from 192.168.101.10 lookup 20001 priority 20002 protocol static
    ip -6 rule add from 2001:db8::10 lookup 20001 priority 20002 protocol static
    ${shown}
    echo then
    sh /var/lib/multinic/restore.sh
    ${shown}`;
  const lines = linesOf(script);
  const middle = lines.indexOf('then');
  expect(lines.slice(middle + 1, -1)).toEqual(lines.slice(0, middle));
  expect(lines).toContain('20002: from 192.168.101.10 lookup 20001 proto 4');
});

test('rules, routes and settings come back as a whole, also of a NIC with another name since', () => {
  using folder = new Folder();
  const link = { mac: nic(1).mac, up: true, mtu: 1500 };
  const [old, other] = [
    nic(1, { sourceRouting: true, furtherAddresses: ['2001:db8::10/64'] }),
    nic(2, {
      mac: link.mac,
      address: '192.168.101.11',
      sourceRouting: true,
      gateway: '192.168.101.1',
      routes: [{ to: '203.0.113.0/24', via: '192.168.101.9' }],
    }),
  ];
  const recorded = (each: typeof old): Pending['links']['before'][number] => {
    const addresses = [...cidrsOf(each)];
    return { ...link, name: each.name, addresses, yields: addresses, routing: wantedRouting(each) };
  };
  const sysctls = { rp_filter: 1, arp_ignore: 0, arp_announce: 0 };
  const before = { ...recorded(old), routing: { ...wantedRouting(old), sysctls } };
  const pending: Pending = {
    ...PENDING,
    others: [],
    files: [],
    profiles: {},
    links: { before: [before], after: [recorded(other)] },
  };
  writeFileSync(join(folder.path, 'restore.sh'), restoreScript(pending));
  writeFileSync(join(folder.path, 'record.json'), JSON.stringify(pending, null, 2));
  // One rule stands twice: of the kernel's protocol, and of networkd's.
  const script = `${prepared(folder)}
    ip link add multinic2 address ${link.mac} type veth peer name peer
    ip link set peer up
    ip link set multinic2 up
    ip addr add 192.168.101.11/24 dev multinic2 metric 1002
    ip rule add from 192.168.101.11 lookup 20002 priority 20002 protocol kernel
    ip rule add from 192.168.101.11 lookup 20002 priority 20002 protocol static
    ip rule add from 192.168.101.11 lookup 20002 suppress_prefixlength 0 priority 20000 protocol kernel
    ip rule add from 10.0.0.0/8 lookup 7 priority 20001
    ip route add 192.168.101.0/24 dev multinic2 src 192.168.101.11 table 20002
    ip route add default via 192.168.101.1 table 20002
    ip route add 203.0.113.0/24 via 192.168.101.9 metric 1002 proto static
    ip route add blackhole 10.78.0.0/16 table 20077
    sh /var/lib/multinic/restore.sh
    ls /var/lib/multinic
    ip -N rule
    ip -N -6 rule
    for table in 20001 20002 20077; do ip -N route show table $table 2>&1 | grep -v Dump; done
    ip -N -6 route show table 20001
    ip -N route
    cat /proc/sys/net/ipv4/conf/multinic1/rp_filter`;
  expect(linesOf(script)).toEqual([
    'record.json',
    '0: from all lookup 255',
    '20001: from 10.0.0.0/8 lookup 7',
    '20002: from 192.168.101.10 lookup 20001',
    '32766: from all lookup 254',
    '32767: from all lookup 253',
    '0: from all lookup 255',
    '20002: from 2001:db8::10 lookup 20001',
    '32766: from all lookup 254',
    '192.168.101.0/24 dev multinic1 proto 4 scope 253 src 192.168.101.10',
    '6 10.78.0.0/16',
    '2001:db8::/64 dev multinic1 proto 4 metric 1024 pref medium',
    '192.168.101.0/24 dev multinic1 proto 2 scope 253 src 192.168.101.10 metric 1001',
    '1',
    '',
  ]);
});
