// NICs of a node beside those on its host, with their routing.

import { expect, test } from 'vitest';
import type { Interface } from '../../src/network/interface.ts';
import type { Mac } from '../../src/network/mac.ts';
import { nicRows, pictured, routeTexts, rulesOf } from '../../src/ui/screens/nic-rows.ts';

const nic = (more: Partial<Interface> = {}): Interface => ({
  name: 'multinic1',
  mac: '02:00:00:00:00:01' as Mac,
  address: '10.1.2.3',
  prefix: 20,
  mtu: 1500,
  ...more,
});
const differs = (desired: Partial<Interface>, host: Partial<Interface>): string[] => [
  ...nicRows([nic(desired)], [nic(host)], [])[0]!.differs,
];

test.each<[string, Partial<Interface>]>([
  ['name', { name: 'multinic2' }],
  ['address', { prefix: 24 }],
  ['mtu', { mtu: 1400 }],
  ['further', { furtherAddresses: ['10.1.2.4/24'] }],
  ['gateway', { gateway: '10.1.0.1' }],
  ['gateway', { gateway6: 'fd00::1' }],
  ['routes', { routes: [{ to: '10.9.0.0/16', via: '10.1.0.1' }] }],
  ['sourceRouting', { sourceRouting: true }],
  ['sourceRouting', { statedSourceRouting: false }],
])('a difference of %s is found: %o', (field, more) => {
  expect(differs({}, more)).toEqual([field]);
  expect(differs(more, more)).toEqual([]);
});

test('NICs of the host stand beside those that are wanted, and the picture marks each', () => {
  const [a, b, c] = ['0a', '0b', '0c'].map((end) => `02:00:00:00:00:${end}` as Mac);
  const base = nic({ address: '192.168.7.130', prefix: 25 });
  const rows = nicRows(
    [
      { ...base, mac: a! },
      { ...base, mac: b! },
    ],
    [
      { ...base, mac: a!, mtu: 1400 },
      { ...base, mac: c! },
    ],
    [],
  );
  expect(rows.map(({ mac, differs: { size }, desired, host }) => [mac, size, !desired, !host])).toEqual([
    [a, 1, false, false],
    [b, 0, false, true],
    [c, 0, true, false],
  ]);
  expect(pictured(rows).map(({ network, mark }) => [network, mark])).toEqual([
    ['192.168.7.128/25', 'wait'],
    ['192.168.7.128/25', 'wait'],
    ['192.168.7.128/25', 'bad'],
  ]);
});

test('the network of an IPv6 address has no part of the host', () => {
  const [drawn] = pictured(nicRows([nic({ address: 'fd00::1:5', prefix: 64 })], [], []));
  expect(drawn?.network).toBe('fd00::/64');
});

test('rules stand as ip rule has them, and none without source routing', () => {
  expect(rulesOf(nic({ gateway: '10.1.0.1' }))).toBeUndefined();
  expect(rulesOf(nic({ sourceRouting: true }))).toEqual({
    table: 20_001,
    rules: ['priority 20002 from 10.1.2.3/32 table 20001'],
  });
  expect(rulesOf(nic({ sourceRouting: true, gateway: '10.1.0.1' }))?.rules).toHaveLength(3);
});

test('a route has its metric where the CR gives one', () => {
  const routes = [
    { to: '10.9.0.0/16', via: '10.1.0.1' },
    { to: '10.8.0.0/16', via: '10.1.0.1', metric: 7 },
  ];
  expect(routeTexts(nic({ routes }))).toEqual([
    '10.9.0.0/16 via 10.1.0.1',
    '10.8.0.0/16 via 10.1.0.1 metric 7',
  ]);
});

test('a link-only NIC has no address and is in no network', () => {
  const { address: _, prefix: __, ...linkOnly } = nic();
  const rows = nicRows([linkOnly], [nic()], []);
  expect([...rows[0]!.differs]).toEqual(['address']);
  expect(pictured(rows)).toEqual([
    { name: 'multinic1', address: undefined, network: undefined, mark: 'wait' },
  ]);
});
