import { isDeepStrictEqual } from 'node:util';
import { MultinicError } from '../../api/errors.ts';
import type { Conflict, Link, NamedNic, Readiness, Route } from '../host/machine.ts';
import { heldAddresses, type LinkTarget } from '../host/links.ts';
import { NO_ROUTING, onlyIn, settingsApart, withoutOwnRoutes } from '../host/routing.ts';
import type { FileStep } from '../plan/file-order.ts';
import { defaultLinks } from '../plan/preflight.ts';
import type { Root } from '../files/root.ts';
import type { Mac } from '../../network/mac.ts';

/** Files that must be on the host: content by path; null: no such file. */
export type ExpectedFiles = ReadonlyMap<string, string | null>;

/** Links and routes that are compared. */
export interface Machine {
  readonly links: readonly Link[];
  readonly routes: readonly Route[];
}

/** The files that must be on the host after a plan is carried out. */
export function expectedFiles(files: readonly FileStep[]): ExpectedFiles {
  // A later step of the same path wins, as it does on the disk.
  return new Map(files.map((step) => [step.path, step.op === 'write' ? step.content : null]));
}

/** Verifies the files, which count at the next boot. @throws MultinicError `VerifyFailed` */
export function verifyFiles(root: Root, expected: ExpectedFiles): void {
  for (const [path, content] of expected) {
    if ((root.read(path)?.content ?? null) !== content) {
      throw failed(content === null ? `${path} is still there` : `${path} is not what was written`);
    }
  }
}

/** Verifies the running links, each by its MAC. @throws MultinicError `VerifyFailed` */
export function verifyLinks(links: readonly Link[], targets: readonly LinkTarget[]): void {
  for (const target of targets) {
    const same = links.filter((link) => link.mac === target.mac);
    const link = same.find((each) => each.name === target.name);
    if (link === undefined) {
      throw failed(
        `${target.mac} is named ${same.map((each) => each.name).join(', ') || 'nothing'}, not ${target.name}`,
      );
    }
    if (link.mtu !== target.mtu) throw failed(`${target.name} has MTU ${link.mtu}, not ${target.mtu}`);
    if (link.up !== target.up) throw failed(`${target.name} is ${link.up ? 'up' : 'down'}`);
    if (target.ipv6?.acceptRa === 0 && (link.ipv6?.acceptRa ?? 0) !== 0)
      throw failed(`${target.name} accepts router advertisements`);
    const absent = target.addresses.find((address) => !link.addresses.includes(address));
    if (absent !== undefined) throw failed(`${target.name} has no address ${absent}`);
    const first = target.yields?.find(
      (address) => target.addresses.includes(address) && link.yields?.includes(address) !== true,
    );
    if (first !== undefined)
      throw failed(`the route of ${target.name} to the subnet of ${first} has no metric of ours`);
    if (target.networkManager === false && link.networkManager === true)
      throw failed(`NetworkManager still manages ${target.name}`);
    verifyRouting(link, target);
    const stale = link.addresses.find((address) => target.dropped.includes(address));
    if (stale !== undefined) throw failed(`${target.name} still has the address ${stale}`);
  }
}

function verifyRouting({ name, routing: now = NO_ROUTING }: Link, target: LinkTarget): void {
  const { routing = NO_ROUTING, unrouted = NO_ROUTING } = target;
  const absent = onlyIn(routing, now);
  const [text] = [...absent.rules, ...absent.routes];
  if (text !== undefined) throw failed(`${name} lacks \`${text}\``);
  const [key] = Object.keys(settingsApart(now, routing));
  if (key !== undefined)
    throw failed(`${key} of ${name} is ${now.sysctls[key]}, not ${routing.sysctls[key]}`);
  const stale = [...now.rules, ...now.routes].find((each) =>
    [...unrouted.rules, ...unrouted.routes].includes(each),
  );
  if (stale !== undefined) throw failed(`${name} still has \`${stale}\``);
}

function nameOf(mac: Mac, nics: readonly NamedNic[]): string {
  return nics.find((nic) => nic.mac === mac)?.name ?? mac;
}

/** @throws MultinicError `AddressTaken` */
export function refuseConflicts([conflict]: readonly Conflict[], nics: readonly NamedNic[]): void {
  if (conflict === undefined) return;
  const { mac, address, holder } = conflict;
  const name = nameOf(mac, nics);
  const who = holder === undefined ? 'another machine' : holder;
  throw new MultinicError(
    'AddressTaken',
    `${address} is in use on the network of ${name} already, by ${who}; give this NIC another address in the MultiNicBizConfig, or take it from that machine`,
    { data: { ...conflict } },
  );
}

