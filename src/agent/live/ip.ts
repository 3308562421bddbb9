// The kernel's links and routes by the image's own `ip`, which needs only the host's network namespace.
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { networkAddress, parseAddress, parseCidr } from '../../network/address.ts';
import { indexOfName } from '../../network/interface.ts';
import { parseMac, type Mac } from '../../network/mac.ts';
import { YIELD_METRIC } from '../files/route-metric.ts';
import { run, stream, type Ended } from '../command/host-command.ts';
import type {
  Altname,
  ConnectedRoute,
  HeldAddress,
  Link,
  LinkStep,
  MtuLimits,
  Readiness,
  Route,
  RouteLookup,
} from '../host/machine.ts';

export interface RawLink {
  readonly ifindex?: number;
  readonly ifname: string;
  readonly altnames?: readonly string[];
  readonly link_type?: string;
  readonly address?: string;
  readonly permaddr?: string;
  readonly flags?: readonly string[];
  readonly mtu?: number;
  /** MTU limits of the driver; kernels before 4.10 report neither. */
  readonly min_mtu?: number;
  readonly max_mtu?: number;
  readonly master?: string;
  /** Name of the link below, or of a veth's other end. */
  readonly link?: string | null;
  /** Number of the link below, if that link is in another namespace (`link_netnsid`). */
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: {
    readonly info_kind?: string;
    /** Device and own address of a tunnel. */
    readonly info_data?: { readonly link?: string; readonly local?: string; readonly local6?: string };
  };
  readonly addr_info?: readonly {
    readonly family?: string;
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
    /** Address of the other end of a point-to-point link. */
    readonly address?: string;
    readonly broadcast?: string;
    readonly label?: string;
    readonly metric?: number;
    readonly noprefixroute?: boolean;
    readonly deprecated?: boolean;
    readonly nodad?: boolean;
    /** The address has a lifetime: a DHCP server or a router gave it. */
    readonly dynamic?: boolean;
    /** IPv6: duplicate address detection still runs, or found the address on another machine. */
    readonly tentative?: boolean;
    readonly dadfailed?: boolean;
  }[];
}

export interface RawRoute {
  readonly dst?: string;
  /** The software that made the route: `dhcp`, `ra`, `static`, `bird` … */
  readonly protocol?: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly metric?: number;
  readonly nexthops?: readonly { readonly gateway?: string; readonly dev?: string }[];
}

/** Reads links with their permanent MAC, because a bond gives its own MAC to its members. */
export function readLinks(raw: readonly RawLink[]): Link[] {
  return raw
    .filter(({ link_type }) => link_type === 'ether')
    .flatMap((link) => {
      const mac = parseMac(link.permaddr ?? link.address ?? '');
      if (mac === undefined) return [];
      // The kernel's own link-local addresses come and go with the link.
      const found = (link.addr_info ?? []).filter(
        ({ local, scope }) => local !== undefined && scope !== 'link',
      );
      const leases = textsOf(found.filter(({ dynamic }) => dynamic === true));
      return [
        {
          name: link.ifname,
          mac,
          up: link.flags?.includes('UP') === true,
          mtu: link.mtu ?? 1500,
          addresses: textsOf(found.filter(({ dynamic }) => dynamic !== true)),
          ...(leases.length > 0 && { leases }),
          ...(link.master !== undefined && { master: link.master }),
          ...(isSoftware(link) && { software: true }),
        },
      ];
    });
}

/** Kinds of links that stand for a NIC: pairs of links, of which one may be in another machine. */
const NIC_KINDS: ReadonlySet<string> = new Set(['veth', 'netkit']);

function isSoftware({ linkinfo }: RawLink): boolean {
  const kind = linkinfo?.info_kind;
  return kind !== undefined && !NIC_KINDS.has(kind);
}

export function readOtherAddresses(raw: readonly RawLink[]): HeldAddress[] {
  return raw
    .filter(({ link_type }) => link_type !== 'ether')
    .flatMap(({ ifname, addr_info = [] }) =>
      textsOf(addr_info).map((address) => ({ address, name: ifname })),
    );
}

