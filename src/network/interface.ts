// One NIC as a node should have it, and the order and equality of such NICs. Pure values, no I/O.

import type { Mac } from './mac.ts';

/**
 * A secondary NIC as a node's files describe it. Normalised: MAC lower case with colons, address in its
 * canonical text (RFC 5952 for IPv6) without prefix.
 */
export interface Interface {
  /** `multinic0`… */
  readonly name: string;
  readonly mac: Mac;
  /** Absent: a link-only NIC, which has a name and an MTU, and leaves its addresses to other software. */
  readonly address?: string;
  /** Absent together with `address`. */
  readonly prefix?: number;
  readonly mtu: number;
  /** ID of the OpenStack port. The file has the ID as a comment; the ID identifies nothing. */
  readonly portId?: string;
  /**
   * Permission to take over a NIC that a foreign file configures with more than DHCP. The file has the permission as a
   * comment.
   */
  readonly takeover?: true;
  /** Addresses beside `address`, of either family: canonical `address/prefix`, sorted, each once. */
  readonly furtherAddresses?: readonly string[];
  /** Next hop of the NIC's own default route, in IPv4. */
  readonly gateway?: string;
  /** Next hop of the NIC's own default route, in IPv6. */
  readonly gateway6?: string;
  /** Networks behind gateways of the NIC's subnets, in the order of `compareRoutes`. */
  readonly routes?: readonly Route[];
  /**
   * The resolved setting. True: packets from the NIC's addresses leave by the NIC, through rules and a table of its
   * own.
   */
  readonly sourceRouting?: true;
  /** Source routing as the CR states it; absent: the CR does not. The file keeps the value as a comment. */
  readonly statedSourceRouting?: boolean;
  /** netplan only: the key under `ethernets` when another file already describes the NIC under that ID. */
  readonly netplanId?: string;
}

/** A network behind a gateway. */
export interface Route {
  /** Canonical subnet with its prefix; never a default route. */
  readonly to: string;
  readonly via: string;
  /** Metric in the main table; absent: the metric of the NIC (`metricOf`). */
  readonly metric?: number;
}

/** Fields that only the controller resolves or the host reports, so no CR has them. */
type Found = 'name' | 'netplanId' | 'sourceRouting' | 'statedSourceRouting';

/** One interface of a CR's entry: an `Interface` that has a name only if the CR states one. */
export interface WantedInterface extends Omit<Interface, Found> {
  readonly name?: string;
  /** Source routing as the CR states it; absent: `auto`. */
  readonly sourceRouting?: boolean;
}

type Addressed = Pick<Interface, 'address' | 'prefix' | 'furtherAddresses'>;

/** Whether a NIC is link-only: other software uses it, and it has no address of the node. */
export function isLinkOnly({ address }: Pick<Interface, 'address'>): boolean {
  return address === undefined;
}

/** `address` with its prefix; undefined: a link-only NIC. */
export function ownCidrOf({ address, prefix }: Omit<Addressed, 'furtherAddresses'>): string | undefined {
  return address === undefined ? undefined : `${address}/${prefix}`;
}

/** All addresses of a NIC, without prefixes. */
export function addressesOf(nic: Addressed): readonly string[] {
  return cidrsOf(nic).map((text) => text.slice(0, text.indexOf('/')));
}

/** All addresses of a NIC, with prefixes; `address` is the first. A link-only NIC has none. */
export function cidrsOf(nic: Addressed): readonly string[] {
  return [ownCidrOf(nic) ?? [], nic.furtherAddresses ?? []].flat();
}

/** The order of `routes`: by code units, which is the same everywhere. */
export function compareRoutes(a: Route, b: Route): number {
  const [one, other] = [a, b].map(({ to, via, metric = 0 }) => `${to} ${via} ${metric}`);
  return one! < other! ? -1 : Number(one! > other!);
}

/** A node's NICs, sorted by index of their names. */
export type Network = readonly Interface[];

export const MAX_INTERFACES = 32;
/** All addresses of a NIC, `address` among them. */
export const MAX_ADDRESSES = 16;
export const MAX_ROUTES = 64;
export const DEFAULT_MTU = 1500;
export const MIN_MTU = 68;
export const MAX_MTU = 9000;
/** RFC 8200: a link with a smaller MTU carries no IPv6, and the kernel drops its addresses. */
export const MIN_IPV6_MTU = 1280;

/** Four digits: `multinic9999` still fits the kernel's 15 characters. */
const NAME = /^multinic(0|[1-9][0-9]{0,3})$/;

/** The N of `multinicN`; undefined: the text is no managed name. */
export function indexOfName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function nameOfIndex(index: number): string {
  return `multinic${index}`;
}

/** The order of a `Network`; all names must be managed names. */
export function byIndex(a: { readonly name: string }, b: { readonly name: string }): number {
  return (indexOfName(a.name) ?? 0) - (indexOfName(b.name) ?? 0);
}

/**
 * Whether a network is what a CR asks for, matched by MAC. Names count only if the CR states one, and a source routing
 * that `auto` resolved does not count.
 */
export function satisfies(network: Network, wanted: readonly WantedInterface[]): boolean {
  if (network.length !== wanted.length) return false;
  const byMac = new Map(network.map((nic) => [nic.mac, nic]));
  return wanted.every((want) => {
    const nic = byMac.get(want.mac);
    if (nic === undefined || (want.name !== undefined && want.name !== nic.name)) return false;
    return wordsOf(wantedOf(nic)) === wordsOf(want);
  });
}

/** The CR's interface that would give this NIC, without a name. */
export function wantedOf(nic: Interface): WantedInterface {
  const { name: _, netplanId: _id, sourceRouting: _resolved, statedSourceRouting, ...rest } = nic;
  return { ...rest, ...(statedSourceRouting !== undefined && { sourceRouting: statedSourceRouting }) };
}

/**
 * `words`: the same CR describes both networks. `host`: both are also the same on the wire, so resolved source routing
 * counts; their files may still differ in ports and netplan IDs.
 */
export type Level = 'words' | 'host';

/** Whether two networks are the same. NICs are matched by MAC; names, ports and netplan IDs are ignored. */
export function sameNetwork(a: Network, b: Network, level: Level = 'words'): boolean {
  if (a.length !== b.length) return false;
  const byMac = new Map(a.map((nic) => [nic.mac, nic]));
  return b.every((nic) => {
    const other = byMac.get(nic.mac);
    return other !== undefined && sameInterface(other, nic, level);
  });
}

export function sameInterface(a: Interface, b: Interface, level: Level): boolean {
  if (level === 'host' && a.sourceRouting !== b.sourceRouting) return false;
  return wordsOf(wantedOf(a)) === wordsOf(wantedOf(b));
}

/** Everything that a CR states about a NIC except name and port, as a canonical text. */
function wordsOf(nic: WantedInterface): string {
  const routes = nic.routes?.map(({ to, via, metric }) => [to, via, metric ?? null]);
  return JSON.stringify([
    ownCidrOf(nic) ?? null,
    nic.mtu,
    nic.takeover ?? null,
    nic.furtherAddresses ?? null,
    nic.gateway ?? null,
    nic.gateway6 ?? null,
    routes ?? null,
    nic.sourceRouting ?? null,
  ]);
}
