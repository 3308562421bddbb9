import { describe, expect, test } from 'vitest';
import { mac } from '../../test/support/mac.ts';
import {
  addressesOf,
  byIndex,
  cidrsOf,
  compareRoutes,
  DEFAULT_MTU,
  indexOfName,
  MAX_ADDRESSES,
  MAX_INTERFACES,
  MAX_MTU,
  MAX_ROUTES,
  MIN_IPV6_MTU,
  MIN_MTU,
  nameOfIndex,
  ownCidrOf,
  sameInterface,
  sameNetwork,
  satisfies,
  wantedOf,
  type Interface,
  type WantedInterface,
} from './interface.ts';

const NIC: Interface = {
  name: 'multinic0',
  mac: mac('02:00:00:00:00:01'),
  address: '10.0.0.5',
  prefix: 24,
  mtu: 1500,
};
const OTHER: Interface = { ...NIC, name: 'multinic1', mac: mac('02:00:00:00:00:02'), address: '10.0.1.5' };
const LINK_ONLY: Interface = { name: 'multinic2', mac: mac('02:00:00:00:00:03'), mtu: 1500 };
const WANTED: WantedInterface = { mac: NIC.mac, address: '10.0.0.5', prefix: 24, mtu: 1500 };

/** Changes of an interface in a CR, each of which makes a different network. */
const CHANGES: readonly (readonly [string, Omit<Partial<WantedInterface>, 'name' | 'sourceRouting'>])[] = [
  ['address', { address: '10.0.0.6' }],
  ['prefix', { prefix: 25 }],
  ['MTU', { mtu: 1400 }],
  ['takeover', { takeover: true }],
  ['further address', { furtherAddresses: ['10.0.2.5/24'] }],
  ['gateway', { gateway: '10.0.0.1' }],
  ['IPv6 gateway', { gateway6: 'fd00::1' }],
  ['route', { routes: [{ to: '10.9.0.0/16', via: '10.0.0.1' }] }],
];

test('the bounds, which docs and schema have too', () => {
  expect([MAX_INTERFACES, MAX_ADDRESSES, MAX_ROUTES]).toEqual([32, 16, 64]);
  expect([MIN_MTU, DEFAULT_MTU, MAX_MTU, MIN_IPV6_MTU]).toEqual([68, 1500, 9000, 1280]);
});

test.each([
  ['multinic0', 0],
  ['multinic9', 9],
  ['multinic9999', 9999],
  ['multinic10000', undefined],
  ['multinic01', undefined],
  ['multinic', undefined],
  ['xmultinic0', undefined],
  ['multinic0 ', undefined],
])('%j has index %s', (name, index) => {
  expect(indexOfName(name)).toBe(index);
  expect(index === undefined ? name : nameOfIndex(index)).toBe(name);
});

test('names are ordered by their numbers', () => {
  const names = ['multinic10', 'multinic9', 'multinic0', 'multinic1'].map((name) => ({ name }));
  expect(names.sort(byIndex).map(({ name }) => name)).toEqual([
    'multinic0',
    'multinic1',
    'multinic9',
    'multinic10',
  ]);
});

test('a NIC has its own address first, and then the further ones', () => {
  const nic = { ...NIC, furtherAddresses: ['10.0.2.5/24', 'fd00::5/64'] };
  expect(cidrsOf(nic)).toEqual(['10.0.0.5/24', '10.0.2.5/24', 'fd00::5/64']);
  expect(addressesOf(nic)).toEqual(['10.0.0.5', '10.0.2.5', 'fd00::5']);
  expect([ownCidrOf(NIC), ownCidrOf(LINK_ONLY), cidrsOf(LINK_ONLY)]).toEqual(['10.0.0.5/24', undefined, []]);
});

