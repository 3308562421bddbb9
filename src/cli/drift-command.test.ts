import { expect, test } from 'vitest';
import { mac } from '../../test/support/mac.ts';
import type { Difference } from '../api/observation.ts';
import { groupDifferences } from './drift-command.ts';

const nic = (index: number): Pick<Difference, 'name' | 'mac'> => ({
  name: 'multinic0',
  mac: mac(`02:00:00:00:00:0${index}`),
});
const down = (index: number): Difference => ({ kind: 'LinkDown', ...nic(index) });
const mtu = (index: number, found: string): Difference => ({
  kind: 'MtuChanged',
  wanted: '1500',
  found,
  ...nic(index),
});

test('equal differences of several nodes are one, whatever their MACs; the most frequent comes first', () => {
  const path = 'etc/netplan/90-multinic0.yaml';
  expect(
    groupDifferences([
      { node: 'a', differences: [mtu(1, '1400'), down(1)] },
      { node: 'b', differences: [mtu(2, '1300'), down(2)] },
      { node: 'c', differences: [{ kind: 'FileMissing', path }, down(3)] },
      { node: 'd', differences: [mtu(4, '1400')] },
    ]),
  ).toEqual([
    { words: 'multinic0 is down', nodes: ['a', 'b', 'c'] },
    { words: 'multinic0 has MTU 1400 instead of 1500', nodes: ['a', 'd'] },
    { words: 'multinic0 has MTU 1300 instead of 1500', nodes: ['b'] },
    { words: `${path} is missing`, nodes: ['c'] },
  ]);
});
