import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Link, LinkStep } from './machine.ts';
import { NO_ROUTING, onlyIn, unionOf, type LinkRouting } from './routing.ts';
import { except, linkSteps, nicOf, quietIpv6, linkLocalOf, type LinkTarget } from './links.ts';
import { mac } from '../../../test/support/mac.ts';

/** A kernel: refuses a name that is taken and an address that another link has. */
function execute(links: readonly Link[], steps: readonly LinkStep[]): Link[] {
  return steps.reduce<Link[]>(
    (now, step) => {
      if (step.op === 'rename' && now.some((link) => link.name === step.to))
        throw new Error(`${step.to} is taken`);
      if (step.op === 'add' && now.some((link) => link.addresses.includes(step.address))) {
        throw new Error(`${step.address} is taken`);
      }
      return now.map((link) => (link.mac === step.mac ? apply(link, step) : link));
    },
    [...links],
  );
}

function apply(link: Link, step: LinkStep): Link {
  switch (step.op) {
    case 'rename':
      return { ...link, name: step.to };
    case 'ipv6':
      return { ...link, ipv6: { acceptRa: step.acceptRa, addrGenMode: step.addrGenMode } };
    case 'set':
      return { ...link, mtu: step.mtu, up: step.up };
    case 'add':
      return { ...link, addresses: [...link.addresses, step.address] };
    case 'drop':
      return { ...link, addresses: link.addresses.filter((address) => address !== step.address) };
    case 'manage':
      return { ...link, networkManager: step.networkManager };
    case 'sysctl':
    case 'route':
    case 'unroute':
      return { ...link, routing: routed(link.routing ?? NO_ROUTING, step) };
  }
}

function routed(now: LinkRouting, step: LinkStep & { op: 'sysctl' | 'route' | 'unroute' }): LinkRouting {
  if (step.op === 'sysctl') return { ...now, sysctls: { ...now.sysctls, ...step.values } };
  const left = { ...now, ...onlyIn(now, { ...NO_ROUTING, ...step }) };
  return step.op === 'unroute' ? left : unionOf([now, { ...step, sysctls: {} }]);
}

const M0 = mac('02:00:00:00:00:00');
const M1 = mac('02:00:00:00:00:01');
const MACS = [M0, M1, mac('02:00:00:00:00:02'), mac('02:00:00:00:00:03')];
const ADDRESSES = ['1', '2', '3', '4', '5', '6'];
const machine = fc
  .tuple(
    fc.shuffledSubarray(['a', 'b', 'c', 'd', 'e', 'f'], { minLength: 4, maxLength: 4 }),
    fc.shuffledSubarray(ADDRESSES, { minLength: 4, maxLength: 4 }),
    fc.array(fc.record({ up: fc.boolean(), mtu: fc.constantFrom(1400, 1500) }), {
      minLength: 4,
      maxLength: 4,
    }),
  )
  .map(([names, addresses, rest]) =>
    MACS.map((each, index): Link => ({
      mac: each,
      name: names[index] ?? '',
      addresses: [addresses[index] ?? ''],
      up: rest[index]?.up ?? true,
      mtu: rest[index]?.mtu ?? 1500,
    })),
  );

