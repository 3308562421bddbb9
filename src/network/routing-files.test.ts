// Files of NICs with routing: the bytes, how a person may edit them, and what is refused.

import { describe, expect, test } from 'vitest';
import type { Interface } from './interface.ts';
import { rendererOf, RENDERER_KINDS } from './renderers.ts';
import type { Files } from './renderer.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';
import { MAX_FILE_BYTES, readTree, renderTree } from './tree.ts';
import { mac } from '../../test/support/mac.ts';

/** A NIC with every possible value. */
const NIC: Interface = {
  name: 'multinic0',
  mac: mac('fa:16:3e:5e:62:3e'),
  address: '192.0.2.10',
  prefix: 24,
  mtu: 1500,
  furtherAddresses: ['192.0.2.11/24', '2001:db8::10/64'],
  gateway: '192.0.2.1',
  routes: [{ to: '198.51.100.0/24', via: '192.0.2.2', metric: 7 }],
  sourceRouting: true,
  statedSourceRouting: true,
};
/** The smallest set: an address, and source routing that the CR does not set. */
const AUTO: Interface = {
  name: 'multinic0',
  mac: mac('fa:16:3e:5e:62:3e'),
  address: '192.0.2.10',
  prefix: 24,
  mtu: 1500,
  sourceRouting: true,
};
const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.\n';
const DROP_IN = 'etc/systemd/network/10-netplan-multinic0.network.d/multinic0-routing.conf';
const SYSCTL = 'etc/sysctl.d/90-multinic-multinic0.conf';
const IFCFG = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
const ROUTES = 'etc/sysconfig/network-scripts/route-multinic0';
const PROFILE = 'etc/NetworkManager/system-connections/multinic0.nmconnection';

function edit(files: Files, path: string, from: string | RegExp, to: string): Files {
  const before = files.get(path) ?? '';
  const after = before.replace(from, to);
  expect(after).not.toBe(before);
  return new Map([...files, [path, after]]);
}

function codes(action: () => unknown): string[] {
  const error = thrownBy(action);
  return error.problems.map(({ code }) => code);
}

test('netplan has the addresses, a drop-in of networkd the rest, and a file the settings of the kernel', () => {
  const files = rendererOf('netplan').render(AUTO);
  expect([...files.keys()]).toEqual(['etc/netplan/90-multinic0.yaml', DROP_IN, SYSCTL]);
  expect(files.get('etc/netplan/90-multinic0.yaml')).toBe(
    rendererOf('netplan')
      .render({ ...AUTO, sourceRouting: undefined as never })
      .get('etc/netplan/90-multinic0.yaml'),
  );
  expect(files.get(DROP_IN)).toBe(`${HEADER}
[Address]
Address=192.0.2.10/24
AddPrefixRoute=no

[Route]
Destination=192.0.2.0/24
Scope=link
PreferredSource=192.0.2.10
Metric=1000

[Route]
Destination=192.0.2.0/24
Scope=link
PreferredSource=192.0.2.10
Table=20000

[RoutingPolicyRule]
From=192.0.2.10/32
Table=20000
Priority=20002
`);
  expect(files.get(SYSCTL)).toBe(`${HEADER}net.ipv4.conf.multinic0.rp_filter = 2
net.ipv4.conf.multinic0.arp_ignore = 1
net.ipv4.conf.multinic0.arp_announce = 2
`);
});

test('netplan: the drop-in stands beside the file of the netplan ID, and rules of a gateway are three', () => {
  const files = rendererOf('netplan').render({ ...NIC, netplanId: 'ens6' });
  const dropIn = files.get(DROP_IN.replace('netplan-multinic0', 'netplan-ens6')) ?? '';
  expect(dropIn).toContain(`
[RoutingPolicyRule]
From=192.0.2.10/32
Table=20000
Priority=20000
SuppressPrefixLength=0

[RoutingPolicyRule]
From=192.0.2.10/32
Table=254
Priority=20001
SuppressPrefixLength=0

[RoutingPolicyRule]
From=192.0.2.10/32
Table=20000
Priority=20002
`);
  expect(dropIn).toContain('\n[Route]\nDestination=0.0.0.0/0\nGateway=192.0.2.1\nTable=20000\n');
  expect(dropIn).toContain(
    '\n[Route]\nDestination=198.51.100.0/24\nGateway=192.0.2.2\nGatewayOnLink=yes\nMetric=7\n',
  );
  expect(files.get('etc/netplan/90-multinic0.yaml')).toContain(`
      addresses:
        - "192.0.2.10/24"
        # further address
        - "192.0.2.11/24"
        # further address
        - "2001:db8::10/64"
      accept-ra: false
      link-local: [ipv6]
`);
});

