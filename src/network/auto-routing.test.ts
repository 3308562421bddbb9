import { describe, expect, test } from 'vitest';
import { autoFor, needOf, resolveAgain } from './auto-routing.ts';
import type { Interface, WantedInterface } from './interface.ts';
import { mac } from '../../test/support/mac.ts';

const nic = (index: number, fields: Partial<WantedInterface> = {}): WantedInterface => ({
  mac: mac(`fa:16:3e:00:00:0${index}`),
  address: `10.0.${index}.10`,
  prefix: 24,
  mtu: 1500,
  ...fields,
});

describe('a NIC needs source routing', () => {
  test.each([
    ['with a subnet of its own: no', nic(1), [nic(2)], ['192.0.2.1'], undefined],
    ['with a gateway', nic(1, { gateway: '10.0.1.1' }), [], [], 'has the gateway 10.0.1.1'],
    ['with a gateway of IPv6', nic(1, { gateway6: '2001:db8::1' }), [], [], 'has the gateway 2001:db8::1'],
    [
      'in the subnet of another NIC',
      nic(1),
      [nic(2, { address: '10.0.1.11' })],
      [],
      'shares its subnet with 10.0.1.11/24 of another NIC',
    ],
    [
      'in a part of the subnet of another NIC',
      nic(1),
      [nic(2, { prefix: 16 })],
      [],
      'shares its subnet with 10.0.2.10/16 of another NIC',
    ],
    [
      'with a further address in the subnet of another NIC',
      nic(1, { furtherAddresses: ['10.0.2.11/24'] }),
      [nic(2)],
      [],
      'shares its subnet with 10.0.2.10/24 of another NIC',
    ],
    [
      "in the node's own subnet",
      nic(1),
      [],
      ['2001:db8::1', '10.0.1.1'],
      "has the node's own address 10.0.1.1 in its subnet",
    ],
    ['beside an odd address of the node: no', nic(1), [], ['node.local'], undefined],
  ] as const)('%s', (_title, one, others, addresses, expected) => {
    const nics = [one, ...others];
    expect(needOf(one, nics, addresses)).toBe(expected);
    expect(autoFor(nics, { on: true, nodeAddresses: addresses })(one)).toBe(expected !== undefined);
    expect(autoFor(nics, { on: false, nodeAddresses: addresses })(one)).toBe(false);
  });
});

test('a later resolution changes what the CR does not state', () => {
  const { sourceRouting: _, ...plain } = nic(1, { gateway: '10.0.1.1' });
  const one: Interface = { ...plain, name: 'multinic0' };
  const stated: Interface = { ...one, sourceRouting: true, statedSourceRouting: true };
  const [on, off] = [true, false].map((on) => ({ on, nodeAddresses: [] })) as [never, never];
  expect(resolveAgain([one], on)).toEqual([{ ...one, sourceRouting: true }]);
  expect(resolveAgain([{ ...one, sourceRouting: true }], off)).toEqual([one]);
  expect(resolveAgain([stated], off)).toEqual([stated]);
});
