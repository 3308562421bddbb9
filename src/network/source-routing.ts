// Source routing makes a NIC answer by itself: rules by the NIC's addresses, a table of its own, and settings of the
// kernel. The forms were measured on real nodes (docs/decisions/0035-source-routing.md).

import { networkAddress, parseCidr, width, type Cidr } from './address.ts';
import { cidrsOf, indexOfName, type Interface, type Route } from './interface.ts';

/** First routing table of ours. multinicN has table FIRST_TABLE + N. */
export const FIRST_TABLE = 20_000;
/** All NICs share the priorities, because the `from` of their rules differs. */
export const PRIORITIES = { own: 20_000, main: 20_001, last: 20_002 } as const;
/**
 * Lowest metric of our connected routes. Routes of primary NICs have 100 (netplan with DHCP, NetworkManager) or none.
 */
const YIELD_METRIC = 1_000;
/** Range of the metrics that NICs get by their index. */
export const METRICS = { first: YIELD_METRIC, last: YIELD_METRIC + 9_999 } as const;

export type Table = number | 'main';

export interface Rule {
  readonly family: 4 | 6;
  /** One address: `192.0.2.10/32`. */
  readonly from: string;
  readonly table: Table;
  readonly priority: number;
  /** 0: the rule takes no default route from its table. */
  readonly suppressPrefixLength?: 0;
}

export interface TableRoute {
  readonly family: 4 | 6;
  /** A subnet, or `default`. */
  readonly to: string;
  readonly table: Table;
  readonly via?: string;
  readonly src?: string;
  readonly scope?: 'link';
  /** Routes of a table of ours have none. */
  readonly metric?: number;
}

/** The state of the kernel that a NIC needs beside its addresses. */
export interface Routing {
  /** Empty without source routing. */
  readonly rules: readonly Rule[];
  /** Routes of the NIC's own table (only with source routing), and the CR's `routes` in the main table. */
  readonly routes: readonly TableRoute[];
  /** Settings by their name as `sysctl` writes it; empty without source routing, and for a NIC without IPv4. */
  readonly sysctls: ReadonlyMap<string, string>;
}

/** The routing table of a NIC; the name must be a managed name. */
export function tableOf(name: string): number {
  return FIRST_TABLE + (indexOfName(name) ?? 0);
}

/**
 * The metric of a NIC's routes in the main table. Each NIC has a metric of its own, so that the order of two routes to
 * one subnet stays the same.
 */
export function metricOf(name: string): number {
  return YIELD_METRIC + (indexOfName(name) ?? 0);
}

/**
 * Rules, routes and settings of a NIC. The connected routes in the main table are not among the routes: they come with
 * the addresses, with the metric of `metricOf`.
 */
export function routingOf(nic: Interface): Routing {
  const main = (nic.routes ?? []).map((route) => mainRoute(nic, route));
  if (nic.sourceRouting !== true) return { rules: [], routes: main, sysctls: new Map() };
  const cidrs = cidrsOf(nic).flatMap((text) => parseCidr(text) ?? []);
  return {
    rules: cidrs.flatMap((cidr) => rulesOf(nic, cidr)),
    routes: [...ownRoutes(nic, cidrs), ...main],
    sysctls: cidrs.some(({ family }) => family === 4) ? sysctlsOf(nic.name) : new Map(),
  };
}

/**
 * Without a gateway one rule is enough: a destination that the table lacks falls through to the main table. With a
 * gateway three rules are needed, because the table's default route would hide pods and Services from the address.
 */
function rulesOf(nic: Interface, { family, text }: Cidr): Rule[] {
  const from = `${text}/${width({ family })}`;
  const table = tableOf(nic.name);
  const last: Rule = { family, from, table, priority: PRIORITIES.last };
  if (gatewayOf(nic, family) === undefined) return [last];
  return [
    { family, from, table, priority: PRIORITIES.own, suppressPrefixLength: 0 },
    { family, from, table: 'main', priority: PRIORITIES.main, suppressPrefixLength: 0 },
    last,
  ];
}

/** A rule as `ip rule` and NetworkManager write it. */
export function ruleText({ from, table, priority, suppressPrefixLength }: Rule): string {
  const suppress = suppressPrefixLength === undefined ? '' : ` suppress_prefixlength ${suppressPrefixLength}`;
  return `priority ${priority} from ${from} table ${table === 'main' ? MAIN_TABLE : table}${suppress}`;
}

/** The number of the main table. Not every reader knows the table by name. */
export const MAIN_TABLE = 254;

export function gatewayOf(nic: Pick<Interface, 'gateway' | 'gateway6'>, family: 4 | 6): string | undefined {
  return family === 4 ? nic.gateway : nic.gateway6;
}

function ownRoutes(nic: Interface, cidrs: readonly Cidr[]): TableRoute[] {
  const table = tableOf(nic.name);
  const defaults = ([4, 6] as const).flatMap((family): TableRoute[] => {
    const via = gatewayOf(nic, family);
    return via === undefined ? [] : [{ family, to: 'default', table, via }];
  });
  const given = (nic.routes ?? []).map(({ to, via }): TableRoute => ({
    family: familyOf(to),
    to,
    table,
    via,
  }));
  return [...connectedRoutes(cidrs, table), ...given, ...defaults];
}

/** One route for each subnet; its first address is the source. IPv6 has no scope and chooses the source by itself. */
function connectedRoutes(cidrs: readonly Cidr[], table: Table): TableRoute[] {
  const routes = new Map<string, TableRoute>();
  for (const cidr of cidrs) {
    const { family, prefix, text: src } = cidr;
    const to = `${networkAddress(cidr)}/${prefix}`;
    if (prefix === width(cidr) || routes.has(to)) continue;
    routes.set(to, { family, to, table, ...(family === 4 && { src, scope: 'link' as const }) });
  }
  return [...routes.values()];
}

/**
 * The connected routes of a NIC with source routing in the main table, for files whose address entries make none. Their
 * metric puts them after the connected routes of any other NIC.
 */
export function connectedInMain(nic: Interface): TableRoute[] {
  if (nic.sourceRouting !== true) return [];
  const cidrs = cidrsOf(nic).flatMap((text) => parseCidr(text) ?? []);
  return connectedRoutes(cidrs, 'main').map((route) => ({ ...route, metric: metricOf(nic.name) }));
}

function mainRoute(nic: Interface, { to, via, metric = metricOf(nic.name) }: Route): TableRoute {
  return { family: familyOf(to), to, table: 'main', via, metric };
}

function familyOf(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}

/**
 * Loose reverse path filter; ARP answers and announcements of the NIC's own addresses only. The kernel takes the
 * larger of a NIC's value and the value of `all`, so `all` stays as it is.
 */
function sysctlsOf(name: string): ReadonlyMap<string, string> {
  const key = `net.ipv4.conf.${name}`;
  return new Map([
    [`${key}.rp_filter`, '2'],
    [`${key}.arp_ignore`, '1'],
    [`${key}.arp_announce`, '2'],
  ]);
}
