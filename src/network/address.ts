// Address arithmetic on top of ipaddr.js, which parses addresses and knows the ranges.

import ipaddr from 'ipaddr.js';

type IP = ipaddr.IPv4 | ipaddr.IPv6;

export interface Address {
  readonly family: 4 | 6;
  /** Canonical: dotted decimal, or RFC 5952. */
  readonly text: string;
  readonly ip: IP;
}

export interface Cidr extends Address {
  readonly prefix: number;
}

/** Addresses parsed before. The checks of a network parse each address some ten times. */
const known = new Map<string, Address | undefined>();
/** Bound on the number of remembered addresses, which take a megabyte. */
const MAX_KNOWN = 4_096;
/** Longest text that is remembered. A longer text is hardly an address. */
const MAX_TEXT = 64;

/** Reads a full address; undefined for short and octal IPv4 forms, a zone or a prefix. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > MAX_TEXT) return readAddress(text);
  const before = known.get(text);
  if (before !== undefined || known.has(text)) return before;
  if (known.size >= MAX_KNOWN) known.clear();
  const address = readAddress(text);
  known.set(text, address);
  return address;
}

function readAddress(text: string): Address | undefined {
  // isValid alone would accept 1.2.3 and 010.0.0.1, which many readers understand as another address. IPv6 texts do not
  // go there, because the library's check throws internally and is slow.
  if (!text.includes(':') && ipaddr.IPv4.isValidFourPartDecimal(text)) {
    const ip = ipaddr.IPv4.parse(text);
    return { family: 4, text: ip.toString(), ip };
  }
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const ip = ipaddr.IPv6.parse(text);
  return { family: 6, text: ip.toRFC5952String(), ip };
}

/** `192.168.100.10/24`: the host part stays as written. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const address = parseAddress(match?.[1] ?? '');
  const prefix = Number(match?.[2]);
  if (address === undefined || prefix > width(address)) return undefined;
  return { ...address, prefix };
}

/** Bits of an address of this family. */
export function width({ family }: Pick<Address, 'family'>): number {
  return family === 4 ? 32 : 128;
}

export function contains(cidr: Cidr, address: Address): boolean {
  return cidr.family === address.family && address.ip.match(cidr.ip, cidr.prefix);
}

/** The lowest address of the subnet: the network in IPv4, the subnet-router anycast address in IPv6. */
export function networkAddress({ family, text, prefix }: Omit<Cidr, 'ip'>): string {
  return family === 4
    ? ipaddr.IPv4.networkAddressFromCIDR(`${text}/${prefix}`).toString()
    : ipaddr.IPv6.networkAddressFromCIDR(`${text}/${prefix}`).toRFC5952String();
}

/** The broadcast address of a subnet; undefined in IPv6, which has no broadcast. */
export function broadcastAddress({ family, text, prefix }: Omit<Cidr, 'ip'>): string | undefined {
  return family === 4 ? ipaddr.IPv4.broadcastAddressFromCIDR(`${text}/${prefix}`).toString() : undefined;
}

/** An address of a subnet that another machine may have; undefined: the subnet has no address but `own`. */
export function neighbourIn(cidr: Cidr, own: readonly string[]): string | undefined {
  const network = ipaddr.parse(networkAddress(cidr)).toByteArray();
  const first = cidr.prefix >= width(cidr) - 1 ? 0 : 1;
  for (let offset = first; offset <= first + own.length; offset += 1) {
    const last = (network.at(-1) ?? 0) + offset;
    if (last > 0xff) return undefined;
    const bytes = [...network.slice(0, -1), last];
    const address = parseAddress(ipaddr.fromByteArray(bytes).toString());
    if (address === undefined || !contains(cidr, address)) return undefined;
    if (!own.includes(address.text) && reserved({ ...address, prefix: cidr.prefix }) === undefined)
      return address.text;
  }
  return undefined;
}

/** The reason why no NIC can have this address in any subnet; undefined: a NIC can have it. */
export function unusable(address: Address): string | undefined {
  const range = address.ip.range();
  return UNUSABLE[range];
}

/**
 * Whether an address is in 169.254.0.0/16 or fe80::/10. Every link has such a network, so the address alone does not
 * identify the link.
 */
export function isLinkLocal({ ip }: Pick<Address, 'ip'>): boolean {
  return ip.range() === 'linkLocal';
}

const UNUSABLE: Readonly<Partial<Record<string, string>>> = {
  unspecified: 'an unspecified address',
  loopback: 'a loopback address',
  multicast: 'a multicast address',
  broadcast: 'the broadcast address',
  ipv4Mapped: 'an IPv4-mapped address',
};

/**
 * Whether the address of a NIC is the network or broadcast address of its subnet. Point-to-point and host prefixes have
 * neither.
 */
export function reserved(cidr: Omit<Cidr, 'ip'>): 'network' | 'broadcast' | undefined {
  if (cidr.prefix >= width(cidr) - 1) return undefined;
  if (cidr.text === networkAddress(cidr)) return 'network';
  if (cidr.text === broadcastAddress(cidr)) return 'broadcast';
  return undefined;
}
