import { expect, test } from 'vitest';
import type { Link } from '../host/machine.ts';
import { protectedPart, durablePart, verifyReady, verifyUntouched, type Machine } from './verify.ts';
import { mac } from '../../../test/support/mac.ts';
import type { Mac } from '../../network/mac.ts';

/** A MAC made of two letters of the name and its number. */
function macOf(name: string): Mac {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  const bytes = [name.charCodeAt(0), name.charCodeAt(1), number >> 8, number & 255];
  return mac(`02:00:${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`);
}

const link = (name: string, mtu = 1500): Link => ({
  name,
  mac: macOf(name),
  up: true,
  mtu,
  addresses: [],
});
const eth0 = { to: 'default', via: '10.0.0.1', dev: 'eth0' };
const eth1 = { to: '::/0', via: 'fe80::1', dev: 'eth1' };
const before: Machine = { links: [link('eth0'), link('eth1'), link('eth2')], routes: [eth0, eth1] };

test('a machine that is as before passes, also when a default route has come', () => {
  const come = { ...before, routes: [eth0, eth1, { to: 'default', dev: 'eth2' }] };
  for (const after of [before, come]) expect(() => verifyUntouched(after, before)).not.toThrow();
});

const having = (...addresses: string[]): Machine => ({
  ...before,
  links: [{ ...link('eth0'), addresses }, link('eth1'), link('eth2')],
});

test('of a primary NIC, an address may come, and none may go or be another’s first', () => {
  const own = ['10.0.0.5/24', '10.0.0.200/32', 'fd00::1/64', 'fd00::2/64'];
  const [first = '', vip = '', ...v6] = own;
  for (const after of [
    [...own, '10.0.0.201/32'],
    [first, vip, ...v6.toReversed()],
  ])
    expect(() => verifyUntouched(having(...after), having(...own))).not.toThrow();
  for (const after of [
    [first, ...v6],
    [vip, first, ...v6],
  ])
    expect(() => verifyUntouched(having(...after), having(...own))).toThrow('NIC eth0 changed');
});

test('of what was at stake, routes to other nodes do not last', () => {
  const ours = { to: '10.5.0.0/16', via: '192.168.100.1', dev: 'ens6' };
  const theirs = { to: '10.244.7.0/26', via: '10.0.0.7', dev: 'eth0' };
  const machine = { links: [link('eth0'), link('ens6')], routes: [eth0, ours, theirs] };
  expect(durablePart(machine, [link('ens6')]).routes).toEqual([eth0, ours]);
});

test.each<[string, Machine, RegExp]>([
  ['the first', { ...before, links: [link('eth0', 9000), link('eth1'), link('eth2')] }, /NIC eth0 changed/],
  ['a second', { ...before, links: [link('eth0'), link('eth1', 9000), link('eth2')] }, /NIC eth1 changed/],
  ['a second that is no longer one', { ...before, routes: [eth0] }, /NIC eth1 changed/],
  [
    'one that another comes before',
    { ...before, routes: [{ to: 'default', dev: 'eth2' }, eth0, eth1] },
    /eth0/,
  ],
])('%s primary NIC is reported when it changed', (_, after, message) => {
  expect(() => verifyUntouched(after, before)).toThrow(message);
});

test('an address that the kernel does not start to use fails a run, one without carrier for that reason', () => {
  const ready = { mac: macOf('eth2'), carrier: true, duplicates: [], undecided: [] };
  const plan = { present: [] };
  expect(() => verifyReady([ready], plan.present)).not.toThrow();
  const undecided = { ...ready, undecided: ['fd00::1/64'] };
  expect(() => verifyReady([undecided], plan.present)).toThrow('does not start to use fd00::1/64');
  expect(() => verifyReady([{ ...undecided, carrier: false }], plan.present)).toThrow(
    expect.objectContaining({ code: 'NoCarrier' }),
  );
});

test('at stake are the primary NICs, those that change, and the routes of both', () => {
  const ours = { to: '10.5.0.0/16', via: '192.168.100.1', dev: 'ens6' };
  const machine: Machine = {
    links: [...before.links, link('ens6'), link('cali1')],
    routes: [eth0, eth1, ours, { to: '10.244.7.0/24', via: '10.244.7.0', dev: 'flannel.1' }],
  };
  expect(protectedPart(machine, new Set([macOf('ens6')]))).toEqual({
    links: [link('eth0'), link('eth1'), link('ens6')],
    routes: [eth0, eth1, ours],
  });
});

test('routes of ours may go with a change, and those of others through the same NIC may not', () => {
  const ours = { to: '203.0.113.0/24', via: '192.0.2.1', dev: 'multinic0' };
  const theirs = { ...ours, to: '198.51.100.0/24' };
  const routing = {
    rules: [],
    routes: ['-4 203.0.113.0/24 via 192.0.2.1 table 254 metric 1000'],
    sysctls: {},
  };
  const nic = link('multinic0');
  const machine = { links: [link('eth0'), { ...nic, routing }], routes: [eth0, ours, theirs] };
  const kept = protectedPart(machine, new Set([nic.mac]));
  expect(kept.routes).toEqual([eth0, theirs]);
  expect(() => verifyUntouched({ ...machine, routes: [eth0, theirs] }, kept)).not.toThrow();
  expect(() => verifyUntouched({ ...machine, routes: [eth0, ours] }, kept)).toThrow('198.51.100.0/24');
});

test('100,000 routes and 1,000 links are compared in seconds, not in minutes', () => {
  const links = [link('eth0'), link('eth1'), ...Array.from({ length: 1_000 }, (_, at) => link(`cali${at}`))];
  const routes = Array.from({ length: 100_000 }, (_, at) => ({
    to: `10.${at >> 8}.${at & 255}.0/26`,
    via: '10.0.0.7',
    dev: 'eth0',
  }));
  const many = { links, routes: [eth0, eth1, ...routes] };
  const began = performance.now();
  verifyUntouched(many, protectedPart(many, new Set()));
  expect(performance.now() - began).toBeLessThan(5_000);
});
