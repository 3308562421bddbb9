import { expect, test } from 'vitest';
import { inOrder, renamed } from './foreign-state.ts';

test('what is on a NIC goes with it: to its new name, or away', () => {
  const commands = [
    '-4 route add 10.5.0.0/16 via 10.0.0.9 dev ens6 proto 12',
    '-4 route add 10.6.0.0/16 nexthop via 10.0.0.9 dev ens6 weight 1 nexthop via 10.1.0.9 dev eth0 weight 1',
    '-4 route add blackhole 10.53.0.0/16',
    'neigh add 10.244.0.7 dev cali1 nud permanent',
  ];
  const present = new Set(['eth0', 'enx1', 'ens6']);
  // A stranger has the name by now.
  const names = new Map([['ens6', 'enx1']]);
  expect(renamed(commands, names, present)).toEqual([
    '-4 route add 10.5.0.0/16 via 10.0.0.9 dev enx1 proto 12',
    '-4 route add 10.6.0.0/16 nexthop via 10.0.0.9 dev enx1 weight 1 nexthop via 10.1.0.9 dev eth0 weight 1',
    '-4 route add blackhole 10.53.0.0/16',
  ]);
  expect(renamed(commands, new Map([['ens6', undefined]]), present)).toEqual([commands[2]]);
});

test('a gateway before what is behind it', () => {
  const behind = '-4 route add default via 10.1.0.1 dev d0 table 100';
  const gateway = '-4 route add 10.1.0.1 dev d0 table 100 scope 253';
  expect(inOrder([behind, gateway])).toEqual([gateway, behind]);
});