/** The permanent global addresses of a link, in the words of `ip addr add`. */
export function addressesOf({ ifname, addr_info = [] }: RawLink): string[] {
  return addr_info.flatMap((each) => {
    const { local, prefixlen, address, broadcast, label, metric, noprefixroute, deprecated, nodad } = each;
    if (local === undefined || each.scope !== 'global' || each.dynamic === true) return [];
    const words = [
      address === undefined ? `${local}/${prefixlen}` : `${local} peer ${address}/${prefixlen}`,
      broadcast && `brd ${broadcast}`,
      metric && `metric ${metric}`,
      label !== undefined && label !== ifname && `label ${label}`,
      noprefixroute === true && 'noprefixroute',
      nodad === true && 'nodad',
      deprecated === true && 'preferred_lft 0',
    ];
    return [`${words.filter(Boolean).join(' ')} dev ${ifname}`];
  });
}

/** Carrier and duplicate address detection of a link, as the kernel tells them. */
export function readinessOf(mac: Mac, { flags, addr_info = [] }: RawLink): Readiness {
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

export function readAltnames(raw: readonly RawLink[]): Altname[] {
  return raw.flatMap(({ ifname, altnames = [] }) => altnames.map((altname) => ({ altname, name: ifname })));
}

export function readMtuLimits(raw: readonly RawLink[]): MtuLimits[] {
  return raw.flatMap(({ ifname, min_mtu, max_mtu }) =>
    min_mtu === undefined || max_mtu === undefined ? [] : [{ name: ifname, min: min_mtu, max: max_mtu }],
  );
}

export function isDefault({ dst }: RawRoute): boolean {
  return dst === 'default';
}

/** Routes with a gateway, and default routes. Other routes follow from addresses, or belong to pods. */
export function readRoutes(raw: readonly RawRoute[]): Route[] {
  return raw.flatMap(({ dst = '', gateway, dev, nexthops }) =>
    (nexthops ?? [{ gateway, dev }]).flatMap((hop): Route[] => {
      if (hop.dev === undefined || (hop.gateway === undefined && dst !== 'default')) return [];
      return [{ to: dst, dev: hop.dev, ...(hop.gateway !== undefined && { via: hop.gateway }) }];
    }),
  );
}

interface RawLookup {
  readonly dst?: string;
  /** `::` where IPv6 leaves the choice to the kernel. */
  readonly from?: string;
  readonly gateway?: string;
  readonly dev?: string;
}

/** Looks up all routes with one process. @returns nothing for a host name, nor for an address without a route */
export async function lookUpRoutes(
  asked: readonly Pick<RouteLookup, 'to' | 'from'>[],
): Promise<RouteLookup[]> {
  const questions = asked.flatMap(({ to, from }) => {
    const target = parseAddress(to)?.text;
    return target === undefined ? [] : [`route get ${target}${from === undefined ? '' : ` from ${from}`}`];
  });
  if (questions.length === 0) return [];
  const { stdout } = await batch(questions, '-j', '-force');
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : readLookup(line)));
}

/** Reads one answer, which repeats the destination and the source of its question. */
function readLookup(answer: string): RouteLookup[] {
  return (JSON.parse(answer) as RawLookup[]).flatMap(({ dst, from = '::', gateway, dev }) =>
    dst === undefined || dev === undefined
      ? []
      : [{ to: dst, ...(from !== '::' && { from }), dev, ...(gateway !== undefined && { via: gateway }) }],
  );
}

/**
 * Routes to subnets of links, in the kernel's order; routes to a single address belong to pods and gateways, and are
 * left out.
 */
export function readConnected(raw: readonly RawRoute[]): ConnectedRoute[] {
  return raw.flatMap(({ dst = '', gateway, dev, metric = 0 }) =>
    gateway === undefined && dev !== undefined && dst.includes('/') ? [{ to: dst, dev, metric }] : [],
  );
}

/** Adds to a link the list of its addresses whose connected route yields to the routes of other links. */
export function withYields(link: Link, connected: readonly ConnectedRoute[]): Link {
  const own = connected.filter(({ dev }) => dev === link.name);
  if (own.length === 0) return link;
  const yields = link.addresses.filter((address) => {
    const routes = own.filter(({ to }) => to === subnetOf(address));
    // A second route without a metric would come before the route with the metric. Old versions of networkd make such a
    // route at boot.
    return routes.some(isYielding) && (routes.every(isYielding) || !isBeside(connected, subnetOf(address)));
  });
  return yields.length === 0 ? link : { ...link, yields };
}