/** @throws MultinicError `NoCarrier`, `AddressTaken`, `VerifyFailed` */
export function verifyReady(links: readonly Readiness[], nics: readonly NamedNic[]): void {
  for (const { mac, carrier, duplicates, undecided } of links) {
    refuseConflicts(
      duplicates.map((address) => ({ mac, address })),
      nics,
    );
    const name = nameOf(mac, nics);
    if (carrier && undecided.length === 0) continue;
    if (carrier) throw failed(`the kernel does not start to use ${undecided.join(', ')} on ${name}`);
    throw new MultinicError(
      'NoCarrier',
      `${name} (${mac}) has no carrier; look at its port (up, bound to this VM?), then run \`multinic retry\``,
      { data: { mac } },
    );
  }
}

/**
 * The part of a machine that a change of these NICs could harm: the NICs, the node's primary NICs, and the routes of both.
 * Links of pods come and go during a change, hundreds of them in a big cluster.
 */
export function protectedPart(machine: Machine, macs: ReadonlySet<Mac>): Machine {
  const { links, routes } = withoutOwnRoutes(machine);
  const primary = defaultLinks({ links, routes });
  const kept = links.filter((link) => primary.includes(link) || macs.has(link.mac));
  const names = new Set(kept.map(({ name }) => name));
  return { links: kept, routes: routes.filter(({ dev, to }) => names.has(dev) || to === 'default') };
}

/**
 * The part of `protectedPart` that still counts minutes later, or after a reboot. Routes to other nodes are left out, because
 * they may have changed since.
 * @param changed links that were changed
 */
export function durablePart({ links, routes }: Machine, changed: readonly NamedNic[]): Machine {
  const own = new Set(
    links.filter(({ mac }) => changed.some((each) => each.mac === mac)).map(({ name }) => name),
  );
  return { links, routes: routes.filter(({ dev, to }) => own.has(dev) || to === 'default') };
}

/** Verifies that the node's primary NICs and foreign routes are as before. @throws MultinicError `VerifyFailed` */
export function verifyUntouched(after: Machine, before: Machine): void {
  const primary = defaultLinks(after);
  for (const [index, link] of defaultLinks(before).entries()) {
    // A further primary NIC may have appeared (by a router advertisement), but must not come before the first.
    const same = index === 0 ? primary[0] : primary.find(({ mac }) => mac === link.mac);
    // An address may have been added (a VIP that moves), so only the known addresses are compared.
    const known = heldAddresses(link);
    const kept = (all: readonly string[] = []): string[] => all.filter((each) => known.includes(each));
    const now = same && { ...same, addresses: kept(same.addresses), leases: kept(same.leases) };
    if (!isDeepStrictEqual(now && ordered(now), ordered(link)))
      throw failed(`the primary NIC ${link.name} changed`);
  }
  const now = new Set(routeTexts(after));
  const lost = routeTexts(before).find((route) => !now.has(route));
  if (lost !== undefined) throw failed(`the route ${lost} is gone`);
}

/**
 * Sorts IPv6 addresses, which the kernel lists newest first. The order of IPv4 addresses counts: the first is the
 * node's source address.
 */
function ordered({ addresses, leases = [], ...rest }: Link): Link {
  const { loaded: _, yields: __, software: ___, networkManager: ____, routing: _____, ...link } = rest;
  const v4 = addresses.filter((address) => !address.includes(':'));
  const v6 = addresses.filter((address) => address.includes(':'));
  return { ...link, addresses: [...v4, ...v6.toSorted()], leases: leases.toSorted() };
}

/** Routes with the MAC of their link, because a link keeps its routes when it is renamed. */
function routeTexts({ links, routes }: Machine): string[] {
  const macs = new Map(links.toReversed().map(({ name, mac }) => [name, mac]));
  return routes.map(
    ({ to, via, dev }) => `${to}${via === undefined ? '' : ` via ${via}`} dev ${macs.get(dev) ?? dev}`,
  );
}

function failed(what: string): MultinicError {
  return new MultinicError(
    'VerifyFailed',
    `after the change ${what}; look at the agent’s log, then run \`multinic retry\``,
  );
}
