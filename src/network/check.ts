// Rules for every node's network, no matter whether a CR, a person in git or an earlier version wrote the network. The
// OS's own generators do not check these rules: a generator accepts a duplicate MAC, and an MTU of 10.

import type { Problem } from '../api/errors.ts';
import { parseAddress, reserved, unusable, type Address } from './address.ts';
import {
  indexOfName,
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
export type Field = 'name' | 'macAddress' | 'address' | 'cidr' | 'mtu';

type Nic = WantedInterface | Interface;

/** Shortest prefix of a NIC: a shorter one would draw most traffic to a secondary NIC, as a default route does. */
const MIN_PREFIX = { 4: 8, 6: 16 } as const;

/**
 * @param at the path, as the reader of the problem knows it, of the interface with this index, or of one of its fields
 * @returns every violation, in the order of the interfaces
 */
export function checkNetwork(nics: readonly Nic[], at: (index: number, field?: Field) => string): Problem[] {
  if (nics.length > MAX_INTERFACES) {
    const message = `a node may have ${MAX_INTERFACES} interfaces, here are ${nics.length}; remove some`;
    return [{ path: at(MAX_INTERFACES), code: 'TooManyInterfaces', message }];
  }
  const problems: Problem[] = [];
  const firsts = { macAddress: new Map<string, number>(), name: new Map(), address: new Map() };
  for (const [index, nic] of nics.entries()) {
    const add = (field: Field, code: Reason, message: string): void => {
      problems.push({ path: at(index, field), code, message });
    };
    const unique = (field: 'macAddress' | 'name' | 'address', code: Reason, value: string): void => {
      const first: number | undefined = firsts[field].get(value);
      if (first === undefined) firsts[field].set(value, index);
      else add(field, code, `${value} is also at ${at(first, field)}; give each interface its own`);
    };
    unique('macAddress', 'DuplicateMac', nic.mac);
    if (nic.name !== undefined) unique('name', 'DuplicateName', nic.name);
    unique('address', 'DuplicateAddress', nic.address);
    checkMac(nic.mac, add);
    if (nic.name !== undefined && indexOfName(nic.name) === undefined) {
      add(
        'name',
        'InvalidName',
        `${JSON.stringify(nic.name)} is no name of ours; write multinic0 to multinic9999`,
      );
    }
    const address = parseAddress(nic.address);
    if (address === undefined)
      add('address', 'InvalidAddress', 'is no IP address; write one such as 192.168.1.100');
    else checkAddress(address, nic, add);
    checkMtu(nic.mtu, address?.family, add);
  }
  return problems;
}

type Add = (field: Field, code: Reason, message: string) => void;

function checkMac(mac: Mac, add: Add): void {
  const remedy = "write the MAC of the port, as OpenStack's port list shows it";
  if (mac === '00:00:00:00:00:00') add('macAddress', 'ZeroMac', `is all zeros; ${remedy}`);
  else if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    add('macAddress', 'MulticastMac', `${mac} is a multicast MAC, which no NIC has; ${remedy}`);
  }
}

function checkAddress(address: Address, { prefix }: Nic, add: Add): void {
  const use = unusable(address);
  if (use !== undefined) {
    add('address', 'UnusableAddress', `${address.text} is ${use}; write the address of the port`);
    return;
  }
  if (prefix < MIN_PREFIX[address.family]) {
    const message = `/${prefix} would act as a default route; write a prefix of ${MIN_PREFIX[address.family]} or more`;
    add('cidr', 'PrefixTooShort', message);
    return;
  }
  const role = reserved({ ...address, prefix });
  if (role === 'network') {
    const message = `${address.text} is the network address of its /${prefix}; write the address of the port`;
    add('address', 'NetworkAddress', message);
  } else if (role === 'broadcast') {
    const message = `${address.text} is the broadcast address of its /${prefix}; write the address of the port`;
    add('address', 'BroadcastAddress', message);
  }
}

function checkMtu(mtu: number, family: Address['family'] | undefined, add: Add): void {
  if (!Number.isInteger(mtu) || mtu < MIN_MTU || mtu > MAX_MTU) {
    add('mtu', 'InvalidMtu', `${mtu} is out of range; write an integer from ${MIN_MTU} to ${MAX_MTU}`);
  } else if (family === 6 && mtu < MIN_IPV6_MTU) {
    add('mtu', 'MtuTooSmallForIPv6', `${mtu} is too small for IPv6; write ${MIN_IPV6_MTU} or more`);
  }
}
