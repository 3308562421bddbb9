// Routing in a CR: what is taken, in which form, and what is refused with the field's path and a remedy.

import { describe, expect, test } from 'vitest';
import { admitConfig } from './admission.ts';
import { sameNetwork, satisfies, wantedOf, type Network, type WantedInterface } from './interface.ts';
import { assignNames } from './nic-names.ts';

const NIC = { macAddress: 'fa:16:3e:00:00:01', cidr: '192.0.2.10/24' };
const OTHER = { macAddress: 'fa:16:3e:00:00:02', cidr: '198.51.100.10/24' };

function entry(...interfaces: readonly object[]) {
  const { entries } = admitConfig({ spec: { nodeConfigs: [{ attachedNodeId: 'i-1', interfaces }] } });
  return entries[0]!;
}

function wanted(...interfaces: readonly object[]): readonly WantedInterface[] {
  const { wanted: found, problems } = entry(...interfaces);
  expect(problems).toEqual([]);
  return found!;
}

test('routing is normalised: sorted, canonical, without what is empty', () => {
  const [nic] = wanted({
    ...NIC,
    addresses: ['2001:DB8:0::10/64', '192.0.2.11/24', '192.0.2.10/24', '192.0.2.11/24'],
    gateway: '192.0.2.1',
    gateway6: '2001:db8:0:0::1',
    routes: [
      { to: '203.0.113.0/24', via: '192.0.2.2', metric: 7 },
      { to: '10.20.0.0/16', via: '192.0.2.2' },
    ],
    sourceRouting: true,
  });
  expect(nic).toEqual({
    mac: 'fa:16:3e:00:00:01',
    address: '192.0.2.10',
    prefix: 24,
    mtu: 1500,
    furtherAddresses: ['192.0.2.11/24', '2001:db8::10/64'],
    gateway: '192.0.2.1',
    gateway6: '2001:db8::1',
    routes: [
      { to: '10.20.0.0/16', via: '192.0.2.2' },
      { to: '203.0.113.0/24', via: '192.0.2.2', metric: 7 },
    ],
    sourceRouting: true,
  });
  const empty = { ...NIC, addresses: [], routes: [], gateway: '', gateway6: null, sourceRouting: null };
  expect(wanted(empty)).toEqual(wanted(NIC));
  for (const addresses of [[], ['192.0.2.10/24']])
    expect(wanted({ ...NIC, addresses })[0]).not.toHaveProperty('furtherAddresses');
});

