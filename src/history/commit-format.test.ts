import { describe, expect, test } from 'vitest';
import type { Interface } from '../network/interface.ts';
import { describeChange, signedBy, subject } from './commit-format.ts';
import { mac } from '../../test/support/mac.ts';

const nic = (index: number, more: Partial<Interface> = {}): Interface => ({
  name: `multinic${index}`,
  mac: mac(`02:00:00:00:00:0${index}`),
  address: `192.168.${index}.10`,
  prefix: 24,
  mtu: 1500,
  ...more,
});

describe('what changed, in a person’s words', () => {
  test.each<[string, Interface[], Interface[]]>([
    ['add multinic0 192.168.0.10/24', [], [nic(0)]],
    ['remove multinic0', [nic(0)], []],
    ['remove multinic0, add multinic1 192.168.1.10/24', [nic(0)], [nic(1)]],
    ['multinic0 mtu 1500 -> 1400', [nic(0)], [nic(0, { mtu: 1400 })]],
    [
      'multinic0 192.168.0.10/24 -> 192.168.0.11/25',
      [nic(0)],
      [nic(0, { address: '192.168.0.11', prefix: 25 })],
    ],
    ['rename multinic0 to multinic3', [nic(0)], [nic(0, { name: 'multinic3' })]],
    ['multinic0 takeover false -> true', [nic(0)], [nic(0, { takeover: true })]],
    ['multinic0 port none -> p', [nic(0)], [nic(0, { portId: 'p' })]],
    [
      'multinic0 addresses +192.168.0.11/24 -192.168.0.12/24',
      [nic(0, { furtherAddresses: ['192.168.0.12/24'] })],
      [nic(0, { furtherAddresses: ['192.168.0.11/24'] })],
    ],
    [
      'multinic0 gateway none -> 192.168.0.1, multinic0 source routing off (auto) -> on (auto)',
      [nic(0)],
      [nic(0, { gateway: '192.168.0.1', sourceRouting: true })],
    ],
    ['multinic0 gateway6 2001:db8::1 -> none', [nic(0, { gateway6: '2001:db8::1' })], [nic(0)]],
    [
      'multinic0 routes +10.0.0.0/8 via 192.168.0.1 metric 7',
      [nic(0)],
      [nic(0, { routes: [{ to: '10.0.0.0/8', via: '192.168.0.1', metric: 7 }] })],
    ],
    [
      'multinic0 source routing on -> off',
      [nic(0, { sourceRouting: true, statedSourceRouting: true })],
      [nic(0, { statedSourceRouting: false })],
    ],
    ['no change of the network', [nic(0)], [nic(0)]],
  ])('%s', (words, before, after) => {
    expect(describeChange(before, after)).toBe(words);
  });
});

test('a subject fits on a terminal', () => {
  expect(subject('w', 'short')).toBe('w: short');
  expect(subject('w', 'x'.repeat(117))).toBe(`w: ${'x'.repeat(117)}`);
  expect(subject('w', 'x'.repeat(118))).toBe(`w: ${'x'.repeat(114)}...`);
});

test.each([
  ['Alice', undefined, 'Alice'],
  ['Alice', 'operator', 'Alice (authenticated as operator)'],
  ['operator', 'operator', 'operator'],
  ['operator <unknown>', 'operator', 'operator'],
  ['Alice <a@example.org>', 'alice', 'Alice <a@example.org> (authenticated as alice)'],
])('the author %j with the account %j reads %j', (author, principal, text) => {
  expect(signedBy(author, principal)).toBe(text);
});