function isYielding({ metric }: ConnectedRoute): boolean {
  return metric >= YIELD_METRIC;
}

/** Whether a link that is not ours has a route to the subnet. */
function isBeside(connected: readonly ConnectedRoute[], subnet: string | undefined): boolean {
  return connected.some(({ to, dev }) => to === subnet && indexOfName(dev) === undefined);
}

function subnetOf(address: string): string | undefined {
  const cidr = parseCidr(address);
  return cidr && `${networkAddress(cidr)}/${cidr.prefix}`;
}

/**
 * Protocols of routes that last: their numbers and the names that `ip` prints. `ip` prints no protocol in an answer
 * that is filtered by protocol, so the reader adds the name.
 */
const LASTING: readonly (readonly [number, string])[] = [
  [1, 'redirect'],
  [2, 'kernel'],
  [4, 'static'],
  [9, 'ra'],
  [16, 'dhcp'],
];

/**
 * Default routes in the kernel's order, then all other routes that last. Routes of daemons, CNIs and people may end at
 * any time and a node may have 100,000 of them, so the kernel leaves them out.
 */
export async function readMainRoutes(family: '-4' | '-6'): Promise<RawRoute[]> {
  // The kernel lists IPv6 default routes last, so only `ip` can choose them.
  const defaults =
    family === '-4'
      ? readFirstDefaults()
      : ip<RawRoute>('-6', 'route', 'show', 'table', 'main', 'exact', 'default');
  return [...(await defaults), ...(await readLasting(family))];
}

/** A route in the JSON of `ip` whose destination does not begin at 0.0.0.0. */
const BEYOND_DEFAULT = /,?\{(?:"type":"\w+",)?"dst":"(?!default"|0\.0\.0\.0)/;

/**
 * IPv4 default routes. The kernel lists IPv4 routes by destination from 0.0.0.0 on, so the listing is ended after the
 * default routes: `ip` would read all routes to choose some.
 */
async function readFirstDefaults(): Promise<RawRoute[]> {
  const args = ['-4', 'route', 'show', 'table', 'main'];
  let text = '';
  let end = -1;
  const { code, stderr } = await stream(['ip', '-j', ...args], (piece) => {
    text += piece;
    end = text.search(BEYOND_DEFAULT);
    return end < 0;
  });
  if (code !== 0) throw unreadable(args, stderr);
  return readDefaults(end < 0 ? text : `${text.slice(0, end)}]`);
}

function readDefaults(json: string): RawRoute[] {
  return json.trim() === '' ? [] : (JSON.parse(json) as RawRoute[]).filter(isDefault);
}

async function readLasting(family: '-4' | '-6'): Promise<RawRoute[]> {
  // Each question has a process: with `-batch` the kernel sends all routes, and `ip` chooses.
  const script = 'for number; do ip -j "$family" route show table main proto "$number" || exit; done';
  const numbers = LASTING.map(([number]) => String(number));
  const { code, stdout, stderr } = await run([
    'env',
    `family=${family}`,
    'sh',
    '-c',
    script,
    'sh',
    ...numbers,
  ]);
  if (code !== 0) throw unreadable([family, 'route', 'show'], stderr);
  const answers = stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as RawRoute[]);
  return LASTING.flatMap(([, protocol], index) =>
    (answers[index] ?? []).filter((route) => !isDefault(route)).map((route) => ({ ...route, protocol })),
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

export async function ip<T>(...args: string[]): Promise<T[]> {
  const { code, stdout, stderr } = await run(['ip', '-j', ...args]);
  if (code !== 0) throw unreadable(args, stderr);
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
}

/**
 * Runs commands of `ip` by one process.
 * @param flags with `-force` a command that fails does not stop the others
 */
export function batch(lines: readonly string[], ...flags: readonly string[]): Promise<Ended> {
  return run(['ip', ...flags, '-batch', '-'], undefined, `${lines.join('\n')}\n`);
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