test('keyfile: everything stands in the profile', () => {
  const profile = rendererOf('keyfile').render(NIC).get(PROFILE) ?? '';
  expect(profile).toContain('# Source routing: on\n');
  expect(profile.slice(profile.indexOf('[ipv4]'))).toBe(`[ipv4]
method=manual
never-default=true
address1=192.0.2.10/24
# further address
address2=192.0.2.11/24
ignore-auto-dns=true
route-metric=1000
# route
route1=192.0.2.0/24
# its options
route1_options=table=20000,src=192.0.2.10,scope=253
# route
route2=198.51.100.0/24,192.0.2.2
# its options
route2_options=table=20000
# route
route3=0.0.0.0/0,192.0.2.1
# its options
route3_options=table=20000
# route
route4=198.51.100.0/24,192.0.2.2,7
# rule
routing-rule1=priority 20000 from 192.0.2.10/32 table 20000 suppress_prefixlength 0
# rule
routing-rule2=priority 20001 from 192.0.2.10/32 table 254 suppress_prefixlength 0
# rule
routing-rule3=priority 20002 from 192.0.2.10/32 table 20000
# rule
routing-rule4=priority 20000 from 192.0.2.11/32 table 20000 suppress_prefixlength 0
# rule
routing-rule5=priority 20001 from 192.0.2.11/32 table 254 suppress_prefixlength 0
# rule
routing-rule6=priority 20002 from 192.0.2.11/32 table 20000

[ipv6]
method=manual
never-default=true
address1=2001:db8::10/64
ignore-auto-dns=true
route-metric=1000
# route
route1=2001:db8::/64
# its options
route1_options=table=20000
# rule
routing-rule1=priority 20002 from 2001:db8::10/128 table 20000
`);
});

test('ifcfg: rules in quotes, and routes in files of their own', () => {
  const files = rendererOf('ifcfg').render(NIC);
  expect([...files.keys()]).toEqual([IFCFG, ROUTES, ROUTES.replace('route-', 'route6-'), SYSCTL]);
  expect(files.get(IFCFG)).toContain(`# further address
IPADDR1=192.0.2.11
# its prefix
PREFIX1=24
`);
  expect(files.get(IFCFG)).toContain(`IPV6ADDR=2001:db8::10/64
IPV4_ROUTE_METRIC=1000
IPV6_ROUTE_METRIC=1000
# rule
ROUTING_RULE_1="priority 20000 from 192.0.2.10/32 table 20000 suppress_prefixlength 0"
`);
  expect(files.get(IFCFG)).toContain('ROUTING_RULE6_1="priority 20002 from 2001:db8::10/128 table 20000"\n');
  const { furtherAddresses = [] } = NIC;
  const more = rendererOf('ifcfg').render({
    ...NIC,
    furtherAddresses: [...furtherAddresses, '2001:db8::11/64'],
  });
  expect(more.get(IFCFG)).toContain('IPV6ADDR=2001:db8::10/64\nIPV6ADDR_SECONDARIES="2001:db8::11/64"\n');
  expect(files.get(ROUTES)).toBe(`${HEADER}# route
192.0.2.0/24 dev multinic0 scope link src 192.0.2.10 table 20000
# route
198.51.100.0/24 via 192.0.2.2 dev multinic0 table 20000
# route
0.0.0.0/0 via 192.0.2.1 dev multinic0 table 20000
# route
198.51.100.0/24 via 192.0.2.2 dev multinic0 metric 7
`);
});

