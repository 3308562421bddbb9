// Rules for every node's network, no matter whether a CR, a person in git or an earlier version wrote the network. The
// OS's own generators do not check these rules: a generator accepts a duplicate MAC, and an MTU of 10.

import type { Problem } from '../api/errors.ts';
import {
  isLinkLocal,
  parseAddress,
  parseCidr,
  reserved,
  unusable,
  type Address,
  type Cidr,
} from './address.ts';
import { checkRoutes, checkRouting } from './check-routing.ts';
import {
  addressesOf,
  indexOfName,
  MAX_ADDRESSES,
  MAX_INTERFACES,
  MAX_MTU,
  MIN_IPV6_MTU,
  MIN_MTU,
  type Interface,
  type WantedInterface,
} from './interface.ts';
import type { Mac } from './mac.ts';
import type { Reason } from '../api/reasons/reasons.ts';

/** A field of an interface, as the CR calls it. */
export type Field =
  | 'name'
  | 'macAddress'
  | 'address'
  | 'cidr'
  | 'mtu'
  | 'addresses'
  | 'gateway'
  | 'gateway6'
  | 'routes'
  | 'sourceRouting';

export type Nic = WantedInterface | Interface;

/** Shortest prefix of a NIC: a shorter one would draw most traffic to a secondary NIC, as a default route does. */
const MIN_PREFIX = { 4: 8, 6: 16 } as const;

/** The place in a CR of a NIC's own address, or of its further addresses. */
type Place = 'address' | 'addresses';

/**
 * @param at the path of the interface with this index, or of one of its fields, as the reader of the problem knows it
 * @returns every violation, in the order of the interfaces
 */
export function checkNetwork(nics: readonly Nic[], at: (index: number, field?: Field) => string): Problem[] {
  if (nics.length > MAX_INTERFACES) {
    const message = `a node may have ${MAX_INTERFACES} interfaces, here are ${nics.length}; remove some`;
    return [{ path: at(MAX_INTERFACES), code: 'TooManyInterfaces', message }];
  }
  const problems: Problem[] = [];
  const firsts = {
    macAddress: new Map<string, string>(),
    name: new Map<string, string>(),
    address: new Map<string, string>(),
  };
  for (const [index, nic] of nics.entries()) {
    const add = (field: Field, code: Reason, message: string): void => {
      problems.push({ path: at(index, field), code, message });
    };
    const unique = (field: 'macAddress' | 'name' | Place, code: Reason, value: string): void => {
      const seen = firsts[field === 'addresses' ? 'address' : field];
      const first = seen.get(value);
      if (first === undefined) seen.set(value, at(index, field));
      else add(field, code, `${value} is also at ${first}; give each interface its own`);
    };
    unique('macAddress', 'DuplicateMac', nic.mac);
    if (nic.name !== undefined) unique('name', 'DuplicateName', nic.name);
    for (const [place, value] of addressesOf(nic).entries()) {
      unique(place === 0 ? 'address' : 'addresses', 'DuplicateAddress', value);
    }
    checkMac(nic.mac, add);
    if (nic.name !== undefined && indexOfName(nic.name) === undefined) {
      add(
        'name',
        'InvalidName',
        `${JSON.stringify(nic.name)} is no name of ours; write multinic0 to multinic9999`,
      );
    }
    const address = checkOwn(nic, add);
    checkFurther(nic, address?.family, add);
    const ipv6 = addressesOf(nic).some((text) => parseAddress(text)?.family === 6);
    checkMtu(nic.mtu, ipv6 ? 6 : address?.family, add);
    checkRouting(nic, add);
  }
  return [...problems, ...checkRoutes(nics, at)];
}

export type Add = (field: Field, code: Reason, message: string) => void;

function checkMac(mac: Mac, add: Add): void {
  const remedy = "write the MAC of the port, as OpenStack's port list shows it";
  if (mac === '00:00:00:00:00:00') add('macAddress', 'ZeroMac', `is all zeros; ${remedy}`);
  else if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    add('macAddress', 'MulticastMac', `${mac} is a multicast MAC, which no NIC has; ${remedy}`);
  }
}

/** @returns the own address of a NIC; undefined: the NIC has none, or the text is no address */
function checkOwn({ address: text, prefix }: Nic, add: Add): Address | undefined {
  if (text === undefined || prefix === undefined) return undefined;
  const address = parseAddress(text);
  if (address === undefined)
    add('address', 'InvalidAddress', 'is no IP address; write one such as 192.168.1.100');
  else checkAddress({ ...address, prefix }, 'address', add);
  return address;
}

/** Judges one address of a NIC: the one in `address` and `cidr`, or a further one. */
function checkAddress(cidr: Cidr, place: Place, add: Add): void {
  const { family, text, prefix } = cidr;
  const use = unusable(cidr);
  if (use !== undefined) {
    add(place, 'UnusableAddress', `${text} is ${use}; write the address of the port`);
    return;
  }
  if (prefix < MIN_PREFIX[family]) {
    const message = `/${prefix} would act as a default route; write a prefix of ${MIN_PREFIX[family]} or more`;
    add(place === 'address' ? 'cidr' : place, 'PrefixTooShort', message);
    return;
  }
  const role = reserved(cidr);
  if (role === 'network') {
    const message = `${text} is the network address of its /${prefix}; write the address of the port`;
    add(place, 'NetworkAddress', message);
  } else if (role === 'broadcast') {
    const message = `${text} is the broadcast address of its /${prefix}; write the address of the port`;
    add(place, 'BroadcastAddress', message);
  }
}

function checkFurther(nic: Nic, family: Address['family'] | undefined, add: Add): void {
  const further = nic.furtherAddresses ?? [];
  if (further.length >= MAX_ADDRESSES) {
    const message = `a NIC may have ${MAX_ADDRESSES} addresses, here are ${further.length + 1}; remove some`;
    add('addresses', 'TooManyAddresses', message);
    return;
  }
  const cidrs = further.flatMap((text) => parseCidr(text) ?? []);
  for (const cidr of cidrs) {
    if (isLinkLocal(cidr)) {
      const message = `${cidr.text} is a link-local address, which every network has; write an address of the port`;
      add('addresses', 'LinkLocalAddress', message);
    } else checkAddress(cidr, 'addresses', add);
  }
  const [ipv4] = cidrs.filter((cidr) => cidr.family === 4);
  if (family === 6 && ipv4 !== undefined) {
    const message = `${nic.address} is IPv6, and addresses has IPv4; write ${ipv4.text} into address and cidr, and this one into addresses`;
    add('address', 'InvalidAddress', message);
  }
}

function checkMtu(mtu: number, family: Address['family'] | undefined, add: Add): void {
  if (!Number.isInteger(mtu) || mtu < MIN_MTU || mtu > MAX_MTU) {
    add('mtu', 'InvalidMtu', `${mtu} is out of range; write an integer from ${MIN_MTU} to ${MAX_MTU}`);
  } else if (family === 6 && mtu < MIN_IPV6_MTU) {
    add('mtu', 'MtuTooSmallForIPv6', `${mtu} is too small for IPv6; write ${MIN_IPV6_MTU} or more`);
  }
}
