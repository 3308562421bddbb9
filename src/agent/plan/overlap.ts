// Networks of our NICs beside those of the node's other NICs: a connected route of ours that the kernel prefers takes
// the packets of another NIC, and OpenStack's port security drops them there.
import { MultinicError } from '../../api/errors.ts';
import { contains, parseAddress, parseCidr, width, type Cidr } from '../../network/address.ts';
import type { Interface } from '../../network/interface.ts';
import type { HostState } from '../host/machine.ts';
import { heldAddresses, ipOf, nicOf } from '../host/links.ts';
import type { Plan } from './plan.ts';
import { gatewaysOf } from '../host/gateways.ts';

/** The network of an address that something else than a NIC of the plan has. */
interface ForeignNetwork {
  readonly link: string;
  /** The address, with its prefix. */
  readonly address: string;
  readonly cidr: Cidr;
}

/**
 * Refuses subnets that take packets of the node's other NICs, or the ways to what the node must reach.
 * @param macs NICs that the plan changes
 * @param ways the links that lead to peers, by address
 * @throws MultinicError `SubnetOverlaps`
 */
export function refuseOverlaps(
  plan: Plan,
  host: HostState,
  macs: ReadonlySet<string>,
  ways: ReadonlyMap<string, string>,
): void {
  const foreign = foreignNetworks(plan, host);
  for (const nic of plan.present) {
    const own = parseCidr(`${nic.address}/${nic.prefix}`);
    // The kernel makes no connected route of a single address, and one that is there already takes nothing new.
    if (own === undefined || own.prefix === width(own) || !macs.has(nic.mac) || isThere(nic, host)) continue;
    const other = foreign.find((each) => isTaken(own, each, host));
    if (other !== undefined) throw overlaps(nic, `the network of ${other.link} (${other.address})`, other);
    const needed = [...gatewaysOf(foreignRoutes(plan, host)), ...ways.keys()].find((address) =>
      isDiverted(address, own, foreign, plan, host, ways),
    );
    if (needed !== undefined)
      throw overlaps(nic, `${needed}, which the node reaches another way`, { address: needed });
  }
}

function isThere({ mac, address, prefix }: Interface, { links }: HostState): boolean {
  return nicOf(links, mac)?.addresses.includes(`${address}/${prefix}`) === true;
}

function foreignNetworks(plan: Plan, { links, otherAddresses = [] }: HostState): ForeignNetwork[] {
  const held = [
    ...links
      .filter(({ mac }) => !isPlans(mac, plan))
      .flatMap((link) => heldAddresses(link).map((address) => ({ address, name: link.name }))),
    ...otherAddresses,
  ];
  return held.flatMap(({ address, name }) => {
    const cidr = parseCidr(address);
    return cidr === undefined ? [] : [{ link: name, address, cidr }];
  });
}

function isPlans(mac: string, { present, targets }: Plan): boolean {
  return [...present, ...targets].some((each) => each.mac === mac);
}

function foreignRoutes(plan: Plan, { links, routes }: HostState): HostState['routes'] {
  const own = new Set(links.flatMap(({ mac, name }) => (isPlans(mac, plan) ? [name] : [])));
  return routes.filter(({ dev }) => !own.has(dev));
}

/** A longer prefix always wins, an equal one may; a shorter one takes only what has no network of its own. */
function isTaken(own: Cidr, { cidr, address }: ForeignNetwork, { nodeAddresses }: HostState): boolean {
  if (own.prefix >= cidr.prefix) return contains(cidr, own);
  return contains(own, cidr) && nodeAddresses.includes(ipOf(address));
}

/** Whether the NIC's route would lead to an address that the node reaches by another link. */
function isDiverted(
  address: string,
  own: Cidr,
  foreign: readonly ForeignNetwork[],
  plan: Plan,
  host: HostState,
  ways: ReadonlyMap<string, string>,
): boolean {
  const target = parseAddress(address);
  if (target === undefined || !contains(own, target) || isHeld(address, host)) return false;
  if (foreign.some(({ cidr }) => cidr.prefix > own.prefix && contains(cidr, target))) return false;
  const way = host.links.find(({ name }) => name === ways.get(address));
  return way === undefined || !isPlans(way.mac, plan);
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
