import { metricOf } from '../files/route-metric.ts';
import type { Ipv6, Link, LinkStep, Rename } from './machine.ts';
import type { Mac } from '../../network/mac.ts';
import { NO_ROUTING, onlyIn, settingsApart, type RoutingTarget } from './routing.ts';

/** The value of the kernel's `addr_gen_mode` for no link-local address. */
export const NO_LINK_LOCAL = 1;
const EUI64 = 0;

/** IPv6 settings of our NICs: router advertisements are ignored, and only a NIC with an IPv6 address has a link-local one. */
export function quietIpv6(now: Ipv6, hasIpv6: boolean): Ipv6 {
  const own = now.addrGenMode === NO_LINK_LOCAL ? EUI64 : now.addrGenMode;
  return { acceptRa: 0, addrGenMode: hasIpv6 ? own : NO_LINK_LOCAL };
}

/** The link-local address that the kernel makes from a MAC (modified EUI-64, RFC 4291). */
export function linkLocalOf(mac: Mac): string {
  const [a = 0, ...rest] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const bytes = [a ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  const groups = [0, 2, 4, 6].map((at) => (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  return `fe80::${groups.join(':')}`;
}

/** An address without its prefix. */
export function ipOf(address: string): string {
  return address.split('/')[0] ?? '';
}

export function isSameFamily(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':');
}

/** All addresses of a link, with its leases. */
export function heldAddresses({ addresses, leases = [] }: Link): readonly string[] {
  return [...addresses, ...leases];
}

/**
 * The NIC that has a MAC. A bond, a bridge or a port of Open vSwitch may copy the MAC; then the member, or the link with
 * hardware, is the NIC.
 */
export function nicOf(links: readonly Link[], mac: Mac): Link | undefined {
  const all = links.filter((link) => link.mac === mac);
  const hardware = all.filter(({ software }) => software !== true);
  const same = hardware.length > 0 ? hardware : all;
  const isMember = ({ master }: Link): boolean => same.some(({ name }) => name === master);
  return same.find(isMember) ?? same.find(({ master }) => master === undefined) ?? same[0];
}

/**
 * The state that a link is to have. The link keeps its IPv6 settings if `ipv6` is absent, and keeps any address that is
 * in neither list. NetworkManager goes on as it does if `networkManager` is absent.
 */
export interface LinkTarget
  extends Omit<Link, 'master' | 'software' | 'loaded' | 'leases' | 'routing'>, RoutingTarget {
  /** Addresses that the link must not have. */
  readonly dropped: readonly string[];
}

/** Temporary name of a link between two renames. No network manager gives this name. */
const SWAP = 'multinic-swap';

/** The name that udev derives from a MAC: no other link has it. */
export function nameByMac(mac: Mac): string {
  return `enx${mac.replaceAll(':', '')}`;
}

/**
 * Replaces the name of each target whose name another link has by now. Such a target gets the name that udev derives
 * from its MAC.
 */
export function withFreeNames(targets: readonly LinkTarget[], links: readonly Link[]): LinkTarget[] {
  const others = links.filter(({ mac }) => targets.every((target) => target.mac !== mac));
  const taken = new Set(others.map(({ name }) => name));
  return targets.map((target) =>
    taken.has(target.name) ? { ...target, name: nameByMac(target.mac) } : target,
  );
}

/**
 * The fewest steps from the present links to the targets, in an order in which no two links have the same name or
 * address; a target without a link is left out. The steps start from the present state, so they also finish or undo the
 * work of a killed run.
 */
export function linkSteps(links: readonly Link[], targets: readonly LinkTarget[]): LinkStep[] {
  const pairs = targets.flatMap((target) => {
    const link = nicOf(links, target.mac);
    return link === undefined ? [] : [{ link, target }];
  });
  const added = new Set(pairs.flatMap(({ link, target }) => except(target.addresses, link.addresses)));
  const steps = pairs.map(({ link, target }) => {
    const { mac } = link;
    const drops = link.addresses.filter((address) => target.dropped.includes(address));
    const drop = (address: string): LinkStep => ({ op: 'drop', mac, address });
    const managed = manageSteps(link, target);
    return {
      unroute: unrouteSteps(link, target),
      // NetworkManager drops leases when it releases a NIC, and brings leases when it manages the NIC again.
      first: managed.filter(({ networkManager }) => !networkManager),
      last: managed.filter(({ networkManager }) => networkManager),
      // Settings come first, because they take effect when the link comes up.
      quiet: [...ipv6Steps(link, target), ...sysctlSteps(link, target)],
      // An address that another NIC gets is removed first. Any other address is removed last, so that the NIC always
      // has one.
      release: drops.filter((address) => added.has(address)).map(drop),
      configure: [
        ...(link.mtu === target.mtu && link.up === target.up
          ? []
          : [{ op: 'set', mac, mtu: target.mtu, up: target.up } as const]),
        ...target.addresses
          .filter(
            (address) =>
              !link.addresses.includes(address) || isYielding(target, address) !== isYielding(link, address),
          )
          .map((address): LinkStep => ({
            op: 'add',
            mac,
            address,
            ...(isYielding(target, address) && { metric: metricOf(target.name) }),
          })),
        ...drops.filter((address) => !added.has(address)).map(drop),
        ...routeSteps(link, target),
      ],
    };
  });
  return [
    ...steps.flatMap(({ unroute }) => unroute),
    ...steps.flatMap(({ first }) => first),
    ...steps.flatMap(({ quiet }) => quiet),
    ...steps.flatMap(({ release }) => release),
    ...renames(
      links,
      pairs.map(({ link, target }) => ({ mac: link.mac, from: link.name, to: target.name })),
    ),
    ...steps.flatMap(({ configure }) => configure),
    ...steps.flatMap(({ last }) => last),
  ];
}

function isYielding({ yields = [] }: Pick<Link, 'yields'>, address: string): boolean {
  return yields.includes(address);
}

function manageSteps(
  { mac, networkManager: now }: Link,
  { networkManager: wanted }: LinkTarget,
): (LinkStep & { op: 'manage' })[] {
  const same = now === undefined || wanted === undefined || now === wanted;
  return same ? [] : [{ op: 'manage', mac, networkManager: wanted }];
}

function ipv6Steps({ mac, ipv6: now }: Link, { ipv6: wanted }: LinkTarget): LinkStep[] {
  const same = now?.acceptRa === wanted?.acceptRa && now?.addrGenMode === wanted?.addrGenMode;
  return now === undefined || wanted === undefined || same ? [] : [{ op: 'ipv6', mac, ...wanted }];
}

function sysctlSteps({ mac, routing: now = NO_ROUTING }: Link, { routing }: LinkTarget): LinkStep[] {
  const values = routing === undefined ? {} : settingsApart(now, routing);
  return Object.keys(values).length === 0 ? [] : [{ op: 'sysctl', mac, values }];
}

/** Adds missing routes and rules. They come last, because they need the link's addresses. */
function routeSteps(
  { mac, routing: now = NO_ROUTING }: Link,
  { routing = NO_ROUTING }: LinkTarget,
): LinkStep[] {
  const { rules, routes } = onlyIn(routing, now);
  return rules.length === 0 && routes.length === 0 ? [] : [{ op: 'route', mac, rules, routes }];
}

/**
 * Removes routes and rules that the link must not have. They go first, because removing an address would remove its
 * routes too.
 */
function unrouteSteps({ mac, routing: now }: Link, { unrouted }: LinkTarget): LinkStep[] {
  const rules = now?.rules.filter((rule) => unrouted?.rules.includes(rule)) ?? [];
  const routes = now?.routes.filter((route) => unrouted?.routes.includes(route)) ?? [];
  return rules.length === 0 && routes.length === 0 ? [] : [{ op: 'unroute', mac, rules, routes }];
}

function renames(links: readonly Link[], wanted: readonly Rename[]): LinkStep[] {
  const taken = new Set(links.map((link) => link.name));
  const steps: LinkStep[] = [];
  let todo = wanted.filter(({ from, to }) => from !== to);
  const rename = ({ mac, from }: Rename, to: string): void => {
    steps.push({ op: 'rename', mac, from, to });
    taken.delete(from);
    taken.add(to);
  };
  while (todo[0] !== undefined) {
    const free = todo.find(({ to }) => !taken.has(to));
    const next = free ?? todo[0];
    todo = todo.filter((each) => each !== next);
    if (free !== undefined || next.from === SWAP) rename(next, next.to);
    else {
      // The names form a circle: one link gets a temporary name.
      rename(next, SWAP);
      todo.push({ ...next, from: SWAP });
    }
  }
  return steps;
}

export function except(all: readonly string[], without: readonly string[]): string[] {
  return all.filter((each) => !without.includes(each));
}