describe.each(RENDERER_KINDS)('%s', (kind) => {
  const renderer = rendererOf(kind);
  const { sourceRouting: _, statedSourceRouting: _stated, ...plain } = NIC;
  const nics: readonly [string, Interface][] = [
    ['all', NIC],
    ['auto', AUTO],
    ['the CR says off', { ...AUTO, sourceRouting: undefined as never, statedSourceRouting: false }],
    ['a gateway without source routing', plain],
    ['IPv6 alone', { ...AUTO, address: '2001:db8::10', prefix: 64, gateway6: '2001:db8::1' }],
    ['the last index', { ...NIC, name: 'multinic9999' }],
  ];
  test.each(nics)('reads back: %s', (_title, nic) => {
    const [read] = renderer.parse(renderer.render(nic));
    expect(read).toEqual(nic);
  });

  test('each file is managed, and only root reads what may hold secrets', () => {
    for (const path of renderer.render(NIC).keys()) {
      expect(renderer.manages(path)).toBe(true);
      expect(renderer.hostMode(path)).toBe(
        path.startsWith('etc/netplan') || path.startsWith('etc/NetworkManager') ? 0o600 : 0o644,
      );
    }
  });

  test('a gateway that is off stands in no key', () => {
    const [main = ''] = renderer.render(plain).values();
    expect(main).toContain('# Gateway without source routing: 192.0.2.1\n');
    const all = [...renderer.render(plain).values()].join('');
    expect(all.replace('# Gateway without source routing: 192.0.2.1', '')).not.toContain('192.0.2.1\n');
    expect(all).not.toMatch(/20000|0\.0\.0\.0\/0/);
  });

  test('the routing is there as a whole or not at all', () => {
    const files = renderer.render(NIC);
    for (const [path, text] of files) {
      const lines = text.split('\n');
      for (const [index, line] of lines.entries()) {
        if (!/2000[0-2]|net\.ipv4/.test(line)) continue;
        const less = lines.filter((_line, at) => at !== index).join('\n');
        expect(codes(() => renderer.parse(new Map([...files, [path, less]])))).not.toEqual([]);
      }
    }
  });

  test('a comment that contradicts the rules is refused', () => {
    const files = renderer.render(NIC);
    const [main = ''] = files.keys();
    const off = edit(files, main, 'Source routing: on', 'Source routing: off');
    expect(codes(() => renderer.parse(off))).toContain('InvalidSourceRouting');
    const gateway = edit(files, main, '# Source', '# Gateway without source routing: 192.0.2.1\n# Source');
    expect(codes(() => renderer.parse(gateway))).toContain('InvalidGateway');
    const plainFiles = renderer.render({ ...AUTO, sourceRouting: undefined as never });
    const on = edit(plainFiles, main, HEADER, `${HEADER}# Source routing: on\n`);
    expect(codes(() => renderer.parse(on))).toContain('InvalidSourceRouting');
  });

  test('a NIC without routing may have no file of it', () => {
    const files = new Map([
      ...renderer.render(NIC),
      ...renderer.render({ ...AUTO, sourceRouting: undefined as never }),
    ]);
    expect(codes(() => renderer.parse(files))).not.toEqual([]);
  });

  test('the largest node that is allowed stays within the bounds of a tree', { timeout: 60_000 }, () => {
    const network = Array.from({ length: 32 }, (_item, index): Interface => ({
      ...NIC,
      name: `multinic${9968 + index}`,
      mac: mac(`fa:16:3e:00:00:${index.toString(16).padStart(2, '0')}`),
      address: `10.${index}.0.10`,
      prefix: 16,
      furtherAddresses: Array.from(
        { length: 15 },
        (_a, at) => `2001:db8:${index + 1}::${(at + 0x10).toString(16)}/64`,
      ),
      gateway: `10.${index}.0.1`,
      gateway6: `2001:db8:${index + 1}::1`,
      routes: Array.from({ length: 64 }, (_r, at) => ({
        to: `2001:db8:1000:${(at + 0x10).toString(16)}::/64`,
        via: `2001:db8:${index + 1}::1`,
      })),
    }));
    const node = {
      name: 'worker-1',
      systemUUID: 'u',
      machineId: 'm',
      nodeId: 'i-1',
      os: { family: 'ubuntu', major: 22 },
      renderer: kind,
      source: { group: 'multinic.io', namespace: 'n', name: 'c' },
    } as const;
    const files = renderTree(node, network);
    expect(readTree(files).network).toEqual(network);
    expect(Math.max(...[...files.values()].map((text) => text.length))).toBeLessThan(MAX_FILE_BYTES / 2);
  });
});

test('a person changes a gateway in the drop-in by one line, and a route in both tables', () => {
  const { parse, render } = rendererOf('netplan');
  const moved = edit(render(NIC), DROP_IN, 'Gateway=192.0.2.1\n', 'Gateway=192.0.2.254\n');
  expect(parse(moved)).toEqual([{ ...NIC, gateway: '192.0.2.254' }]);
  const half = edit(render(NIC), DROP_IN, '198.51.100.0/24', '203.0.113.0/24');
  const error = thrownBy(() => parse(half));
  expect(error.problems).toMatchObject([{ path: DROP_IN, code: 'RoutingMismatch' }]);
  expect(error.message).toContain('"Destination=203.0.113.0/24" where "Destination=198.51.100.0/24" belongs');
});