test('any machine becomes any other without a name or an address held twice', () => {
  fc.assert(
    fc.property(machine, machine, (before, after) => {
      const end = execute(before, linkSteps(before, targets(after)));
      expect(end).toEqual(after);
      expect(linkSteps(end, targets(after))).toEqual([]);
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test('from wherever a kill left it, the rest of the way or the way back is found', () => {
  fc.assert(
    fc.property(machine, machine, fc.nat(20), (before, after, killed) => {
      const half = execute(before, linkSteps(before, targets(after)).slice(0, killed));
      expect(execute(half, linkSteps(half, targets(before))).map(sorted)).toEqual(before.map(sorted));
      expect(execute(half, linkSteps(half, targets(after))).map(sorted)).toEqual(after.map(sorted));
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test('a new address comes before the old one goes', () => {
  const link: Link = { mac: M0, name: 'a', up: true, mtu: 1500, addresses: ['old'] };
  expect(
    linkSteps([link], [{ ...link, addresses: ['new'], dropped: ['old'] }]).map((step) => step.op),
  ).toEqual(['add', 'drop']);
});

test('a NIC is not the bond that copies its MAC', () => {
  const member: Link = { mac: M0, name: 'ens6', up: true, mtu: 1500, addresses: [], master: 'bond0' };
  const { master: _, ...bond } = { ...member, name: 'bond0' };
  for (const links of [
    [bond, member],
    [member, bond],
  ])
    expect(nicOf(links, M0)).toBe(member);
  const vlan: Link = { ...member, name: 'ens6.7', master: 'br0' };
  expect(nicOf([vlan, bond], M0)).toBe(bond);
  expect(nicOf([bond], M1)).toBeUndefined();
  const port: Link = { ...bond, name: 'br-provider', software: true };
  const taken: Link = { ...member, master: 'ovs-system' };
  expect(nicOf([port, taken], M0)).toBe(taken);
  expect(nicOf([port], M0)).toBe(port);
});

test('a NIC is quiet before it comes up, and what the kernel does no IPv6 on stays as it is', () => {
  const ipv6 = { acceptRa: 1, addrGenMode: 0 };
  const link: Link = { mac: M0, name: 'a', up: false, mtu: 1500, addresses: [], ipv6 };
  const target = { ...link, up: true, dropped: [], ipv6: quietIpv6(ipv6, false) };
  expect(linkSteps([link], [target]).map(({ op }) => op)).toEqual(['ipv6', 'set']);
  const { ipv6: _, ...without } = link;
  expect(linkSteps([without], [target]).map(({ op }) => op)).toEqual(['set']);
  // With an IPv6 address it has a link-local one, of whatever making.
  expect(quietIpv6({ acceptRa: 2, addrGenMode: 1 }, true)).toEqual({ acceptRa: 0, addrGenMode: 0 });
  expect(quietIpv6({ acceptRa: 0, addrGenMode: 3 }, true)).toEqual({ acceptRa: 0, addrGenMode: 3 });
});

test('the link-local address that the kernel makes of a MAC', () => {
  expect(linkLocalOf(mac('fa:16:3e:00:00:01'))).toBe('fe80::f816:3eff:fe00:1');
});

test('NetworkManager lets go of a NIC before all else, and manages it again after all else', () => {
  const link: Link = { mac: M0, name: 'a', up: false, mtu: 1500, addresses: ['old'], networkManager: true };
  const target = {
    ...link,
    name: 'b',
    up: true,
    addresses: ['new'],
    dropped: ['old'],
    networkManager: false,
  };
  const there = linkSteps([link], [target]);
  expect(there.map(({ op }) => op)).toEqual(['manage', 'rename', 'set', 'add', 'drop']);
  expect(there[0]).toEqual({ op: 'manage', mac: M0, networkManager: false });
  const back = linkSteps([{ ...link, ...target }], [{ ...link, dropped: ['new'] }]);
  expect(back.at(-1)).toEqual({ op: 'manage', mac: M0, networkManager: true });
  // On a host without NetworkManager there is nothing to tell. A target may also leave NetworkManager as it is.
  const { networkManager: _, ...alone } = link;
  expect(linkSteps([alone], [{ ...alone, dropped: [], networkManager: false }])).toEqual([]);
  expect(linkSteps([link], [{ ...alone, dropped: [] }])).toEqual([]);
});

test('a lease is neither taken away nor made to stay', () => {
  const link: Link = { mac: M0, name: 'a', up: true, mtu: 1500, addresses: ['ours'], leases: ['lease'] };
  const { leases: _, ...rest } = link;
  const target = { ...rest, dropped: ['old'] };
  expect(linkSteps([link], [target])).toEqual([]);
  // Where the commit's address was leased, it comes to stay; an undo lets it be.
  const kept = { ...target, addresses: ['ours', 'lease'] };
  expect(linkSteps([link], [kept]).map(({ op }) => op)).toEqual(['add']);
  expect(linkSteps([kept], [target])).toEqual([]);
});

test('an address that came since is nobody’s to drop', () => {
  const link: Link = { mac: M0, name: 'a', up: true, mtu: 1500, addresses: ['ours', 'vip'] };
  const steps = linkSteps([link], [{ ...link, mtu: 9000, addresses: ['ours'], dropped: ['old'] }]);
  expect(steps.map(({ op }) => op)).toEqual(['set']);
});

test('a link that is not on the machine is passed over', () => {
  expect(linkSteps([], [{ mac: M0, name: 'a', up: true, mtu: 1500, addresses: [], dropped: [] }])).toEqual(
    [],
  );
});

test('rules go before the address, and come after it; settings count before the NIC comes up', () => {
  const rule = '-4 from 192.0.2.10 lookup 20001 priority 20002';
  const route = '-4 192.0.2.0/24 table 20001 src 192.0.2.10';
  const link: Link = { mac: M0, name: 'ens6', up: false, mtu: 1500, addresses: [] };
  const routing = { rules: [rule], routes: [route], sysctls: { rp_filter: 2 } };
  const on = { ...link, name: 'multinic1', up: true, addresses: ['192.0.2.10/24'], routing };
  const plain = { rules: [], routes: [], sysctls: { rp_filter: 1 } };
  const there = linkSteps([{ ...link, routing: plain }], [{ ...on, dropped: [] }]);
  expect(there.map(({ op }) => op)).toEqual(['sysctl', 'rename', 'set', 'add', 'route']);
  const off = {
    ...link,
    dropped: on.addresses,
    routing: plain,
    unrouted: { rules: [rule], routes: [route] },
  };
  const back = linkSteps([on], [off]);
  expect(back.map(({ op }) => op)).toEqual(['unroute', 'sysctl', 'rename', 'set', 'drop']);
  expect(linkSteps([on], [{ ...on, dropped: [] }])).toEqual([]);
  expect(execute([{ ...link, routing: plain }], there)).toEqual([on]);
  expect(execute([on], back)).toEqual([{ ...link, routing: plain }]);
});

const whole = ({ rules, routes, sysctls }: LinkRouting): unknown => [
  rules.toSorted(),
  routes.toSorted(),
  sysctls,
];

type Routed = Link & { readonly routing: LinkRouting };

const towards = (end: Routed[], other: Routed[]): LinkTarget[] =>
  targets(end).map((target, at) => ({
    ...target,
    unrouted: onlyIn(other[at]!.routing, end[at]!.routing),
  }));

test('rules, routes and settings are old or new as a whole, from wherever a kill left them', () => {
  const texts = [1, 2, 3, 4].map((each) => `-4 from 192.0.2.${each} lookup 20001 priority 20002`);
  const ways = [1, 2, 3, 4].map((each) => `-4 198.51.${each}.0/24 via 192.0.2.9 table 20001`);
  const routing = fc.record({
    rules: fc.subarray(texts),
    routes: fc.subarray(ways),
    sysctls: fc.record({ rp_filter: fc.constantFrom(0, 1, 2), arp_announce: fc.constantFrom(0, 2) }),
  });
  fc.assert(
    fc.property(
      machine,
      machine,
      fc.array(routing, { minLength: 8, maxLength: 8 }),
      fc.nat(20),
      (from, to, all, killed) => {
        const withRouting = (links: readonly Link[], side: number): Routed[] =>
          links.map((link, at) => ({ ...link, routing: all[side * 4 + at]! }));
        const before = withRouting(from, 0);
        const after = withRouting(to, 1);
        const half = execute(before, linkSteps(before, towards(after, before)).slice(0, killed));
        const back = execute(half, linkSteps(half, towards(before, after)));
        const on = execute(half, linkSteps(half, towards(after, before)));
        expect(back.map((link) => whole(link.routing!))).toEqual(before.map((link) => whole(link.routing)));
        expect(on.map((link) => whole(link.routing!))).toEqual(after.map((link) => whole(link.routing)));
      },
    ),
    { seed: 3, numRuns: 500 },
  );
});

test('a rule that is missing comes alone, and one of other software stays', () => {
  const [one, other] = [
    '-4 from 192.0.2.10 lookup 20001 priority 20002',
    '-4 from 192.0.2.11 lookup 7 priority 1',
  ];
  const link: Link = { mac: M0, name: 'multinic1', up: true, mtu: 1500, addresses: [] };
  const now = { ...link, routing: { rules: [other], routes: [], sysctls: {} } };
  const target: LinkTarget = { ...link, dropped: [], routing: { rules: [one], routes: [], sysctls: {} } };
  expect(linkSteps([now], [target])).toEqual([{ op: 'route', mac: M0, rules: [one], routes: [] }]);
});

function targets(links: readonly Link[]): LinkTarget[] {
  return links.map((link) => ({ ...link, dropped: except(ADDRESSES, link.addresses) }));
}

function sorted(link: Link): Link {
  return { ...link, addresses: [...link.addresses].sort() };
}

test('an address that is there already gets the metric of its route, or loses it', () => {
  const link: Link = { name: 'multinic2', mac: M0, up: true, mtu: 1500, addresses: ['1', '2'] };
  const target: LinkTarget = { ...link, dropped: [] };
  const add = { op: 'add', mac: M0, address: '2' };
  expect(linkSteps([link], [{ ...target, yields: ['2'] }])).toEqual([{ ...add, metric: 1002 }]);
  expect(linkSteps([{ ...link, yields: ['2'] }], [target])).toEqual([add]);
  expect(linkSteps([{ ...link, yields: ['2'] }], [{ ...target, yields: ['2'] }])).toEqual([]);
});
