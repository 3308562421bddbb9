import { expect, test } from 'vitest';
import {
  broadcastAddress,
  contains,
  networkAddress,
  parseAddress,
  parseCidr,
  reserved,
  unusable,
} from './address.ts';

test.each([
  ['192.168.1.1', '192.168.1.1'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['1::2.3.4.5', '1::203:405'],
])('%s is %s', (text, canonical) => {
  expect(parseAddress(text)?.text).toBe(canonical);
});

test.each([
  '',
  '1.2.3',
  '010.0.0.1',
  '0x7f.0.0.1',
  '256.0.0.1',
  '1.2.3.4/24',
  'fe80::1%eth0',
  ':::1',
  ' ::1',
  '::1\n',
])('%j is no address', (text) => {
  expect(parseAddress(text)).toBeUndefined();
});

test.each([
  '10.0.0.1',
  '10.0.0.1/33',
  '10.0.0.1/024',
  '10.0.0.1/-1',
  '10.0.0.1/8/8',
  '::/129',
  '10.0.0.1/ 8',
  '/8',
])('%j is no cidr', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test.each([
  ['10.1.2.3/20', '10.1.0.0', '10.1.15.255'],
  ['10.1.2.3/32', '10.1.2.3', '10.1.2.3'],
  ['2001:db8::ff/64', '2001:db8::', undefined],
])('subnet of %s', (text, network, broadcast) => {
  const cidr = parseCidr(text)!;
  expect([networkAddress(cidr), broadcastAddress(cidr)]).toEqual([network, broadcast]);
});

test.each([
  ['10.0.0.0/24', 'network'],
  ['10.0.0.255/24', 'broadcast'],
  ['10.0.0.1/24', undefined],
  ['10.0.0.0/31', undefined],
  ['10.0.0.1/31', undefined],
  ['10.0.0.0/32', undefined],
  ['2001:db8::/64', 'network'],
  ['2001:db8::ffff:ffff:ffff:ffff/64', undefined],
  ['2001:db8::/127', undefined],
  ['2001:db8::/128', undefined],
])('%s is reserved: %s', (text, role) => {
  expect(reserved(parseCidr(text)!)).toBe(role);
});

test('contains asks for the family too', () => {
  const cidr = parseCidr('10.0.0.5/8')!;
  expect(contains(cidr, parseAddress('10.255.0.1')!)).toBe(true);
  expect(contains(cidr, parseAddress('11.0.0.1')!)).toBe(false);
  expect(contains(cidr, parseAddress('::a00:1')!)).toBe(false);
});

test.each([
  ['127.0.0.1', 'a loopback address'],
  ['::1', 'a loopback address'],
  ['224.0.0.1', 'a multicast address'],
  ['ff02::1', 'a multicast address'],
  ['0.0.0.0', 'an unspecified address'],
  ['0.1.2.3', 'an unspecified address'],
  ['::', 'an unspecified address'],
  ['::ffff:10.0.0.1', 'an IPv4-mapped address'],
  ['255.255.255.255', 'the broadcast address'],
  ['169.254.1.1', undefined],
  ['fe80::1', undefined],
  ['10.0.0.1', undefined],
])('%s is %s', (text, reason) => {
  expect(unusable(parseAddress(text)!)).toBe(reason);
});
