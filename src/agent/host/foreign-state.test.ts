import { expect, test } from 'vitest';
import { notOnLinks, fromCommands, inOrder, toCommands, withLinksRenamed } from './foreign-state.ts';

const THROUGH = '-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens6 proto 12';
const SEVERAL =
  '-4 route add 10.6.0.0/16 nexthop via 10.0.0.9 dev ens6 weight 1 nexthop via 10.1.0.9 dev eth0 weight 1';
const BLACKHOLE = '-4 route add blackhole 10.53.0.0/16';
const NEIGHBOUR = 'neigh add 10.244.0.7 dev cali1 nud permanent';

test('the commands of a host record are read and written back unchanged', () => {
  const commands = [
    'addr add 10.0.0.1/24 brd 10.0.0.255 label ens6:1 dev ens6',
    THROUGH,
    '-6 route add fd00::/64 via fe80::1 dev ens6 proto 12 metric 1024',
    SEVERAL,
    BLACKHOLE,
    NEIGHBOUR,
    '-4 rule add from 10.52.0.0/16 lookup 100 priority 1000',
    '-6 rule add from all iif ens6 lookup 100 proto 12 priority 1001',
  ];
  expect(toCommands(fromCommands(commands))).toEqual(commands);
  expect(fromCommands([THROUGH, SEVERAL]).routes).toMatchObject([
    { family: 4, links: ['ens6'], hasGateway: true, hasNextHops: false, protocol: '12' },
    { family: 4, links: ['ens6', 'eth0'], hasNextHops: true },
  ]);
});

test('entries follow their NIC to its new name, or go with it', () => {
  const state = fromCommands([THROUGH, SEVERAL, BLACKHOLE, NEIGHBOUR]);
  const present = new Set(['eth0', 'enx1', 'ens6']);
  // Another NIC has the old name.
  const names = new Map([['ens6', 'enx1']]);
  expect(toCommands(withLinksRenamed(state, names, present))).toEqual([
    '-4 route add 10.5.0.0/16 via 10.0.0.9 dev enx1 proto 12',
    '-4 route add 10.6.0.0/16 nexthop via 10.0.0.9 dev enx1 weight 1 nexthop via 10.1.0.9 dev eth0 weight 1',
    BLACKHOLE,
  ]);
  expect(toCommands(withLinksRenamed(state, new Map([['ens6', undefined]]), present))).toEqual([BLACKHOLE]);
});

test('entries that are on none of some links', () => {
  const state = fromCommands([THROUGH, SEVERAL, BLACKHOLE, NEIGHBOUR]);
  expect(toCommands(notOnLinks(state, [{ name: 'ens6' }]))).toEqual([BLACKHOLE, NEIGHBOUR]);
});

test('a gateway comes before the route behind it', () => {
  const behind = '-4 route add default via 10.1.0.1 dev d0 table 100';
  const gateway = '-4 route add 10.1.0.1 dev d0 table 100 scope 253';
  expect(inOrder(fromCommands([behind, gateway]))).toEqual([gateway, behind]);
});
