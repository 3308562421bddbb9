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
  readonly address: string;
  readonly prefix: number;
  readonly mtu: number;
  /** ID of the OpenStack port. The file has the ID as a comment; the ID identifies nothing. */
  readonly portId?: string;
  /**
   * Permission to take over a NIC that a foreign file configures with more than DHCP. The file has the permission as a
   * comment.
   */
  readonly takeover?: true;
  /** netplan only: the key under `ethernets` when another file already describes the NIC under that ID. */
  readonly netplanId?: string;
}

/** One interface of a CR's entry: an `Interface` that has a name only if the CR states one. */
export interface WantedInterface extends Omit<Interface, 'name' | 'netplanId'> {
  readonly name?: string;
}

/** All addresses of a NIC, without prefixes. */
export function addressesOf({ address }: Pick<Interface, 'address'>): readonly string[] {
  return [address];
}

/** A node's NICs, sorted by index of their names. */
export type Network = readonly Interface[];

export const MAX_INTERFACES = 32;
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

/** Compares the CR's interfaces with a network by MAC, address, prefix and MTU, and by name where the CR states one. */
export function satisfies(network: Network, wanted: readonly WantedInterface[]): boolean {
  if (network.length !== wanted.length) return false;
  const byMac = new Map(network.map((nic) => [nic.mac, nic]));
  return wanted.every((want) => {
    const nic = byMac.get(want.mac);
    return nic !== undefined && sameLink(nic, want) && (want.name === undefined || want.name === nic.name);
  });
}

/** True if two networks are the same on the wire. NICs are matched by MAC; names, ports and netplan IDs are ignored. */
export function sameNetwork(a: Network, b: Network): boolean {
  if (a.length !== b.length) return false;
  const byMac = new Map(a.map((nic) => [nic.mac, nic]));
  return b.every((nic) => {
    const other = byMac.get(nic.mac);
    return other !== undefined && sameLink(other, nic);
  });
}

type Link = Pick<Interface, 'address' | 'prefix' | 'mtu' | 'takeover'>;

function sameLink(a: Link, b: Link): boolean {
  return a.address === b.address && a.prefix === b.prefix && a.mtu === b.mtu && a.takeover === b.takeover;
}
