import { expect, test } from 'vitest';
import { linkSteps, type LinkTarget } from '../host/links.ts';
import type { Link, LinkStep } from '../host/machine.ts';
import {
  claimedAddresses,
  earlySteps,
  MAX_ROUNDS,
  renameSteps,
  groupsOf,
  stepsOfRound,
  takesAway,
  withoutLoaded,
} from './link-phases.ts';
import { mac } from '../../../test/support/mac.ts';

const MAC = mac('fa:16:3e:00:00:01');
const OTHER = mac('fa:16:3e:00:00:02');
const OLD = '10.0.0.1/24';
const NEW = '10.0.0.2/24';
const VIP = '10.0.0.9/32';

const found: Link = { name: 'ens6', mac: MAC, up: true, mtu: 1500, addresses: [VIP] };
const target: LinkTarget = {
  name: 'multinic0',
  mac: MAC,
  up: true,
  mtu: 1500,
  addresses: [VIP, NEW],
  dropped: [],
};

test('the addresses that networkd gives a NIC with its name are dropped, those of other software stay', () => {
  const steps = linkSteps([found], [target]);
  const renamed = { ...found, name: 'multinic0', addresses: [VIP, OLD], loaded: [OLD] };
  const [whole] = withoutLoaded([target], steps, [found], [renamed]);
  expect(whole?.dropped).toEqual([OLD]);
  // A NIC that keeps its name keeps the addresses that networkd has loaded.
  expect(withoutLoaded([target], [], [found], [renamed])[0]?.dropped).toEqual([]);
  // An address that the NIC had before is not networkd's doing.
  const had = { ...found, addresses: [VIP, OLD] };
  expect(withoutLoaded([target], steps, [had], [renamed])[0]?.dropped).toEqual([]);
});

test('an address leaves early when another NIC gets it, and when its NIC is renamed', () => {
  const links = [
    { ...found, addresses: [OLD] },
    { ...found, name: 'multinic1', mac: OTHER, addresses: [NEW] },
  ];
  const wanted = [
    { ...target, addresses: [NEW], dropped: [OLD] },
    { ...target, name: 'multinic1', mac: OTHER, addresses: [VIP], dropped: [NEW] },
  ];
  const steps = linkSteps(links, wanted);
  expect(earlySteps(steps)).toEqual([
    { op: 'drop', mac: OTHER, address: NEW },
    { op: 'drop', mac: MAC, address: OLD },
  ]);
  expect(renameSteps(steps)).toEqual([{ op: 'rename', mac: MAC, from: 'ens6', to: 'multinic0' }]);
  expect(claimedAddresses(steps, [{ mac: MAC }])).toEqual([{ mac: MAC, address: NEW }]);
});

test('routes of a NIC wait for its addresses, and those of another NIC do not', () => {
  const [one, other] = [mac('02:00:00:00:01:01'), mac('02:00:00:00:01:02')];
  const drop: LinkStep = { op: 'drop', mac: one, address: '10.0.0.1/24' };
  const route = (of: typeof one): LinkStep => ({ op: 'route', mac: of, rules: [], routes: [] });
  expect(stepsOfRound([drop, route(one), route(other)])).toEqual([drop, route(other)]);
  expect(stepsOfRound([route(one)])).toEqual([route(one)]);
});

/** One step of each kind, and whether it comes early and takes something away. */
const KINDS: readonly (readonly [LinkStep, early: boolean, away: boolean])[] = [
  [{ op: 'manage', mac: MAC, networkManager: false }, true, true],
  [{ op: 'manage', mac: MAC, networkManager: true }, false, false],
  [{ op: 'rename', mac: MAC, from: 'ens6', to: 'multinic0' }, false, true],
  [{ op: 'set', mac: MAC, mtu: 1500, up: true }, false, false],
  [{ op: 'set', mac: MAC, mtu: 1280, up: true }, false, false],
  [{ op: 'set', mac: MAC, mtu: 1279, up: true }, false, true],
  [{ op: 'set', mac: MAC, mtu: 1500, up: false }, false, true],
  [{ op: 'add', mac: MAC, address: NEW }, false, false],
  [{ op: 'drop', mac: MAC, address: OLD }, false, true],
  [{ op: 'ipv6', mac: MAC, acceptRa: 0, addrGenMode: 1 }, true, false],
  [{ op: 'sysctl', mac: MAC, values: { rp_filter: 2 } }, true, false],
  [{ op: 'route', mac: MAC, rules: [], routes: [] }, false, false],
  [{ op: 'unroute', mac: MAC, rules: [], routes: [] }, true, false],
];

test.each(KINDS)('%j comes early: %s, takes away: %s', (step, early, away) => {
  expect([earlySteps([step]).length > 0, takesAway(step)]).toEqual([early, away]);
});

test('an address stays until its turn beside steps of other NICs and other addresses', () => {
  const drop: LinkStep = { op: 'drop', mac: MAC, address: OLD };
  const beside = (step: LinkStep): boolean => earlySteps([drop, step]).includes(drop);
  expect(beside({ op: 'add', mac: OTHER, address: NEW })).toBe(false);
  expect(beside({ op: 'add', mac: OTHER, address: OLD })).toBe(true);
  expect(beside({ op: 'drop', mac: OTHER, address: OLD })).toBe(false);
  expect(beside({ op: 'rename', mac: OTHER, from: 'a', to: 'b' })).toBe(false);
  expect(beside({ op: 'rename', mac: MAC, from: 'a', to: 'b' })).toBe(true);
  expect(beside({ op: 'set', mac: MAC, mtu: 1500, up: true })).toBe(false);
  expect(claimedAddresses([drop, { op: 'add', mac: OTHER, address: NEW }], [{ mac: MAC }])).toEqual([]);
});

test('the kernel is set four times at most', () => {
  expect(MAX_ROUNDS).toBe(4);
});

test('addresses of one NIC that follow each other are one group', () => {
  const [one, other] = [mac('02:00:00:00:01:01'), mac('02:00:00:00:01:02')];
  const add = (of: typeof one, address: string): LinkStep => ({ op: 'add', mac: of, address });
  const drop: LinkStep = { op: 'drop', mac: one, address: '10.0.0.9/24' };
  const steps = [
    add(one, '10.0.0.1/24'),
    add(one, '10.0.0.2/24'),
    add(other, '10.0.1.1/24'),
    drop,
    drop,
    add(one, '10.0.0.3/24'),
  ];
  const groups = groupsOf(steps);
  expect(groups.map((group) => group.length)).toEqual([2, 1, 1, 1, 1]);
  expect(groups.flat()).toEqual(steps);
});
