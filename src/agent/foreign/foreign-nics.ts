// A NIC as a file of somebody else's describes it, and whether a NIC of the machine is that one.
import { globsMatch } from './systemd-files.ts';

/** What a description asks of a NIC; all of it has to fit, and one without any asks nothing. */
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

/** A NIC that somebody else's file describes. */
export interface DescribedNic {
  /** Key under `ethernets`; with `profile`, NetworkManager’s name for it. */
  readonly id: string;
  readonly match: NicMatch;
  readonly file: string;
  readonly by: 'netplan' | 'profile';
  /** What it has beyond DHCP, as keys: `addresses`; empty: what cloud-init or an installer writes for any NIC. */
  readonly more: readonly string[];
}

/** A NIC of the machine, by all that a description may go by. */
export interface NicWords {
  readonly mac: string;
  /** The names that it has, had or shall have. */
  readonly names: readonly string[];
  /** Absent: not known, or none. */
  readonly driver?: string;
}

/** Whether a description is of this NIC. Where the driver is not known, one by the driver is. */
export function describes({ match }: DescribedNic, { mac, names, driver }: NicWords): boolean {
  const { patterns = [], drivers = [] } = match;
  return (
    (match.mac === undefined || match.mac === mac) &&
    (match.name === undefined || names.includes(match.name)) &&
    (patterns.length === 0 || names.some((name) => globsMatch(patterns, name))) &&
    (drivers.length === 0 || driver === undefined || globsMatch(drivers, driver)) &&
    Object.keys(match).length > 0
  );
}

/** Whether a description may be of several NICs, so that its ID cannot be one NIC's. */
export function isShared({ match }: DescribedNic): boolean {
  return match.mac === undefined && match.name === undefined;
}
