// Routing of a NIC in the form of `ip`: the rules for its addresses, its routes, and the kernel's settings. The host
// record keeps these texts, and `ip … add` accepts them.
import { nameOfIndex, type Interface } from '../../network/interface.ts';
import { entriesByMac, type Mac } from '../../network/mac.ts';
import {
  connectedInMain,
  FIRST_TABLE,
  metricOf,
  routingOf,
  type Rule,
  type TableRoute,
} from '../../network/source-routing.ts';

import type { Applied, Pending } from '../files/host-record.ts';
import type { ForeignState } from './foreign-state.ts';

/** The main table's number, as `ip -N` writes it. */
export const MAIN_TABLE = 254;

export interface LinkRouting {
  /** `-4 from 192.0.2.10 lookup 20001 priority 20002`. */
  readonly rules: readonly string[];
  /** `-4 192.0.2.0/24 table 20001 src 192.0.2.10`. The text leaves the link out, because its name may change. */
  readonly routes: readonly string[];
  /** Settings in net.ipv4.conf of the NIC, by their last word: `rp_filter`. */
  readonly sysctls: Readonly<Record<string, number>>;
}

export const NO_ROUTING: LinkRouting = { rules: [], routes: [], sysctls: {} };

/** Routing that the reader of the machine looks for, by MAC. All other rules and routes are foreign. */
export type KnownRouting = ReadonlyMap<Mac, LinkRouting>;

export const NOTHING_KNOWN: KnownRouting = new Map();

/** The routing that a commit asks for, and the routing that files and record show to be ours. */
export function knownRouting(nics: readonly Interface[], applied: Applied | undefined): KnownRouting {
  const all = [
    ...nics.map((nic) => [nic.mac, wantedRouting(nic)] as const),
    ...entriesByMac(applied?.nics ?? {}).flatMap(([mac, { routing, lingering }]) =>
      [routing, lingering?.routing].flatMap((each) => (each === undefined ? [] : [[mac, each] as const])),
    ),
  ];
  const known = Map.groupBy(all, ([mac]) => mac)
    .entries()
    .map(([mac, each]) => [mac, unionOf(each.map(([, routing]) => routing))] as const);
  return new Map(known.filter(([, routing]) => !isEmptyRouting(routing)));
}

/** The routing in a link's target. */
export interface RoutingTarget {
  readonly routing?: LinkRouting;
  /** Rules and routes that the link must not have. */
  readonly unrouted?: Pick<LinkRouting, 'rules' | 'routes'>;
}

/**
 * @param given routing that files and record show to be ours
 * @param before the settings before the NIC got its routing
 */
export function routingTarget(
  wanted: LinkRouting,
  given: LinkRouting,
  before: LinkRouting['sysctls'] = {},
): RoutingTarget {
  if (isEmptyRouting(wanted) && isEmptyRouting(given)) return {};
  const isRouted = Object.keys(wanted.sysctls).length > 0;
  return {
    routing: isRouted ? wanted : { ...wanted, sysctls: before },
    unrouted: unroutedFrom(given, wanted),
  };
}

/**
 * The rules and routes that a NIC loses when its routing changes. A connected route of the main table goes with its
 * address and is not listed, unless networkd made it in IPv6.
 */
export function unroutedFrom(from: LinkRouting, to: LinkRouting): Pick<LinkRouting, 'rules' | 'routes'> {
  const { rules, routes } = onlyIn(from, to);
  const goes = (route: string): boolean => route.startsWith('-6') && to.rules.length > 0;
  return { rules, routes: routes.filter((route) => !isConnectedInMain(route) || goes(route)) };
}

export function isConnectedInMain(route: string): boolean {
  return !route.includes(' via ') && route.includes(` table ${MAIN_TABLE}`);
}

