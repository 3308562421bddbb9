// Rules for gateways and routes of a node's NICs.

import type { Problem } from '../api/errors.ts';
import {
  contains,
  isLinkLocal,
  networkAddress,
  parseAddress,
  parseCidr,
  reserved,
  unusable,
  type Cidr,
} from './address.ts';
import type { Add, Field, Nic } from './check.ts';
import { cidrsOf, MAX_ROUTES, type Route } from './interface.ts';
import { METRICS } from './source-routing.ts';

/**
 * Shortest prefix of a route, as private networks have it (8 and 7). A shorter prefix would be part of a default route.
 */
const MIN_ROUTE_PREFIX = { 4: 8, 6: 7 } as const;
const MAX_METRIC = 0xffffffff;

/** Judges the routing of one NIC by itself. */
export function checkRouting(nic: Nic, add: Add): void {
  const own = cidrsOf(nic).flatMap((text) => parseCidr(text) ?? []);
  for (const [field, family] of [['gateway', 4] as const, ['gateway6', 6] as const]) {
    const text = nic[field];
    if (text !== undefined) checkGateway(text, family, field, own, add);
  }
  const stated = 'statedSourceRouting' in nic ? nic.statedSourceRouting : nic.sourceRouting;
  const field = nic.gateway === undefined ? 'gateway6' : 'gateway';
  if (stated === false && nic[field] !== undefined) {
    const message = `${nic[field]} works only with source routing, and sourceRouting is false; remove one of the two`;
    add(field, 'GatewayUnused', message);
  }
  const routes = nic.routes ?? [];
  if (routes.length > MAX_ROUTES) {
    const message = `a NIC may have ${MAX_ROUTES} routes, here are ${routes.length}; remove some`;
    add('routes', 'TooManyRoutes', message);
    return;
  }
  for (const route of routes) checkRoute(route, own, add);
}

function checkGateway(
  text: string,
  family: 4 | 6,
  field: 'gateway' | 'gateway6' | 'routes',
  own: readonly Cidr[],
  add: Add,
): void {
  const gateway = parseAddress(text);
  const refuse = (why: string): void =>
    add(field, 'InvalidGateway', `${text} ${why}; write the address of the router`);
  if (gateway === undefined || gateway.family !== family) return refuse(`is no IPv${family} address`);
  if (isLinkLocal(gateway)) {
    const message = `${text} is a link-local address, which every network has; write an address of the router in a subnet of the NIC`;
    return add(field, 'LinkLocalAddress', message);
  }
  const use = unusable(gateway);
  if (use !== undefined) return refuse(`is ${use}`);
  if (own.some((cidr) => cidr.text === gateway.text)) return refuse('is an address of the NIC itself');
  const subnet = own.find((cidr) => contains(cidr, gateway));
  if (subnet === undefined) {
    const message = `${text} is in no subnet of the NIC (${own.map((cidr) => `${cidr.text}/${cidr.prefix}`).join(', ')}); write a gateway of such a subnet`;
    return add(field, 'GatewayOutsideSubnet', message);
  }
  const role = reserved({ ...gateway, prefix: subnet.prefix });
  if (role !== undefined) refuse(`is the ${role} address of the subnet`);
}

function checkRoute({ to, via, metric }: Route, own: readonly Cidr[], add: Add): void {
  const cidr = parseCidr(to);
  if (cidr === undefined || `${networkAddress(cidr)}/${cidr.prefix}` !== to) {
    add('routes', 'InvalidRoute', `${JSON.stringify(to)} is no network; write one such as 10.20.0.0/16`);
    return;
  }
  if (cidr.prefix < MIN_ROUTE_PREFIX[cidr.family]) {
    const message = `${to} is a default route or a part of one, which would take the node's own traffic; use gateway for what leaves from the NIC's addresses`;
    add('routes', 'DefaultInRoutes', message);
    return;
  }
  const use = unusable(cidr) ?? (isLinkLocal(cidr) ? 'a link-local network' : undefined);
  if (use !== undefined) add('routes', 'InvalidRoute', `${to} is ${use}; write another network`);
  checkGateway(via, cidr.family, 'routes', own, add);
  if (metric === undefined) return;
  const taken = metric >= METRICS.first && metric <= METRICS.last;
  if (taken || !Number.isInteger(metric) || metric < 1 || metric > MAX_METRIC) {
    const message = `metric ${metric} of ${to} is ${taken ? 'one of those that NICs have by themselves' : 'out of range'}; write 1 to ${METRICS.first - 1} or ${METRICS.last + 1} to ${MAX_METRIC}, or leave it out`;
    add('routes', 'InvalidRoute', message);
  }
}

/** Judges the routes of all NICs of a node together. */
export function checkRoutes(nics: readonly Nic[], at: (index: number, field: Field) => string): Problem[] {
  const problems: Problem[] = [];
  const subnets = new Subnets(nics);
  const firsts = new Map<string, string>();
  for (const [index, { routes = [] }] of nics.entries()) {
    const path = at(index, 'routes');
    const seen = new Set<string>();
    for (const { to, metric } of routes.slice(0, MAX_ROUTES)) {
      const key = metric === undefined ? undefined : `${to} ${metric}`;
      const other = key === undefined ? undefined : firsts.get(key);
      if (seen.has(to) || other !== undefined) {
        const message = `the network ${to} is there twice${other === undefined ? '' : `, with metric ${metric} also at ${other}`}; remove one, or give it another metric`;
        problems.push({ path, code: 'DuplicateRoute', message });
      } else if (key !== undefined) firsts.set(key, path);
      seen.add(to);
      const into = subnets.around(to);
      if (into === undefined) continue;
      const message = `${to} leads into ${into.subnet} of ${at(into.index, 'address')}, which is reached without a gateway; remove the route, or write another network`;
      problems.push({ path, code: 'RouteIntoSubnet', message });
    }
  }
  return problems;
}

/**
 * The subnets of all NICs of a node, by their texts. The index pays, because a node may have 512 subnets and 2,048
 * routes.
 */
class Subnets {
  readonly #indexes = new Map<string, number>();
  readonly #prefixes = new Set<string>();

  constructor(nics: readonly Nic[]) {
    for (const [index, nic] of nics.entries()) {
      for (const text of cidrsOf(nic)) {
        const cidr = parseCidr(text);
        if (cidr === undefined) continue;
        this.#indexes.set(subnetOf(cidr, cidr.prefix), index);
        this.#prefixes.add(`${cidr.family} ${cidr.prefix}`);
      }
    }
  }

  /** The subnet that equals a network or contains it. */
  around(network: string): { readonly subnet: string; readonly index: number } | undefined {
    const cidr = parseCidr(network);
    if (cidr === undefined) return undefined;
    for (let prefix = cidr.prefix; prefix > 0; prefix -= 1) {
      if (!this.#prefixes.has(`${cidr.family} ${prefix}`)) continue;
      const subnet = subnetOf(cidr, prefix);
      const index = this.#indexes.get(subnet);
      if (index !== undefined) return { subnet, index };
    }
    return undefined;
  }
}

function subnetOf(cidr: Cidr, prefix: number): string {
  return `${networkAddress({ ...cidr, prefix })}/${prefix}`;
}