describe('refused, with the path and a remedy', () => {
  const at = 'spec.nodeConfigs[0].interfaces[0]';
  const v6 = { addresses: ['2001:db8::10/64'] };
  test.each([
    [{ addresses: '192.0.2.11/24' }, `${at}.addresses`, 'InvalidAddress', 'write a list'],
    [{ addresses: ['192.0.2.11'] }, `${at}.addresses[0]`, 'InvalidAddress', 'with its prefix'],
    [{ addresses: ['192.0.2.255/24'] }, `${at}.addresses`, 'BroadcastAddress', 'address of the port'],
    [{ addresses: ['127.0.0.1/8'] }, `${at}.addresses`, 'UnusableAddress', 'address of the port'],
    [{ addresses: ['169.254.1.1/16'] }, `${at}.addresses`, 'LinkLocalAddress', 'address of the port'],
    [{ addresses: ['fe80::1/64'] }, `${at}.addresses`, 'LinkLocalAddress', 'address of the port'],
    [{ addresses: ['10.0.0.1/4'] }, `${at}.addresses`, 'PrefixTooShort', '8 or more'],
    [{ addresses: ['192.0.2.10/25'] }, `${at}.addresses`, 'DuplicateAddress', 'each interface its own'],
    [{ ...v6, mtu: 1279 }, `${at}.mtu`, 'MtuTooSmallForIPv6', '1280'],
    [
      { cidr: '2001:db8::10/64', addresses: ['192.0.2.11/24'] },
      `${at}.address`,
      'InvalidAddress',
      'write 192.0.2.11 into address',
    ],
    [
      { addresses: Array.from({ length: 16 }, (_, index) => `192.0.2.${index + 20}/24`) },
      `${at}.addresses`,
      'TooManyAddresses',
      'remove some',
    ],
    [{ gateway: 'router' }, `${at}.gateway`, 'InvalidGateway', 'address of the router'],
    [{ gateway: '2001:db8::1', ...v6 }, `${at}.gateway`, 'InvalidGateway', 'no IPv4 address'],
    [{ gateway6: '192.0.2.1' }, `${at}.gateway6`, 'InvalidGateway', 'no IPv6 address'],
    [
      { gateway: '198.51.100.1' },
      `${at}.gateway`,
      'GatewayOutsideSubnet',
      'no subnet of the NIC (192.0.2.10/24)',
    ],
    [{ gateway: '192.0.2.10' }, `${at}.gateway`, 'InvalidGateway', 'address of the NIC itself'],
    [{ gateway: '192.0.2.255' }, `${at}.gateway`, 'InvalidGateway', 'broadcast'],
    [{ gateway: '169.254.0.1' }, `${at}.gateway`, 'LinkLocalAddress', 'address of the router'],
    [{ gateway6: 'fe80::1', ...v6 }, `${at}.gateway6`, 'LinkLocalAddress', 'address of the router'],
    [
      { gateway: '192.0.2.1', sourceRouting: false },
      `${at}.gateway`,
      'GatewayUnused',
      'remove one of the two',
    ],
    [
      { gateway6: '2001:db8::1', ...v6, sourceRouting: false },
      `${at}.gateway6`,
      'GatewayUnused',
      'remove one',
    ],
    [{ sourceRouting: 'on' }, `${at}.sourceRouting`, 'InvalidSourceRouting', 'true or false'],
    [{ routes: [{ via: '192.0.2.1' }] }, `${at}.routes[0].to`, 'InvalidRoute', 'is missing'],
    [{ routes: [{ to: '10.20.0.0/16' }] }, `${at}.routes[0].via`, 'InvalidRoute', 'is missing'],
    [
      { routes: [{ to: '10.20.0.1/16', via: '192.0.2.1' }] },
      `${at}.routes[0].to`,
      'InvalidRoute',
      '10.20.0.0/16',
    ],
    [{ routes: [{ to: '0.0.0.0/0', via: '192.0.2.1' }] }, `${at}.routes`, 'DefaultInRoutes', 'use gateway'],
    [{ routes: [{ to: 'default', via: '192.0.2.1' }] }, `${at}.routes`, 'DefaultInRoutes', 'use gateway'],
    [{ routes: [{ to: '128.0.0.0/1', via: '192.0.2.1' }] }, `${at}.routes`, 'DefaultInRoutes', 'use gateway'],
    [{ routes: [{ to: '169.254.0.0/16', via: '192.0.2.1' }] }, `${at}.routes`, 'InvalidRoute', 'link-local'],
    [
      { routes: [{ to: '10.0.0.0/8', via: '10.0.0.1' }] },
      `${at}.routes`,
      'GatewayOutsideSubnet',
      'no subnet',
    ],
    [
      { routes: [{ to: '198.51.100.0/25', via: '192.0.2.1' }] },
      `${at}.routes`,
      'RouteIntoSubnet',
      'remove the route',
    ],
    [
      { routes: [{ to: '192.0.2.0/24', via: '192.0.2.1' }] },
      `${at}.routes`,
      'RouteIntoSubnet',
      'remove the route',
    ],
    [
      { routes: [{ to: '10.0.0.0/8', via: '192.0.2.1', metric: 1024 }] },
      `${at}.routes`,
      'InvalidRoute',
      'write 1 to 999 or 11000 to',
    ],
    [
      { routes: [{ to: '10.0.0.0/8', via: '192.0.2.1', metric: 0 }] },
      `${at}.routes`,
      'InvalidRoute',
      'out of range',
    ],
    [
      { routes: ['192.0.2.1', '192.0.2.2'].map((via) => ({ to: '10.0.0.0/8', via })) },
      `${at}.routes`,
      'DuplicateRoute',
      'twice',
    ],
    [
      {
        routes: Array.from({ length: 65 }, (_, index) => ({ to: `10.${index}.0.0/16`, via: '192.0.2.1' })),
      },
      `${at}.routes`,
      'TooManyRoutes',
      'remove some',
    ],
  ] as const)('%j', (fields, path, code, words) => {
    const { problems, wanted: none } = entry({ ...NIC, ...fields }, OTHER);
    expect(none).toBeUndefined();
    expect(problems).toMatchObject([{ path, code }]);
    expect(problems[0]?.message).toContain(words);
  });

  const long = `a${'b'.repeat(78)}cd`;
  test.each([
    [{ addresses: [long] }, 'write an address with its prefix'],
    [{ routes: [{ to: long, via: '192.0.2.1' }] }, 'write a network'],
    [{ routes: [{ to: '10.0.0.0/8', via: long }] }, 'write the next hop'],
  ])('a long text is shown by its first 80 characters: %#', (fields, remedy) => {
    const { problems } = entry({ ...NIC, ...fields });
    expect(problems[0]?.message).toMatch(new RegExp(`^is "ab{78}c"; ${remedy}`));
  });

  test('one network with one metric by two NICs', () => {
    const route = { to: '10.0.0.0/8', metric: 7 };
    const { problems } = entry(
      { ...NIC, routes: [{ ...route, via: '192.0.2.1' }] },
      { ...OTHER, routes: [{ ...route, via: '198.51.100.1' }] },
    );
    expect(problems).toMatchObject([
      { path: 'spec.nodeConfigs[0].interfaces[1].routes', code: 'DuplicateRoute' },
    ]);
  });
});

