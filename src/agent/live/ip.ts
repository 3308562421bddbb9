// What the kernel has, and what it is told: by the image's own `ip`, which needs only the host's network namespace.
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { parseAddress } from '../../network/address.ts';
import { run } from './host-command.ts';
import type {
  Altname,
  HeldAddress,
  Ipv6,
  Link,
  LinkStep,
  Readiness,
  Route,
  Upper,
  Way,
} from '../host/host.ts';
import { linkLocalOf, NO_LINK_LOCAL } from '../host/links.ts';
import { until } from './wait.ts';

export interface RawLink {
  readonly ifindex?: number;
  readonly ifname: string;
  readonly altnames?: readonly string[];
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
    /** The other end's, of a point-to-point link. */
    readonly address?: string;
    readonly broadcast?: string;
    readonly label?: string;
    readonly metric?: number;
    readonly noprefixroute?: boolean;
    readonly deprecated?: boolean;
    readonly nodad?: boolean;
    /** It runs out: a DHCP server's, or a router's. */
    readonly dynamic?: boolean;
    /** IPv6: the kernel still asks whether it is another machine's, or knows that it is. */
    readonly tentative?: boolean;
    readonly dadfailed?: boolean;
  }[];
}

export interface RawRoute {
  readonly dst?: string;
  /** Who made it: `dhcp`, `ra`, `static`, `bird` … */
  readonly protocol?: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly nexthops?: readonly { readonly gateway?: string; readonly dev?: string }[];
}

/** A bond gives its members its own MAC: the permanent one tells them apart. */
export function readLinks(raw: readonly RawLink[]): Link[] {
  return raw
    .filter(({ link_type, address }) => link_type === 'ether' && address !== undefined)
    .map((link) => {
      // The kernel's own link-local addresses come and go with the link.
      const found = (link.addr_info ?? []).filter(
        ({ local, scope }) => local !== undefined && scope !== 'link',
      );
      const leases = textsOf(found.filter(({ dynamic }) => dynamic === true));
      return {
        name: link.ifname,
        mac: (link.permaddr ?? link.address!).toLowerCase(),
        up: link.flags?.includes('UP') === true,
        mtu: link.mtu ?? 1500,
        addresses: textsOf(found.filter(({ dynamic }) => dynamic !== true)),
        ...(leases.length > 0 && { leases }),
        ...(link.master !== undefined && { master: link.master }),
      };
    });
}

export function readOtherAddresses(raw: readonly RawLink[]): HeldAddress[] {
  return raw
    .filter(({ link_type }) => link_type !== 'ether')
    .flatMap(({ ifname, addr_info = [] }) =>
      textsOf(addr_info).map((address) => ({ address, name: ifname })),
    );
}

/** How far the kernel is with a link and with finding out whether its addresses are another machine's. */
export function readinessOf(mac: string, { flags, addr_info = [] }: RawLink): Readiness {
  const found = addr_info.filter(({ scope }) => scope !== 'link');
  return {
    mac,
    carrier: flags?.includes('LOWER_UP') === true,
    duplicates: textsOf(found.filter(({ dadfailed }) => dadfailed === true)),
    undecided: textsOf(found.filter(({ tentative, dadfailed }) => tentative === true && dadfailed !== true)),
  };
}

