import { metricOf } from '../files/route-metric.ts';
import type { Ipv6, Link, LinkStep, Rename } from './machine.ts';

/** A kernel's `addr_gen_mode`. */
export const NO_LINK_LOCAL = 1;
const EUI64 = 0;

/** A NIC of ours listens to no router, and has a link-local address only with an IPv6 address. */
export function quietIpv6(now: Ipv6, hasIpv6: boolean): Ipv6 {
  const own = now.addrGenMode === NO_LINK_LOCAL ? EUI64 : now.addrGenMode;
  return { acceptRa: 0, addrGenMode: hasIpv6 ? own : NO_LINK_LOCAL };
}

/** What the kernel makes of a MAC by itself (modified EUI-64, RFC 4291). */
export function linkLocalOf(mac: string): string {
  const [a = 0, ...rest] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const bytes = [a ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  const groups = [0, 2, 4, 6].map((at) => (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  return `fe80::${groups.join(':')}`;
}

/** An address less its prefix. */
export function ipOf(address: string): string {
  return address.split('/')[0] ?? '';
}

export function isSameFamily(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':');
}

/** All that a link answers to. */
export function heldAddresses({ addresses, leases = [] }: Link): readonly string[] {
  return [...addresses, ...leases];
}

/** The NIC that has a MAC. A bond or bridge copies it: then the NIC is the one that is part of it, and in use. */
export function nicOf(links: readonly Link[], mac: string): Link | undefined {
  const same = links.filter((link) => link.mac === mac);
  const isMember = ({ master }: Link): boolean => same.some(({ name }) => name === master);
  return same.find(isMember) ?? same.find(({ master }) => master === undefined) ?? same[0];
}

/** How a link shall be; an absent `ipv6` stays as it is, and so does an address that is neither given nor taken. */
export interface LinkTarget extends Omit<Link, 'master' | 'loaded' | 'leases'> {
  /** Addresses that it shall not have. */
  readonly dropped: readonly string[];
}

/** Free for the moment between two steps only; no network manager gives out such a name. */
const SWAP = 'multinic-swap';

/** The name that udev would derive from a MAC: nobody else's. */
export function nameByMac(mac: string): string {
  return `enx${mac.replaceAll(':', '')}`;
}

/** Targets that give way to links that are not among them and have their names by now. */
export function givingWay(targets: readonly LinkTarget[], links: readonly Link[]): LinkTarget[] {
  const strangers = links.filter(({ mac }) => targets.every((target) => target.mac !== mac));
  const taken = new Set(strangers.map(({ name }) => name));
  return targets.map((target) =>
    taken.has(target.name) ? { ...target, name: nameByMac(target.mac) } : target,
  );
}

/**
 * The shortest way from what the kernel has to the targets, in an order in which no name and no address is held
 * twice. It starts from what is there, so it also finishes or undoes what a killed run left half-done. Links that
 * are not on the machine are passed over.
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
    return {
      // Before the link comes up again.
      quiet: ipv6Steps(link, target),
      // An address that changes places has to leave first; any other goes last, so that the NIC is never without.
      leave: drops.filter((address) => added.has(address)).map(drop),
      settle: [
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
      ],
    };
  });
  return [
    ...steps.flatMap(({ quiet }) => quiet),
    ...steps.flatMap(({ leave }) => leave),
    ...renames(
      links,
      pairs.map(({ link, target }) => ({ mac: link.mac, from: link.name, to: target.name })),
    ),
    ...steps.flatMap(({ settle }) => settle),
  ];
}

function isYielding({ yields = [] }: Pick<Link, 'yields'>, address: string): boolean {
  return yields.includes(address);
}

function ipv6Steps({ mac, ipv6: now }: Link, { ipv6: wanted }: LinkTarget): LinkStep[] {
  const same = now?.acceptRa === wanted?.acceptRa && now?.addrGenMode === wanted?.addrGenMode;
  return now === undefined || wanted === undefined || same ? [] : [{ op: 'ipv6', mac, ...wanted }];
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
      // They go round in a circle: one steps aside.
      rename(next, SWAP);
      todo.push({ ...next, from: SWAP });
    }
  }
  return steps;
}

export function except(all: readonly string[], without: readonly string[]): string[] {
  return all.filter((each) => !without.includes(each));
}