/** The routing that the reader looks for while these targets are set. */
export function routingOfTargets(targets: readonly (RoutingTarget & { readonly mac: Mac })[]): KnownRouting {
  return new Map(
    targets.flatMap(({ mac, routing = NO_ROUTING, unrouted = NO_ROUTING }) => {
      const known = unionOf([routing, { ...NO_ROUTING, ...unrouted }]);
      return isEmptyRouting(known) ? [] : [[mac, known] as const];
    }),
  );
}

export function isEmptyRouting({ rules, routes, sysctls }: LinkRouting): boolean {
  return rules.length === 0 && routes.length === 0 && Object.keys(sysctls).length === 0;
}

/** The routing that a NIC of a commit needs. */
export function wantedRouting(nic: Interface): LinkRouting {
  if (nic.sourceRouting !== true && nic.routes === undefined) return NO_ROUTING;
  const { rules, routes, sysctls } = routingOf(nic);
  return {
    rules: rules.map(ruleText),
    routes: [...routes, ...connectedInMain(nic)].map(routeText),
    sysctls: Object.fromEntries(
      [...sysctls].map(([key, value]) => [key.slice(key.lastIndexOf('.') + 1), Number(value)]),
    ),
  };
}

/** The tables that texts of routes and rules name, without the main table. */
export function tablesOf({ rules, routes }: LinkRouting): number[] {
  const found = [...rules, ...routes].flatMap((text) => / (?:lookup|table) (\d+)/.exec(text)?.[1] ?? []);
  return [...new Set(found.map(Number))].filter((table) => table !== MAIN_TABLE);
}

/** The words of a rule or a route without the flag of its family. */
export function wordsOf(text: string): string {
  return text.slice('-4 '.length);
}

/** The condition of a rule: `-4 from 192.0.2.10`. */
export function sourceOf(rule: string): string {
  return rule.split(' ').slice(0, 3).join(' ');
}

export function ruleText(
  rule: Pick<Rule, 'family' | 'from' | 'table' | 'priority' | 'suppressPrefixLength'>,
): string {
  const suppress =
    rule.suppressPrefixLength === undefined ? '' : ` suppress_prefixlength ${rule.suppressPrefixLength}`;
  return `-${rule.family} from ${withoutWidth(rule.from)} lookup ${numberOf(rule.table)}${suppress} priority ${rule.priority}`;
}

/** Leaves out a metric that the kernel chose, or NetworkManager for a route in a table of ours. */
export function routeText(route: Omit<TableRoute, 'scope'>): string {
  const { family, to, table, via, src, metric } = route;
  const isChosen =
    metric === undefined ||
    (family === 6 && metric === KERNEL_METRIC6) ||
    (typeof table === 'number' && metric === metricOfTable(table));
  return [
    // `ip` writes the route to one address without a width.
    `-${family} ${to.replace(family === 4 ? /\/32$/ : /\/128$/, '')}`,
    ...(via === undefined ? [] : [`via ${via}`]),
    `table ${numberOf(table)}`,
    ...(src === undefined ? [] : [`src ${src}`]),
    ...(isChosen ? [] : [`metric ${metric}`]),
  ].join(' ');
}

function metricOfTable(table: number): number | undefined {
  return table < FIRST_TABLE ? undefined : metricOf(nameOfIndex(table - FIRST_TABLE));
}

/** The kernel's metric of an IPv6 route that names none. */
const KERNEL_METRIC6 = 1024;

function numberOf(table: number | 'main'): number {
  return table === 'main' ? MAIN_TABLE : table;
}

function withoutWidth(from: string): string {
  return from.replace(/\/(32|128)$/, '');
}

interface Routed {
  readonly links: readonly { readonly name: string; readonly routing?: LinkRouting }[];
  readonly routes: readonly { readonly to: string; readonly via?: string; readonly dev: string }[];
}

/** A machine without the routes of the main table that its NICs have from us, which a change may take away. */
export function withoutOwnRoutes<M extends Routed>(machine: M): M {
  const own = new Set(
    machine.links.flatMap(({ name, routing = NO_ROUTING }) =>
      routing.routes.flatMap((text) => {
        const [, to, via] = IN_MAIN_BY_GATEWAY.exec(text) ?? [];
        return to === undefined ? [] : [`${to} ${via} ${name}`];
      }),
    ),
  );
  if (own.size === 0) return machine;
  return { ...machine, routes: machine.routes.filter(({ to, via, dev }) => !own.has(`${to} ${via} ${dev}`)) };
}

