// The kernel's routes to the machines that the node must go on reaching. The source address decides too: the node answers
// from its own address, and OpenStack's port security drops the answer on any port but the port with this address.
import { MultinicError } from '../../api/errors.ts';
import type { MachinePort } from '../host/host.ts';
import type { HostState, Link, NamedNic, Destinations, Route, RouteLookup } from '../host/machine.ts';
import { isSameFamily, nicOf, type LinkTarget } from '../host/links.ts';
import { tablesOf, type LinkRouting } from '../host/routing.ts';
import { neighbourIn, parseCidr } from '../../network/address.ts';
import type { Mac } from '../../network/mac.ts';
import { gatewaysOf } from '../host/gateways.ts';
import { until } from '../command/host-command.ts';

/** A route lookup with the MAC of its NIC, because a NIC keeps its routes when it is renamed. */
type KnownLookup = Omit<RouteLookup, 'dev'> & { readonly mac: string; readonly name: string };

/** @param peers addresses of the store and of API servers */
export function destinationsOf(
  { routes, nodeAddresses }: Pick<HostState, 'routes' | 'nodeAddresses'>,
  peers: readonly string[] = [],
): Destinations {
  return { to: [...new Set([...peers, ...gatewaysOf(routes)])], from: nodeAddresses };
}

/** The links that lead to addresses as the kernel chooses by itself. */
export function linksByDestination(lookups: readonly RouteLookup[]): ReadonlyMap<string, string> {
  return new Map(lookups.flatMap(({ to, from, dev }) => (from === undefined ? [[to, dev] as const] : [])));
}

/**
 * Verifies that the lookups have the same results. Repeats the check for a second, because a daemon may just be replacing a route.
 * @param changed MACs of NICs that changed; the commit may change a route through one of these NICs
 * @throws MultinicError `VerifyFailed` naming the first route that changed
 */
export async function verifyLookups(
  machine: MachinePort,
  destinations: Destinations,
  before: { readonly lookups: readonly RouteLookup[]; readonly links: readonly Link[] },
  changed: ReadonlySet<string>,
): Promise<void> {
  const known = before.lookups
    .map((lookup) => knownLookup(lookup, before.links))
    .filter(({ mac }) => !changed.has(mac));
  let failure: MultinicError | undefined;
  await until(
    SETTLED_MS,
    async () => {
      const now = await machine.lookUpRoutes(destinations);
      const links = await machine.links();
      failure = difference(
        known,
        now.map((lookup) => knownLookup(lookup, links)),
      );
      return failure === undefined;
    },
    AGAIN_MS,
  );
  if (failure !== undefined) throw failure;
}

/**
 * Verifies that no packet to a gateway of the node leaves by these NICs. Unlike `verifyLookups`, needs no state from
 * before the change.
 * @throws MultinicError `VerifyFailed`
 */
export async function verifyGateways(
  machine: MachinePort,
  routes: readonly Route[],
  changed: readonly NamedNic[],
): Promise<void> {
  const { nodeAddresses, links } = await machine.state();
  const lookups = await machine.lookUpRoutes({ to: gatewaysOf(routes), from: nodeAddresses });
  const through = lookups
    .map((lookup) => knownLookup(lookup, links))
    .find(({ to, mac }) => gatewaysOf(routes).includes(to) && changed.some((nic) => nic.mac === mac));
  if (through !== undefined) throw routeChanged(through, through);
}

/**
 * Verifies that packets from the addresses of NICs with source routing leave by these NICs, on the subnets of their
 * tables and to the gateways there. Rules of other software may come first.
 * @throws MultinicError `VerifyFailed`
 */
export async function verifySources(
  machine: MachinePort,
  links: readonly Link[],
  targets: readonly LinkTarget[],
): Promise<void> {
  const asked = targets.flatMap(({ mac, routing }) =>
    routing === undefined ? [] : questionsOf(mac, routing),
  );
  if (asked.length === 0) return;
  const found = await machine.waysFrom(asked);
  for (const { mac, to, from } of asked) {
    const way = found.find((each) => each.to === to && each.from === from);
    const name = nicOf(links, mac)?.name;
    if (way?.dev === name) continue;
    throw new MultinicError(
      'VerifyFailed',
      `after the change packets from ${from} to ${to} leave by ${way?.dev ?? 'no NIC'} instead of ${name}; look at the node’s rules (\`ip rule\`) for one that comes before those of ${name}, then run \`multinic retry\``,
      { data: { mac, from, to } },
    );
  }
}

/**
 * The packets to look up for each source address of the rules: to a neighbour on each subnet of the table, and to each
 * gateway of its family.
 */
function questionsOf(
  mac: Mac,
  { rules, routes }: LinkRouting,
): { readonly mac: Mac; readonly to: string; readonly from: string }[] {
  const sources = [...new Set(rules.map((rule) => rule.split(' ')[2] ?? ''))];
  const tables = new Set(tablesOf({ rules, routes: [], sysctls: {} }));
  const peers = routes.flatMap((text) => {
    const [, to = '', via, table] = /^-[46] (\S+)(?: via (\S+))? table (\d+)/.exec(text) ?? [];
    if (!tables.has(Number(table))) return [];
    const subnet = parseCidr(to);
    return via ?? (subnet && neighbourIn(subnet, sources)) ?? [];
  });
  return sources.flatMap((from) =>
    [...new Set(peers)].filter((to) => isSameFamily(to, from)).map((to) => ({ mac, to, from })),
  );
}

const SETTLED_MS = 1_000;
const AGAIN_MS = 200;

function difference(
  before: readonly KnownLookup[],
  after: readonly KnownLookup[],
): MultinicError | undefined {
  for (const lookup of before) {
    const now = after.find(({ to, from }) => to === lookup.to && from === lookup.from);
    if (now?.mac !== lookup.mac || now.via !== lookup.via) return routeChanged(lookup, now);
  }
  return undefined;
}

function knownLookup({ dev, ...lookup }: RouteLookup, links: readonly Link[]): KnownLookup {
  return { ...lookup, name: dev, mac: links.find(({ name }) => name === dev)?.mac ?? dev };
}

function routeChanged({ to, from }: KnownLookup, now: KnownLookup | undefined): MultinicError {
  const speaker = from === undefined ? '' : ` from the node’s address ${from}`;
  const leads =
    now === undefined
      ? 'the node has no way'
      : `${now.name} ${now.via === undefined ? '' : `via ${now.via} `}is the way`;
  return new MultinicError(
    'VerifyFailed',
    `after the change ${leads} to ${to}${speaker}, which differs from before; give the NIC another subnet in the MultiNicBizConfig, or look at the node’s routes and rules, then run \`multinic retry\``,
    { data: { to, ...(from !== undefined && { from }) } },
  );
}
