// Whether the connected route of a NIC comes after the one of another NIC, from the routes of the main table.
import { expect, test } from 'vitest';
import { mac } from '../../../test/support/mac.ts';
import type { ConnectedRoute, Link } from '../host/machine.ts';
import { withYields } from './ip.ts';

const ADDRESS = '192.0.2.10/24';
const LINK: Link = {
  name: 'multinic0',
  mac: mac('02:00:00:00:01:00'),
  up: true,
  mtu: 1500,
  addresses: [ADDRESS],
};
const route = (dev: string, metric: number): ConnectedRoute => ({ to: '192.0.2.0/24', dev, metric });

test.each([
  ['no route', [], false],
  ['a route with the metric', [route('multinic0', 1000)], true],
  ['a route without it', [route('multinic0', 0)], false],
  [
    'both, beside a NIC of ours',
    [route('multinic0', 1000), route('multinic0', 0), route('multinic1', 0)],
    true,
  ],
  [
    'both, beside the primary NIC',
    [route('multinic0', 1000), route('multinic0', 0), route('eth0', 0)],
    false,
  ],
  ['one with the metric, beside it', [route('multinic0', 1000), route('eth0', 0)], true],
])('%s', (_title, connected, isYielding) => {
  expect(withYields(LINK, connected).yields).toEqual(isYielding ? [ADDRESS] : undefined);
});