function textsOf(addresses: NonNullable<RawLink['addr_info']>): string[] {
  return addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

/** @param root of the host: a pod's own /proc/sys is read-only */
function ipv6File(root: string, name: string, key: string): string {
  return join(root, 'proc/sys/net/ipv6/conf', name, key);
}

/** undefined: the kernel does no IPv6 there (disabled, or an MTU below 1280), or knows no such settings. */
export function readIpv6(root: string, name: string): Ipv6 | undefined {
  const read = (key: string): number => Number(readFileSync(ipv6File(root, name, key), 'utf8'));
  try {
    if (read('disable_ipv6') === 1) return undefined;
    return { acceptRa: read('accept_ra'), addrGenMode: read('addr_gen_mode') };
  } catch {
    return undefined;
  }
}

export async function setIpv6(
  root: string,
  { name, mac, up, ipv6 }: Link,
  step: LinkStep & { op: 'ipv6' },
): Promise<void> {
  const { acceptRa, addrGenMode } = step;
  try {
    writeFileSync(ipv6File(root, name, 'accept_ra'), `${acceptRa}\n`);
    if (addrGenMode === ipv6?.addrGenMode) return;
    writeFileSync(ipv6File(root, name, 'addr_gen_mode'), `${addrGenMode}\n`);
  } catch (error) {
    throw refused(step, (error as Error).message);
  }
  // The kernel makes it when it is told to, also on a link that is down, where nothing flushes it, and never takes it
  // away. It may have none, or one of another making.
  if (addrGenMode === NO_LINK_LOCAL || !up)
    await run(['ip', 'addr', 'del', `${linkLocalOf(mac)}/64`, 'dev', name]);
}

export function readAltnames(raw: readonly RawLink[]): Altname[] {
  return raw.flatMap(({ ifname, altnames = [] }) => altnames.map((altname) => ({ altname, name: ifname })));
}

const STACKED: ReadonlySet<string> = new Set(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap']);

export function readUppers(raw: readonly RawLink[]): Upper[] {
  return raw.flatMap(({ ifname, link, linkinfo }) =>
    link !== undefined && STACKED.has(linkinfo?.info_kind ?? '') ? [{ name: ifname, lower: link }] : [],
  );
}

/** Of routes that a DHCP server or a router made. */
const GIVEN: ReadonlySet<string> = new Set(['dhcp', 'ra', 'redirect']);

/**
 * What a NIC got from its network (addresses, routes) is neither the node's nor anybody's, and goes once the NIC is
 * configured: it counts for nothing, unless the NIC is the node's way out.
 * - Of a profile that NetworkManager made by itself nothing counts, unless the node's only ways out are such NICs.
 * - Of others, all routes of the NIC that the first default route leads through.
 * - Of any, the routes that somebody wrote.
 * @param families routes of IPv4 and of IPv6, each in the kernel's order
 */
export function withoutAutomatic(
  raw: readonly RawLink[],
  families: readonly (readonly RawRoute[])[],
  automatic: ReadonlySet<string>,
): { links: Link[]; routes: Route[] } {
  const ways = families.flat().filter(isDefault).flatMap(devsOf);
  const needed = new Set(ways.every((dev) => automatic.has(dev)) ? ways : []);
  const passing = automatic.difference(needed);
  const links = raw.map((link) =>
    passing.has(link.ifname)
      ? { ...link, addr_info: (link.addr_info ?? []).filter(({ dynamic }) => dynamic !== true) }
      : link,
  );
  const routes = families.flatMap((family) => {
    const left = family.filter((route) => !isGiven(route) || !devsOf(route).some((dev) => passing.has(dev)));
    const counting = new Set([...left.filter(isDefault).slice(0, 1).flatMap(devsOf), ...automatic]);
    return left.filter((route) => !isGiven(route) || devsOf(route).some((dev) => counting.has(dev)));
  });
  return { links: readLinks(links), routes: readRoutes(routes) };
}

function isGiven({ protocol = '' }: RawRoute): boolean {
  return GIVEN.has(protocol);
}

function isDefault({ dst }: RawRoute): boolean {
  return dst === 'default';
}

function devsOf({ dev, nexthops }: RawRoute): string[] {
  return (nexthops ?? [{ dev }]).flatMap((hop) => hop.dev ?? []);
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

interface RawWay {
  readonly dst?: string;
  /** `::` where IPv6 leaves the choice to the kernel. */
  readonly from?: string;
  readonly gateway?: string;
  readonly dev?: string;
}

/** Reads all ways by one process. @returns none for a name, and for what nothing leads to */
export async function readWays(asked: readonly Pick<Way, 'to' | 'from'>[]): Promise<Way[]> {
  const questions = asked.flatMap(({ to, from }) => {
    const target = parseAddress(to)?.text;
    return target === undefined ? [] : [`route get ${target}${from === undefined ? '' : ` from ${from}`}\n`];
  });
  if (questions.length === 0) return [];
  const { stdout } = await run(['ip', '-j', '-force', '-batch', '-'], undefined, questions.join(''));
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : readWay(line)));
}

/** An answer repeats its question: the destination and the source. */
function readWay(answer: string): Way[] {
  return (JSON.parse(answer) as RawWay[]).flatMap(({ dst, from = '::', gateway, dev }) =>
    dst === undefined || dev === undefined
      ? []
      : [{ to: dst, ...(from !== '::' && { from }), dev, ...(gateway !== undefined && { via: gateway }) }],
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
  const entry = async (): Promise<RawNeighbour | undefined> =>
    (await ip<RawNeighbour>('neigh', 'show', address, 'dev', name))[0];
  const written = await entry();
  // Somebody wrote it, and the kernel asks nobody.
  if (isIn(written, WRITTEN_STATES)) return written?.lladdr;
  const table = address.includes(':') ? 'ndisc_cache' : 'arp_cache';
  const [{ retrans } = {}] = await ip<{ retrans?: number }>('ntable', 'show', 'dev', name, 'name', table);
  const askEvery = (ms: number): Promise<unknown> =>
    run(['ip', 'ntable', 'change', 'name', table, 'dev', name, 'retrans', String(ms)]);
  await askEvery(ARP_RETRANS_MS);
  try {
    // What the kernel knows from before is no answer.
    await run(['ip', 'neigh', 'del', address, 'dev', name]);
    const question = ['neigh', 'replace', address, 'dev', name, 'nud', 'none', 'use'];
    const { code, stderr } = await run(['ip', ...question]);
    if (code !== 0) throw unreadable(question, stderr);
    let holder: string | undefined;
    await until(ARP_MS, async () => {
      const now = await entry();
      holder = isIn(now, KNOWN_STATES) ? now?.lladdr : undefined;
      return holder !== undefined || now?.state?.includes('FAILED') === true;
    });
    return holder;
  } finally {
    await run(['ip', 'neigh', 'del', address, 'dev', name]);
    // Ours is what a killed agent left.
    await askEvery(retrans === undefined || retrans === ARP_RETRANS_MS ? KERNEL_RETRANS_MS : retrans);
  }
}

function isIn(entry: RawNeighbour | undefined, states: ReadonlySet<string>): boolean {
  return entry?.state?.some((state) => states.has(state)) === true;
}

/**
 * A question names who asks: a NIC without an address asks by the node's own, and whoever hears that takes this NIC's MAC
 * for the node's. So it gets one of the link's own (RFC 3927) meanwhile, that goes by itself if this process dies.
 */
export async function withAddress<T>(mac: string, name: string, ask: () => Promise<T>): Promise<T> {
  const [link] = await ip<RawLink>('addr', 'show', 'dev', name);
  if (link?.addr_info?.some(({ family }) => family === 'inet') === true) return ask();
  const [high = 0, low = 0] = mac
    .split(':')
    .slice(-2)
    .map((byte) => Number.parseInt(byte, 16));
  // Not 169.254.169.254, of the metadata service, nor what CNIs have for DNS in 169.254.20 and 25.
  const own = [`169.254.${100 + (high % 60)}.${low}/32`, 'dev', name];
  await run(['ip', 'addr', 'add', ...own, 'scope', 'link', 'valid_lft', '10', 'preferred_lft', '10']);
  try {
    return await ask();
  } finally {
    await run(['ip', 'addr', 'del', ...own]);
  }
}

const ARP_RETRANS_MS = 100;
const KERNEL_RETRANS_MS = 1_000;
const ARP_MS = 1_000;
const KNOWN_STATES: ReadonlySet<string> = new Set(['REACHABLE', 'STALE', 'DELAY', 'PROBE']);
const WRITTEN_STATES: ReadonlySet<string> = new Set(['PERMANENT', 'NOARP']);

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

export function refused(step: LinkStep, why: string): MultinicError {
  return new MultinicError(
    'LinkRefused',
    `${step.op} of ${step.mac}: ${why}; look at \`ip link\` on the node`,
    {
      data: { step },
    },
  );
}
