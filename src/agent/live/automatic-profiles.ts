// Automatic profiles: `Wired connection N`, which NetworkManager makes itself for a NIC that has no profile. Recognises
// them, and leaves out the addresses and routes that they bring. files/no-auto-default.ts forbids them,
// network-manager.ts takes one away.
import type { Link, Route } from '../host/machine.ts';
import { isDefault, readLinks, readRoutes, type RawLink, type RawRoute } from './ip.ts';

/**
 * Pattern of the folder in which NetworkManager's builds keep profiles until the next boot. The restore script uses it
 * too.
 */
export const RUNTIME_PROFILES = '(/var)?/run/NetworkManager/';
const RUNTIME = new RegExp(`^${RUNTIME_PROFILES}`);
/** NetworkManager's priority of a profile that it made itself, as nmcli prints it. */
const AUTOMATIC_PRIORITY = '-999';

/** @param file path of the profile on the host */
export function isAutomatic(priority: string | undefined, file: string): boolean {
  return priority === AUTOMATIC_PRIORITY && RUNTIME.test(file);
}

/** Protocols of routes that a DHCP server or a router gave. */
const GIVEN: ReadonlySet<string> = new Set(['dhcp', 'ra', 'redirect']);

/**
 * Ignores addresses and routes that a NIC got by DHCP or from a router: they vanish once the NIC is configured.
 * Exception: the NIC that carries the node's default route.
 * - A NIC with a profile that NetworkManager made by itself keeps them only if all default routes lead through such NICs.
 * - Any other NIC keeps its routes only if it carries the first default route of the family.
 * - Routes that a person or a daemon wrote are never ignored.
 * @param families routes of IPv4 and of IPv6, each in the kernel's order
 */
export function withoutAutomatic(
  raw: readonly RawLink[],
  families: readonly (readonly RawRoute[])[],
  automatic: ReadonlySet<string>,
): { links: Link[]; routes: Route[] } {
  const ignored = ignoredNics(families.flat(), automatic);
  const links = raw.map((link) => (ignored.has(link.ifname) ? withoutLeases(link) : link));
  const routes = families.flatMap((family) => countingRoutes(family, ignored, automatic));
  return { links: readLinks(links), routes: readRoutes(routes) };
}

function ignoredNics(routes: readonly RawRoute[], automatic: ReadonlySet<string>): ReadonlySet<string> {
  const carriers = routes.filter(isDefault).flatMap(devsOf);
  const hasNoOther = carriers.every((dev) => automatic.has(dev));
  return hasNoOther ? automatic.difference(new Set(carriers)) : automatic;
}

function withoutLeases(link: RawLink): RawLink {
  return { ...link, addr_info: (link.addr_info ?? []).filter(({ dynamic }) => dynamic !== true) };
}

function countingRoutes(
  family: readonly RawRoute[],
  ignored: ReadonlySet<string>,
  automatic: ReadonlySet<string>,
): RawRoute[] {
  const left = family.filter((route) => !isGiven(route) || !leadsThrough(route, ignored));
  const primary = left.filter(isDefault).slice(0, 1).flatMap(devsOf);
  const counting = new Set([...primary, ...automatic]);
  return left.filter((route) => !isGiven(route) || leadsThrough(route, counting));
}

function leadsThrough(route: RawRoute, links: ReadonlySet<string>): boolean {
  return devsOf(route).some((dev) => links.has(dev));
}

function isGiven({ protocol = '' }: RawRoute): boolean {
  return GIVEN.has(protocol);
}

function devsOf({ dev, nexthops }: RawRoute): string[] {
  return (nexthops ?? [{ dev }]).flatMap((hop) => hop.dev ?? []);
}
