// Decides on source routing for NICs whose CR does not set it, from the networks of the node that the controller knows.

import type { Problem } from '../api/errors.ts';
import { contains, parseAddress, parseCidr, type Cidr } from './address.ts';
import { cidrsOf, type Interface, type Network, type WantedInterface } from './interface.ts';

/** The inputs of `auto` for one node. */
export interface AutoRouting {
  /** False: only a NIC whose CR asks for source routing has it. */
  readonly on: boolean;
  /** The InternalIPs of the node. */
  readonly nodeAddresses: readonly string[];
}

export const AUTO_OFF: AutoRouting = { on: false, nodeAddresses: [] };
/** The inputs of `auto` where nothing is known about the node. */
export const AUTO_ALONE: AutoRouting = { on: true, nodeAddresses: [] };

type Nic = Pick<WantedInterface, 'address' | 'prefix' | 'furtherAddresses' | 'gateway' | 'gateway6' | 'mac'>;

/** Returns whether a NIC of a node gets source routing if its CR does not set it. */
export function autoFor(nics: readonly Nic[], { on, nodeAddresses }: AutoRouting): (nic: Nic) => boolean {
  return (nic) => on && needOf(nic, nics, nodeAddresses) !== undefined;
}

/**
 * The reason why replies of a NIC would leave by another NIC without source routing, as a clause; undefined: the NIC
 * does not need it.
 */
export function needOf(nic: Nic, nics: readonly Nic[], nodeAddresses: readonly string[]): string | undefined {
  const gateway = nic.gateway ?? nic.gateway6;
  if (gateway !== undefined) return `has the gateway ${gateway}`;
  const own = subnetsOf(nic);
  for (const other of nics) {
    if (other.mac === nic.mac) continue;
    const shared = subnetsOf(other).find((cidr) => own.some((mine) => overlaps(mine, cidr)));
    if (shared !== undefined) return `shares its subnet with ${shared.text}/${shared.prefix} of another NIC`;
  }
  const inside = nodeAddresses.find((text) => {
    const address = parseAddress(text);
    return address !== undefined && own.some((cidr) => contains(cidr, address));
  });
  return inside === undefined ? undefined : `has the node's own address ${inside} in its subnet`;
}

/** Warns of a NIC that needs source routing and has none, because the CR or a setting says so. */
export function routingOff(
  nic: WantedInterface,
  wanted: readonly WantedInterface[],
  auto: AutoRouting,
  path: string,
): Problem[] {
  const need = needOf(nic, wanted, auto.nodeAddresses);
  if (need === undefined || (nic.sourceRouting ?? auto.on)) return [];
  const message = `${nic.mac} ${need}, and source routing is off: replies may leave by another NIC and be lost; write sourceRouting: true, or give the NIC a subnet of its own`;
  return [{ path, code: 'SourceRoutingOff', message }];
}

function subnetsOf(nic: Nic): Cidr[] {
  return cidrsOf(nic).flatMap((text) => parseCidr(text) ?? []);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.ip.match(b.ip, Math.min(a.prefix, b.prefix));
}

/** Resolves source routing again for NICs whose CR does not set it. */
export function resolveAgain(network: Network, auto: AutoRouting): Network {
  const needs = autoFor(network, auto);
  return network.map((nic): Interface => {
    if (nic.statedSourceRouting !== undefined) return nic;
    const { sourceRouting: _, ...rest } = nic;
    return needs(nic) ? { ...rest, sourceRouting: true } : rest;
  });
}
