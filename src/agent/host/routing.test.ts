import { describe, expect, test } from 'vitest';
import { nic } from '../../../test/support/agent.ts';
import { fromCommands, toCommands } from './foreign-state.ts';
import {
  knownRouting,
  NO_ROUTING,
  routeText,
  routingTarget,
  unionOf,
  wantedRouting,
  withoutRouting,
} from './routing.ts';

const ROUTED = nic(1, { sourceRouting: true });
const RULE = '-4 from 192.168.101.10 lookup 20001 priority 20002';
const ROUTE = '-4 192.168.101.0/24 table 20001 src 192.168.101.10';
const CONNECTED = '-4 192.168.101.0/24 table 254 src 192.168.101.10 metric 1001';

describe('the routing that a NIC needs', () => {
  test('none, without source routing', () => {
    expect(wantedRouting(nic(1))).toEqual(NO_ROUTING);
  });

  test('one rule, the subnet, and the settings of ARP', () => {
    expect(wantedRouting(ROUTED)).toEqual({
      rules: [RULE],
      routes: [ROUTE, CONNECTED],
      sysctls: { rp_filter: 2, arp_ignore: 1, arp_announce: 2 },
    });
  });

  test('three rules with a gateway', () => {
    const { rules, routes } = wantedRouting({ ...ROUTED, gateway: '192.168.101.1' });
    expect(rules).toEqual([
      '-4 from 192.168.101.10 lookup 20001 suppress_prefixlength 0 priority 20000',
      '-4 from 192.168.101.10 lookup 254 suppress_prefixlength 0 priority 20001',
      RULE,
    ]);
    expect(routes).toEqual([ROUTE, '-4 default via 192.168.101.1 table 20001', CONNECTED]);
  });
});

test('a route to one address has no width, as the kernel has it', () => {
  const route = { via: '192.0.2.1', table: 'main', metric: 1000 } as const;
  expect(routeText({ ...route, family: 4, to: '203.0.113.5/32' })).toBe(
    '-4 203.0.113.5 via 192.0.2.1 table 254 metric 1000',
  );
  expect(routeText({ ...route, family: 6, to: '2001:db8::5/128', via: 'fe80::1' })).toMatch(
    /^-6 2001:db8::5 via/,
  );
  expect(routeText({ ...route, family: 6, to: '2001:db8::/32', via: 'fe80::1' })).toContain(
    '2001:db8::/32 via',
  );
});

test('a metric that the kernel or NetworkManager chose is no difference', () => {
  const route = { family: 6, to: '2001:db8::/64', table: 20_001 } as const;
  expect(routeText({ ...route, metric: 1024 })).toBe('-6 2001:db8::/64 table 20001');
  expect(routeText({ ...route, metric: 1001 })).toBe('-6 2001:db8::/64 table 20001');
  expect(routeText({ ...route, metric: 7 })).toBe('-6 2001:db8::/64 table 20001 metric 7');
  expect(routeText({ ...route, family: 4, table: 'main', metric: 1001 })).toContain('table 254 metric 1001');
});

test('rules of ours are no foreign state, in the words of `ip` that a record has', () => {
  const others = [
    '-4 rule add from 10.0.0.1 lookup 7 priority 20002',
    '-4 route add 10.0.0.0/8 via 192.168.101.9 dev multinic1 proto 186',
  ];
  const own = [
    `-4 rule add ${RULE.slice(3)}`,
    '-4 rule add from 192.168.101.10 lookup 20001 proto 4 priority 20002',
    '-4 route add 192.168.101.0/24 dev multinic1 table 20001 proto 4 scope 253 src 192.168.101.10',
    '-4 route add default via 192.168.101.1 dev multinic1 table 20001 proto 4 metric 1001',
  ];
  const wanted = wantedRouting({ ...ROUTED, gateway: '192.168.101.1' });
  expect(toCommands(withoutRouting(fromCommands([...own, ...others]), [wanted]))).toEqual(
    others.toReversed(),
  );
  expect(toCommands(withoutRouting(fromCommands(own), [])).toSorted()).toEqual(own.toSorted());
});

describe('the target of a NIC', () => {
  const before = { rp_filter: 1, arp_ignore: 0, arp_announce: 0 };

  test('is nothing where no routing is wanted or known', () => {
    expect(routingTarget(NO_ROUTING, NO_ROUTING)).toEqual({});
  });

  test('takes away what files and record prove to be ours, and gives the settings back', () => {
    expect(routingTarget(NO_ROUTING, wantedRouting(ROUTED), before)).toEqual({
      routing: { rules: [], routes: [], sysctls: before },
      unrouted: { rules: [RULE], routes: [ROUTE] },
    });
  });

  test('takes away the rules of an address that changed', () => {
    const next = wantedRouting({ ...ROUTED, address: '192.168.101.11' });
    const target = routingTarget(next, wantedRouting(ROUTED), before);
    expect(target).toEqual({ routing: next, unrouted: { rules: [RULE], routes: [ROUTE] } });
  });
});

test('a run looks for the routing of the commit, of files and of the record', () => {
  const old = nic(2, { mac: ROUTED.mac, sourceRouting: true });
  const known = knownRouting([ROUTED, old, nic(3)], undefined);
  expect([...known]).toEqual([[ROUTED.mac, unionOf([wantedRouting(ROUTED), wantedRouting(old)])]]);
});
