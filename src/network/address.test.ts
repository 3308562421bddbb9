import { expect, test } from 'vitest';
import {
  broadcastAddress,
  contains,
  isLinkLocal,
  neighbourIn,
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

test('more addresses than are remembered: each is read as itself, and a text that is none is none', () => {
  const texts = Array.from({ length: 4_200 }, (_, index) => `10.${index >> 8}.${index & 255}.1`);
  for (const text of [...texts, ...texts]) expect(parseAddress(text)?.text).toBe(text);
  for (const _ of [1, 2]) expect(parseAddress('10.0.0.256')).toBeUndefined();
  for (const _ of [1, 2]) expect(parseAddress(`${'0'.repeat(80)}::1`)).toBeUndefined();
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

test.each([
  ['10.0.0.10/24', [], '10.0.0.1'],
  ['10.0.0.10/24', ['10.0.0.1', '10.0.0.2'], '10.0.0.3'],
  ['10.0.0.1/30', ['10.0.0.1'], '10.0.0.2'],
  // The third address is the broadcast address.
  ['10.0.0.1/30', ['10.0.0.1', '10.0.0.2'], undefined],
  ['10.0.0.4/31', ['10.0.0.4'], '10.0.0.5'],
  ['10.0.0.4/31', ['10.0.0.4', '10.0.0.5'], undefined],
  ['10.0.0.254/31', ['10.0.0.254', '10.0.0.255'], undefined],
  ['10.0.0.255/32', ['10.0.0.255'], undefined],
  ['2001:db8::1/64', ['2001:db8::1'], '2001:db8::2'],
  ['2001:db8::fe/127', ['2001:db8::fe'], '2001:db8::ff'],
  ['2001:db8::fe/127', ['2001:db8::fe', '2001:db8::ff'], undefined],
])('on the subnet of %s another machine than %j may have %s', (text, own, neighbour) => {
  expect(neighbourIn(parseCidr(text)!, own)).toBe(neighbour);
});

test.each([
  ['169.254.0.1', true],
  ['169.253.255.255', false],
  ['169.255.0.0', false],
  ['fe80::1', true],
  ['febf::1', true],
  ['fec0::1', false],
  ['fe7f::1', false],
])('%s is link-local: %s', (text, expected) => {
  expect(isLinkLocal(parseAddress(text)!)).toBe(expected);
});
