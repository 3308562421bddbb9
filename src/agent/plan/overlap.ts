// Compares the subnets of our NICs with the subnets of the node's other NICs. If the kernel prefers our connected
// route, packets of another NIC leave through our NIC, and OpenStack's port security drops them there.
import { MultinicError } from '../../api/errors.ts';
import {
  contains,
  networkAddress,
  parseAddress,
  parseCidr,
  width,
  type Cidr,
} from '../../network/address.ts';
import { cidrsOf, ownCidrOf, type Interface } from '../../network/interface.ts';
import type { Mac } from '../../network/mac.ts';
import { metricOf } from '../files/route-metric.ts';
import type { HostState } from '../host/machine.ts';
import { heldAddresses, ipOf, nicOf } from '../host/links.ts';
import type { Plan } from './plan.ts';
import { gatewaysOf } from '../host/gateways.ts';

/** A subnet that belongs to no NIC of the plan. */
interface ForeignSubnet {
  readonly link: string;
  /** An address with its prefix, or a route's destination. */
  readonly address: string;
  readonly cidr: Cidr;
  readonly metric: number;
}

type PlannedMacs = readonly { readonly mac: Mac }[];

/** Whether another NIC has a route to exactly the subnet of a NIC of the plan. */
export function sharesSubnet(
  nic: Interface,
  present: PlannedMacs,
  targets: PlannedMacs,
  host: HostState,
): boolean {
  const own = subnetOf(nic);
  if (own === undefined) return false;
  const planned = [...present, ...targets];
  // Compares texts, because a node may have many thousands of connected routes. The kernel's text of a route is
  // canonical.
  const subnet = `${networkAddress(own)}/${own.prefix}`;
  const names = ownNames(planned, host.links);
  return (
    foreignSubnets(planned, { ...host, connected: [] }).some(({ cidr }) => isEqual(own, cidr)) ||
    (host.connected ?? []).some(({ to, dev }) => to === subnet && !names.has(dev))
  );
}

/**
 * Refuses subnets that would, whatever the metric, take packets of the node's other NICs or divert the routes to
 * addresses that the node must reach.
 * @param macs NICs that the plan changes
 * @param linkTo the links that lead to peers, by address
 * @throws MultinicError `SubnetOverlaps`
 */
export function refuseOverlaps(
  { present, targets }: Plan,
  host: HostState,
  macs: ReadonlySet<Mac>,
  linkTo: ReadonlyMap<string, string>,
): void {
  // A NIC that has its address already is not judged: its route is there, and takes no further packets.
  const judged = present
    .filter((nic) => macs.has(nic.mac))
    .flatMap(eachAddress)
    .filter((nic) => !isThere(nic, host));
  if (judged.length === 0) return;
  const planned = [...present, ...targets];
  const foreign = foreignSubnets(planned, host);
  for (const nic of judged) {
    const own = subnetOf(nic);
    if (own === undefined) continue;
    const other = foreign.find((each) => isTaken(nic, own, each, host));
    if (other !== undefined) throw overlaps(nic, `the network of ${other.link} (${other.address})`, other);
    const needed = [...gatewaysOf(foreignRoutes(planned, host)), ...linkTo.keys()].find((address) =>
      isDiverted(address, own, foreign, planned, host, linkTo),
    );
    if (needed !== undefined)
      throw overlaps(nic, `${needed}, which the node reaches another way`, { address: needed });
  }
}

/** The NIC once for each of its addresses, with this address alone. */
function eachAddress(nic: Interface): Interface[] {
  return cidrsOf(nic).flatMap((text) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? [] : [{ ...nic, address: cidr.text, prefix: cidr.prefix }];
  });
}

/** undefined: the kernel makes no connected route of a single address. */
function subnetOf(nic: Interface): Cidr | undefined {
  const cidr = parseCidr(ownCidrOf(nic) ?? '');
  return cidr === undefined || cidr.prefix === width(cidr) ? undefined : cidr;
}

/** Whether a NIC has its address already. Its connected route then exists, and takes no further packets. */
export function isThere(nic: Interface, { links }: HostState): boolean {
  return nicOf(links, nic.mac)?.addresses.includes(ownCidrOf(nic) ?? '') === true;
}

function foreignSubnets(
  planned: PlannedMacs,
  { links, otherAddresses = [], connected = [] }: HostState,
): ForeignSubnet[] {
  const own = ownNames(planned, links);
  const held = [
    ...links
      .filter(({ mac }) => !isPlanned(mac, planned))
      .flatMap((link) => heldAddresses(link).map((address) => ({ address, name: link.name, metric: 0 }))),
    ...otherAddresses.map((each) => ({ ...each, metric: 0 })),
    ...connected
      .filter(({ dev }) => !own.has(dev))
      .map(({ to, dev, metric }) => ({ address: to, name: dev, metric })),
  ];
  return held.flatMap(({ address, name, metric }) => {
    const cidr = parseCidr(address);
    return cidr === undefined ? [] : [{ link: name, address, cidr, metric }];
  });
}

function isPlanned(mac: Mac, planned: PlannedMacs): boolean {
  return planned.some((each) => each.mac === mac);
}

/** Names of the planned NICs, without the links that copy the MAC of a planned NIC. */
function ownNames(planned: PlannedMacs, links: HostState['links']): Set<string> {
  return new Set(planned.flatMap(({ mac }) => nicOf(links, mac)?.name ?? []));
}

function foreignRoutes(planned: PlannedMacs, { links, routes }: HostState): HostState['routes'] {
  const own = ownNames(planned, links);
  return routes.filter(({ dev }) => !own.has(dev));
}

function isEqual(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && contains(a, b);
}

/**
 * Whether our route takes packets of a foreign subnet. A longer prefix always wins, and an equal prefix wins by its
 * metric; a shorter prefix takes only addresses that have no subnet of their own.
 */
function isTaken(
  { name }: Interface,
  own: Cidr,
  { cidr, address, metric }: ForeignSubnet,
  { nodeAddresses }: HostState,
): boolean {
  if (isEqual(own, cidr)) return metric >= metricOf(name);
  if (own.prefix > cidr.prefix) return contains(cidr, own);
  return contains(own, cidr) && nodeAddresses.includes(ipOf(address));
}

/** Whether the NIC's route would lead to an address that the node reaches by another link. */
function isDiverted(
  address: string,
  own: Cidr,
  foreign: readonly ForeignSubnet[],
  planned: PlannedMacs,
  host: HostState,
  linkTo: ReadonlyMap<string, string>,
): boolean {
  const target = parseAddress(address);
  if (target === undefined || !contains(own, target) || isHeld(address, host)) return false;
  if (foreign.some(({ cidr }) => cidr.prefix >= own.prefix && contains(cidr, target))) return false;
  const link = host.links.find(({ name }) => name === linkTo.get(address));
  return link === undefined || !isPlanned(link.mac, planned);
}

function isHeld(address: string, { links, otherAddresses = [] }: HostState): boolean {
  const held = [...links.flatMap(heldAddresses), ...otherAddresses.map((each) => each.address)];
  return held.some((each) => ipOf(each) === address);
}

function overlaps(
  { name, mac, address, prefix }: Interface,
  what: string,
  { link, address: other }: { readonly link?: string; readonly address: string },
): MultinicError {
  return new MultinicError(
    'SubnetOverlaps',
    `${name} (${mac}) with ${address}/${prefix} would take packets for ${what}, and the node could be cut off; give this NIC an address of another subnet in the MultiNicBizConfig`,
    { data: { mac, address: `${address}/${prefix}`, other, ...(link !== undefined && { link }) } },
  );
}