const route = (more: object): object => ({
  ...NIC,
  routes: [{ to: '10.0.0.0/8', via: '192.0.2.1', ...more }],
});
const codesOf = (...interfaces: readonly object[]): string[] =>
  entry(...interfaces).problems.map(({ code }) => code);

describe('bounds', () => {
  test.each([1, 999, 11_000, 0xffff_ffff])('metric %d is taken', (metric) => {
    expect(codesOf(route({ metric }))).toEqual([]);
  });

  test.each([0, 1000, 10_999, 0x1_0000_0000])('metric %d is refused', (metric) => {
    expect(codesOf(route({ metric }))).toEqual(['InvalidRoute']);
  });

  test.each([
    ['10.0.0.0/8', '192.0.2.1', []],
    ['10.0.0.0/7', '192.0.2.1', ['DefaultInRoutes']],
    ['fc00::/7', '2001:db8::1', []],
    ['fc00::/6', '2001:db8::1', ['DefaultInRoutes']],
  ])('a route to %s', (to, via, codes) => {
    expect(codesOf({ ...NIC, addresses: ['2001:db8::10/64'], routes: [{ to, via }] })).toEqual(codes);
  });

  test('64 routes and 16 addresses of a NIC are taken', () => {
    const routes = Array.from({ length: 64 }, (_, index) => ({ to: `10.${index}.0.0/16`, via: '192.0.2.1' }));
    const addresses = Array.from({ length: 15 }, (_, index) => `192.0.2.${index + 20}/24`);
    expect(codesOf({ ...NIC, routes, addresses })).toEqual([]);
  });

  test.each([
    [1, ['PrefixTooShort', 'RouteIntoSubnet']],
    [0, ['PrefixTooShort']],
  ])('a subnet of %d bits may have a route in it', (prefix, codes) => {
    expect(codesOf(route({}), { ...OTHER, cidr: `100.0.0.1/${prefix}` })).toEqual(codes);
  });
});

test('a network of which a NIC has a part may be a route', () => {
  expect(wanted({ ...NIC, routes: [{ to: '198.51.0.0/16', via: '192.0.2.1' }] }, OTHER)).toHaveLength(2);
});

function network(auto: boolean, fields: object = {}): Network {
  return assignNames(wanted({ ...NIC, ...fields }), [], [], () => auto);
}

describe('levels of equality', () => {
  test('what auto was resolved to is no word of the CR, and counts on the host', () => {
    expect(satisfies(network(true), wanted(NIC))).toBe(true);
    expect(satisfies(network(false), wanted(NIC))).toBe(true);
    expect(sameNetwork(network(true), network(false))).toBe(true);
    expect(sameNetwork(network(true), network(false), 'host')).toBe(false);
    expect(sameNetwork(network(true), network(true), 'host')).toBe(true);
  });

  test('a word of the CR counts, also where it asks for what is there', () => {
    for (const word of [true, false]) {
      const stated = { ...NIC, sourceRouting: word };
      expect(satisfies(network(word), wanted(stated))).toBe(false);
      expect(satisfies(network(!word, { sourceRouting: word }), wanted(stated))).toBe(true);
      expect(sameNetwork(network(word), network(word, { sourceRouting: word }))).toBe(false);
    }
  });

  test.each([
    { addresses: ['192.0.2.11/24'] },
    { gateway: '192.0.2.1' },
    { addresses: ['2001:db8::1/64'], gateway6: '2001:db8::2' },
    { routes: [{ to: '10.0.0.0/8', via: '192.0.2.1' }] },
    { routes: [{ to: '10.0.0.0/8', via: '192.0.2.1', metric: 5 }] },
  ])('%j counts at each level', (fields) => {
    const more = network(true, fields);
    expect(satisfies(more, wanted({ ...NIC, ...fields }))).toBe(true);
    expect(satisfies(more, wanted(NIC))).toBe(false);
    expect(sameNetwork(more, network(true))).toBe(false);
    expect(sameNetwork(more, network(true), 'host')).toBe(false);
    expect(satisfies(more, more.map(wantedOf))).toBe(true);
  });
});
