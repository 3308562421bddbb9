// What the kernel has, and what it is told: by the image's own `ip`, which needs only the host's network namespace.
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import { run } from './command.ts';
import type { Link, LinkStep, Readiness, Route, Upper } from './host.ts';
import { until } from './until.ts';

export interface RawLink {
  readonly ifindex?: number;
  readonly ifname: string;
  readonly link_type?: string;
  readonly address?: string;
  readonly permaddr?: string;
  readonly flags?: readonly string[];
  readonly mtu?: number;
  readonly master?: string;
  /** What it stands on; of a veth, its other end. */
  readonly link?: string;
  readonly linkinfo?: { readonly info_kind?: string };
  readonly addr_info?: readonly {
    readonly family?: string;
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
    /** It runs out: a DHCP server's, or a router's. */
    readonly dynamic?: boolean;
    /** IPv6: the kernel still asks whether it is another machine's, or knows that it is. */
    readonly tentative?: boolean;
    readonly dadfailed?: boolean;
  }[];
}

export interface RawRoute {
  readonly dst?: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly nexthops?: readonly { readonly gateway?: string; readonly dev?: string }[];
}

/** A bond gives its members its own MAC: the permanent one tells them apart. */
export function readLinks(raw: readonly RawLink[]): Link[] {
  return raw
    .filter(({ link_type, address }) => link_type === 'ether' && address !== undefined)
    .map((link) => ({
      name: link.ifname,
      mac: (link.permaddr ?? link.address!).toLowerCase(),
      up: link.flags?.includes('UP') === true,
      mtu: link.mtu ?? 1500,
      // The kernel's own link-local addresses come and go with the link.
      addresses: (link.addr_info ?? []).flatMap(({ local, prefixlen, scope }) =>
        local === undefined || scope === 'link' ? [] : [`${local}/${prefixlen}`],
      ),
      ...(link.master !== undefined && { master: link.master }),
    }));
}

/** How far the kernel is with a link and with finding out whether its addresses are another machine's. */
export function readinessOf(mac: string, { flags, addr_info = [] }: RawLink): Readiness {
  const lasting = addr_info.filter(({ scope }) => scope !== 'link');
  const texts = (which: typeof addr_info): string[] =>
    which.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  return {
    mac,
    carrier: flags?.includes('LOWER_UP') === true,
    duplicates: texts(lasting.filter(({ dadfailed }) => dadfailed === true)),
    undecided: texts(lasting.filter(({ tentative, dadfailed }) => tentative === true && dadfailed !== true)),
  };
}

const STACKED: ReadonlySet<string> = new Set(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap']);

export function readUppers(raw: readonly RawLink[]): Upper[] {
  return raw.flatMap(({ ifname, link, linkinfo }) =>
    link !== undefined && STACKED.has(linkinfo?.info_kind ?? '') ? [{ name: ifname, lower: link }] : [],
  );
}

/**
 * What a NIC got from the network for want of a profile (an address, even a default route) is neither the node's nor
 * anybody's, and goes once the NIC has a profile: it counts for nothing. Unless the node's only ways out are such NICs.
 */
export function withoutAutomatic(
  raw: readonly RawLink[],
  routes: readonly Route[],
  automatic: ReadonlySet<string>,
): { links: Link[]; routes: Route[] } {
  const ways = routes.filter(({ to }) => to === 'default').map(({ dev }) => dev);
  const needed = new Set(ways.every((dev) => automatic.has(dev)) ? ways : []);
  const passing = automatic.difference(needed);
  const lasting = raw.map((link) =>
    passing.has(link.ifname)
      ? { ...link, addr_info: (link.addr_info ?? []).filter(({ dynamic }) => dynamic !== true) }
      : link,
  );
  return { links: readLinks(lasting), routes: routes.filter(({ dev }) => !passing.has(dev)) };
}

/** Those with a gateway, and defaults: the others follow from addresses, or belong to pods that come and go. */
export function readRoutes(raw: readonly RawRoute[]): Route[] {
  return raw.flatMap(({ dst = '', gateway, dev, nexthops }) =>
    (nexthops ?? [{ gateway, dev }]).flatMap((hop): Route[] => {
      if (hop.dev === undefined || (hop.gateway === undefined && dst !== 'default')) return [];
      return [{ to: dst, dev: hop.dev, ...(hop.gateway !== undefined && { via: hop.gateway }) }];
    }),
  );
}

export function driverOf(name: string): string | undefined {
  try {
    return basename(readlinkSync(`/sys/class/net/${name}/device/driver`));
  } catch {
    return undefined;
  }
}

export async function hasCarrier(name: string): Promise<boolean> {
  const [link] = await ip<RawLink>('link', 'show', 'dev', name);
  return link?.flags?.includes('LOWER_UP') === true;
}

interface RawNeighbour {
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

/**
 * Who answers for an address, by the kernel's own ARP or NDP: a pod may not send packets of its own making. Three
 * questions a tenth of a second apart instead of a second. Before iproute2 5.16 an `ip` has no `use`: it is refused, since
 * a question that was not asked is no answer.
 * @returns MAC
 * @throws MultinicError `HostUnreadable`
 */
export async function neighbour(address: string, name: string): Promise<string | undefined> {
  const table = address.includes(':') ? 'ndisc_cache' : 'arp_cache';
  const retrans = (ms: number): Promise<unknown> =>
    run(['ip', 'ntable', 'change', 'name', table, 'dev', name, 'retrans', String(ms)]);
  await retrans(ARP_RETRANS_MS);
  try {
    const question = ['neigh', 'replace', address, 'dev', name, 'nud', 'none', 'use'];
    const { code, stderr } = await run(['ip', ...question]);
    if (code !== 0) throw unreadable(question, stderr);
    let holder: string | undefined;
    await until(ARP_MS, async () => {
      const [entry] = await ip<RawNeighbour>('neigh', 'show', address, 'dev', name);
      holder = entry?.state?.some((state) => KNOWN_STATES.has(state)) ? entry.lladdr : undefined;
      return holder !== undefined || entry?.state?.includes('FAILED') === true;
    });
    return holder;
  } finally {
    await run(['ip', 'neigh', 'del', address, 'dev', name]);
    await retrans(KERNEL_RETRANS_MS);
  }
}

const ARP_RETRANS_MS = 100;
const KERNEL_RETRANS_MS = 1_000;
const ARP_MS = 1_000;
const KNOWN_STATES: ReadonlySet<string> = new Set(['REACHABLE', 'STALE', 'DELAY', 'PROBE']);

export async function ip<T>(...args: string[]): Promise<T[]> {
  const { code, stdout, stderr } = await run(['ip', '-j', ...args]);
  if (code !== 0) throw unreadable(args, stderr);
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
}

export function unreadable(args: readonly string[], stderr: string): MultinicError {
  return new MultinicError('HostUnreadable', `ip ${args.join(' ')}: ${stderr.trim()}; look at the node`);
}

export async function set(step: LinkStep, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(['ip', ...args]);
  if (code !== 0) throw refused(step, stderr.trim());
}

/** One router advertisement would bring a default route and an address. */
export async function quiet(name: string): Promise<void> {
  await run(['sh', '-c', `echo 0 > /proc/sys/net/ipv6/conf/${name}/accept_ra`]);
  await run(['ip', 'link', 'set', name, 'addrgenmode', 'none']);
}

export function refused(step: LinkStep, why: string): MultinicError {
  return new MultinicError(
    'LinkRefused',
    `${step.op} of ${step.mac}: ${why}; look at \`ip link\` on the node`,
    {
      data: { step },
    },
  );
}