const IN_MAIN_BY_GATEWAY = new RegExp(`^-[46] (\\S+) via (\\S+) table ${MAIN_TABLE}\\b`);

/** Joins routings: everything that at least one of them has. */
export function unionOf(routings: readonly LinkRouting[]): LinkRouting {
  return {
    rules: [...new Set(routings.flatMap(({ rules }) => rules))],
    routes: [...new Set(routings.flatMap(({ routes }) => routes))],
    sysctls: Object.assign({}, ...routings.map(({ sysctls }) => sysctls)) as LinkRouting['sysctls'],
  };
}

/** The rules and routes that one routing has and the other lacks. */
export function onlyIn(routing: LinkRouting, other: LinkRouting): Pick<LinkRouting, 'rules' | 'routes'> {
  return {
    rules: routing.rules.filter((rule) => !other.rules.includes(rule)),
    routes: routing.routes.filter((route) => !other.routes.includes(route)),
  };
}

/** The routing that the reader looks for during the undo of a change. */
export function recordedRouting({ links }: Pick<Pending, 'links'>): KnownRouting {
  return routingOfTargets(
    [...links.before, ...links.after].map(({ mac }) => ({
      mac,
      routing: unionOf(
        [...links.before, ...links.after].flatMap((each) => (each.mac === mac ? (each.routing ?? []) : [])),
      ),
    })),
  );
}

/** The routings of recorded links, before and after a change. */
export function routingsOf(links: {
  readonly before: readonly RoutingTarget[];
  readonly after: readonly RoutingTarget[];
}): LinkRouting[] {
  return [...links.before, ...links.after].flatMap(({ routing }) => routing ?? []);
}

export function sameRouting(a: LinkRouting, b: LinkRouting): boolean {
  const isPart = (one: LinkRouting, whole: LinkRouting): boolean => {
    const { rules, routes } = onlyIn(one, whole);
    return rules.length === 0 && routes.length === 0 && Object.keys(settingsApart(whole, one)).length === 0;
  };
  return isPart(a, b) && isPart(b, a);
}

/** The settings of `wanted` that have another value now. */
export function settingsApart(now: LinkRouting, wanted: LinkRouting): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(wanted.sysctls).filter(([key, value]) => now.sysctls[key] !== value),
  );
}

/** Foreign state without our own rules and routes, because a change or its undo sets these itself. */
export function withoutRouting(state: ForeignState, routings: readonly LinkRouting[]): ForeignState {
  if (routings.length === 0) return state;
  const rules = new Set(routings.flatMap((each) => each.rules));
  const routes = new Set(routings.flatMap((each) => each.routes));
  return {
    ...state,
    // `ip` names the protocol of a network manager's rule, and no protocol of our rules.
    rules: state.rules.filter(
      ({ family, text }) => !rules.has(`-${family} ${text.replace(/ proto \S+/, '')}`),
    ),
    routes: state.routes.filter((route) => !routes.has(ofForeign(route.family, route.text))),
  };
}

/** A route in the words of `ip -N route`, as a text of ours. */
function ofForeign(family: 4 | 6, text: string): string {
  const [to = '', ...words] = text.split(/\s+/);
  const valueOf = (key: string): string | undefined => {
    const at = words.indexOf(key);
    return at === -1 ? undefined : words[at + 1];
  };
  const table = Number(valueOf('table') ?? MAIN_TABLE);
  const [via, src, metric] = ['via', 'src', 'metric'].map(valueOf);
  return routeText({
    family,
    to,
    table,
    ...(via !== undefined && { via }),
    ...(src !== undefined && { src }),
    ...(metric !== undefined && { metric: Number(metric) }),
  });
}
