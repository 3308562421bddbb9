// A NIC as a foreign file describes it, and whether a NIC of the machine fits the description.
import { globsMatch } from './systemd-files.ts';
import type { Mac } from '../../network/mac.ts';

/** Conditions of a description: all of them have to fit, and a description without any fits no NIC. */
export interface NicMatch {
  /** Lower case, with colons. */
  readonly mac?: string;
  /** The link's name. */
  readonly name?: string;
  /** Patterns of the link's name. */
  readonly patterns?: readonly string[];
  /** Patterns of the kernel driver. */
  readonly drivers?: readonly string[];
}

/** A NIC that a foreign file describes. */
export interface DescribedNic {
  /** Key under `ethernets`, or with `profile` the name that NetworkManager has for the profile. */
  readonly id: string;
  readonly match: NicMatch;
  readonly file: string;
  readonly by: 'netplan' | 'profile';
  /**
   * Keys beyond DHCP, such as `addresses`. Empty: the description has no more than cloud-init or an installer writes
   * for any NIC.
   */
  readonly more: readonly string[];
}

/** A NIC of the machine, with everything that a description may name. */
export interface NicAttributes {
  readonly mac: Mac;
  /** Names that the NIC has, had or is to have. */
  readonly names: readonly string[];
  /** The kernel driver. Absent: it is not known, or the NIC has none. */
  readonly driver?: string;
}

/** Whether a description fits this NIC. A description without conditions fits no NIC in particular. */
export function describes({ match }: DescribedNic, nic: NicAttributes): boolean {
  return Object.keys(match).length > 0 && fits(match, nic);
}

/** Whether a NIC has everything that a match asks for. A NIC whose driver is not known fits any driver. */
export function fits(match: NicMatch, { mac, names, driver }: NicAttributes): boolean {
  const { patterns = [], drivers = [] } = match;
  return (
    (match.mac === undefined || match.mac === mac) &&
    (match.name === undefined || names.includes(match.name)) &&
    (patterns.length === 0 || names.some((name) => globsMatch(patterns, name))) &&
    (drivers.length === 0 || driver === undefined || globsMatch(drivers, driver))
  );
}

/** Whether a description may fit several NICs, so that its ID cannot belong to one NIC. */
export function isShared({ match }: DescribedNic): boolean {
  return match.mac === undefined && match.name === undefined;
}
