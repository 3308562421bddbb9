import { describe, expect, test } from 'vitest';
import type { Interface } from './interface.ts';
import type { Mac } from './mac.ts';
import { routingOf, tableOf } from './source-routing.ts';

const plain: Interface = {
  name: 'multinic3',
  mac: 'fa:16:3e:00:00:01' as Mac,
  address: '192.0.2.10',
  prefix: 24,
  mtu: 1500,
};

describe('routingOf', () => {
  test('a NIC without source routing and without routes needs nothing', () => {
    expect(routingOf(plain)).toEqual({ rules: [], routes: [], sysctls: new Map() });
    expect(routingOf({ ...plain, gateway: '192.0.2.1' }).routes).toEqual([]);
  });

  test('routes stand in the main table also without source routing, with the metric of the NIC or their own', () => {
    const routes = [
      { to: '198.51.100.0/24', via: '192.0.2.1' },
      { to: '203.0.113.0/24', via: '192.0.2.1', metric: 7 },
    ];
    expect(routingOf({ ...plain, routes })).toEqual({
      rules: [],
      routes: [
        { family: 4, to: '198.51.100.0/24', table: 'main', via: '192.0.2.1', metric: 1003 },
        { family: 4, to: '203.0.113.0/24', table: 'main', via: '192.0.2.1', metric: 7 },
      ],
      sysctls: new Map(),
    });
  });

  test('without a gateway one rule, and a table with the subnet', () => {
    expect(routingOf({ ...plain, sourceRouting: true })).toEqual({
      rules: [{ family: 4, from: '192.0.2.10/32', table: 20003, priority: 20002 }],
      routes: [{ family: 4, to: '192.0.2.0/24', table: 20003, src: '192.0.2.10', scope: 'link' }],
      sysctls: new Map([
        ['net.ipv4.conf.multinic3.rp_filter', '2'],
        ['net.ipv4.conf.multinic3.arp_ignore', '1'],
        ['net.ipv4.conf.multinic3.arp_announce', '2'],
      ]),
    });
  });

  test('with a gateway three rules in the order of their priorities, and a default route in the table only', () => {
    const { rules, routes } = routingOf({ ...plain, gateway: '192.0.2.1', sourceRouting: true });
    expect(rules).toEqual([
      { family: 4, from: '192.0.2.10/32', table: 20003, priority: 20000, suppressPrefixLength: 0 },
      { family: 4, from: '192.0.2.10/32', table: 'main', priority: 20001, suppressPrefixLength: 0 },
      { family: 4, from: '192.0.2.10/32', table: 20003, priority: 20002 },
    ]);
    expect(routes).toEqual([
      { family: 4, to: '192.0.2.0/24', table: 20003, src: '192.0.2.10', scope: 'link' },
      { family: 4, to: 'default', table: 20003, via: '192.0.2.1' },
    ]);
  });

  test('each address of either family has rules; a subnet has one route; a gateway counts for its family', () => {
    const { rules, routes, sysctls } = routingOf({
      ...plain,
      furtherAddresses: ['192.0.2.11/24', '2001:db8::10/64'],
      gateway6: '2001:db8::1',
      sourceRouting: true,
    });
    expect(rules.map(({ from, priority }) => `${priority} ${from}`)).toEqual([
      '20002 192.0.2.10/32',
      '20002 192.0.2.11/32',
      '20000 2001:db8::10/128',
      '20001 2001:db8::10/128',
      '20002 2001:db8::10/128',
    ]);
    expect(routes).toEqual([
      { family: 4, to: '192.0.2.0/24', table: 20003, src: '192.0.2.10', scope: 'link' },
      { family: 6, to: '2001:db8::/64', table: 20003 },
      { family: 6, to: 'default', table: 20003, via: '2001:db8::1' },
    ]);
    expect(sysctls.size).toBe(3);
  });

  test('routes stand in both tables; a /32 has no connected route; IPv6 alone has no settings', () => {
    const { routes, sysctls } = routingOf({
      ...plain,
      address: '2001:db8::10',
      prefix: 128,
      furtherAddresses: ['2001:db8:1::10/64'],
      routes: [{ to: '2001:db8:2::/48', via: '2001:db8:1::1' }],
      sourceRouting: true,
    });
    expect(routes).toEqual([
      { family: 6, to: '2001:db8:1::/64', table: 20003 },
      { family: 6, to: '2001:db8:2::/48', table: 20003, via: '2001:db8:1::1' },
      { family: 6, to: '2001:db8:2::/48', table: 'main', via: '2001:db8:1::1', metric: 1003 },
    ]);
    expect(sysctls.size).toBe(0);
  });

  test('the last index has a table of its own', () => {
    expect(tableOf('multinic9999')).toBe(29999);
  });
});