test('routes are ordered by destination, gateway and metric, and equal ones are equal', () => {
  const routes = [
    { to: '10.2.0.0/16', via: '10.0.0.1' },
    { to: '10.1.0.0/16', via: '10.0.0.2' },
    { to: '10.1.0.0/16', via: '10.0.0.1', metric: 1 },
    { to: '10.1.0.0/16', via: '10.0.0.1' },
  ];
  expect(routes.toSorted(compareRoutes)).toEqual(routes.toReversed());
  expect(compareRoutes(routes[0]!, { ...routes[0]! })).toBe(0);
});

describe('a network satisfies what a CR says', () => {
  test('by MAC, in any order, whatever the names are', () => {
    const wanted = [wantedOf(OTHER), wantedOf(NIC)];
    expect(satisfies([NIC, OTHER], wanted)).toBe(true);
    expect(satisfies([{ ...NIC, portId: 'a' }, OTHER], wanted)).toBe(true);
  });

  test('by the name only where the CR states one', () => {
    expect(satisfies([NIC], [{ ...WANTED, name: 'multinic0' }])).toBe(true);
    expect(satisfies([NIC], [{ ...WANTED, name: 'multinic1' }])).toBe(false);
    expect(satisfies([NIC], [WANTED])).toBe(true);
  });

  test('not with a NIC more, a NIC less, or another NIC', () => {
    expect(satisfies([NIC, OTHER], [WANTED])).toBe(false);
    expect(satisfies([NIC], [WANTED, wantedOf(OTHER)])).toBe(false);
    expect(satisfies([OTHER], [WANTED])).toBe(false);
  });

  test.each(CHANGES)('not with another %s', (_, change) => {
    expect(satisfies([NIC], [{ ...WANTED, ...change }])).toBe(false);
    expect(satisfies([{ ...NIC, ...change }], [{ ...WANTED, ...change }])).toBe(true);
  });

  test('not with another word on source routing; what auto was resolved to is no word', () => {
    const stated: Interface = { ...NIC, sourceRouting: true, statedSourceRouting: true };
    expect(satisfies([stated], [{ ...WANTED, sourceRouting: true }])).toBe(true);
    expect(satisfies([stated], [WANTED])).toBe(false);
    expect(satisfies([stated], [{ ...WANTED, sourceRouting: false }])).toBe(false);
    expect(satisfies([{ ...NIC, sourceRouting: true }], [WANTED])).toBe(true);
  });

  test('without a name, a netplan ID and what auto was resolved to', () => {
    expect(wantedOf({ ...NIC, netplanId: 'ens6', sourceRouting: true, portId: 'p' })).toEqual({
      ...WANTED,
      portId: 'p',
    });
  });
});

describe('two networks are the same', () => {
  test('by MAC, whatever the names, the netplan IDs and the order are', () => {
    const renamed = { ...NIC, name: 'multinic7', netplanId: 'ens6', portId: 'p' };
    expect(sameNetwork([NIC, OTHER], [OTHER, renamed])).toBe(true);
    expect(sameNetwork([NIC], [NIC, OTHER])).toBe(false);
    expect(sameNetwork([NIC, OTHER], [NIC])).toBe(false);
    expect(sameNetwork([NIC], [OTHER])).toBe(false);
  });

  test.each(CHANGES)('not with another %s', (_, change) => {
    expect(sameNetwork([NIC], [{ ...NIC, ...change }])).toBe(false);
    expect(sameNetwork([{ ...NIC, ...change }], [{ ...NIC, ...change }])).toBe(true);
  });

  test('on the wire only with the same source routing, in the words of a CR with any', () => {
    const routed: Interface = { ...NIC, sourceRouting: true };
    expect(sameInterface(NIC, routed, 'words')).toBe(true);
    expect(sameInterface(NIC, routed, 'host')).toBe(false);
    expect(sameInterface(routed, { ...routed }, 'host')).toBe(true);
    expect(sameNetwork([NIC], [routed])).toBe(true);
    expect(sameNetwork([NIC], [routed], 'host')).toBe(false);
  });
});
