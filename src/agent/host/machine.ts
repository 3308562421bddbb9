// The agent's knowledge of a machine, as data.

import type { Mac } from '../../network/mac.ts';
import type { LinkRouting } from './routing.ts';

/** A network interface of the machine as its kernel has it now. */
export interface Link {
  readonly name: string;
  /** Lower case, with colons. */
  readonly mac: Mac;
  readonly up: boolean;
  readonly mtu: number;
  /** Addresses without a lifetime, with prefix, as canonical text: `192.168.100.10/24`. */
  readonly addresses: readonly string[];
  /** Addresses with a lifetime: a DHCP server or a router gives them and takes them away. */
  readonly leases?: readonly string[];
  /** Absent: the kernel does no IPv6 on the link. */
  readonly ipv6?: Ipv6;
  /** Name of the bond or bridge that this link is part of. */
  readonly master?: string;
  /** The kernel made the link in software: a bridge, a bond, a VLAN. Such a link may copy the MAC of a NIC. */
  readonly software?: boolean;
  /**
   * Addresses whose connected route has a metric of 1000 or more, so that the kernel prefers another NIC's route to the
   * same subnet.
   */
  readonly yields?: readonly string[];
  /** Whether NetworkManager manages the link. Absent: no NetworkManager runs, or it does not know the link. */
  readonly networkManager?: boolean;
  /** For a NIC with a managed name: the addresses that systemd-networkd has loaded for it, if any. */
  readonly loaded?: readonly string[];
  /** The part of the known routing that the kernel has. Absent: the reader did not look for any at this NIC. */
  readonly routing?: LinkRouting;
}

/** As much of a NIC as is needed to find it and to name it in a message. */
export type NamedNic = Pick<Link, 'mac' | 'name'>;

/** Settings by which the kernel configures IPv6 by itself, as in /proc/sys/net/ipv6/conf. */
export interface Ipv6 {
  /** 0: the kernel ignores router advertisements. */
  readonly acceptRa: number;
  /** How the kernel makes the link-local address; 1: it makes none. */
  readonly addrGenMode: number;
}

/** A route that does not follow from an address alone. */
export interface Route {
  /** `default`, or a network with prefix. */
  readonly to: string;
  readonly via?: string;
  /** Name of the link that the route leads through. */
  readonly dev: string;
}

/** A route to a subnet directly on a link. An address or a person makes such a route. */
export interface ConnectedRoute {
  /** The subnet, with prefix. */
  readonly to: string;
  readonly dev: string;
  readonly metric: number;
}

/** How the kernel sends a packet to an address. */
export interface RouteLookup {
  readonly to: string;
  /** The address that the packet has as its source; absent: the kernel chooses it. */
  readonly from?: string;
  /** Name of the link that the packet leaves by. */
  readonly dev: string;
  readonly via?: string;
}

/** A packet, by its source and destination. */
export type Packet = Required<Pick<RouteLookup, 'to' | 'from'>>;

/** The destinations that a node has to reach, and the node's own addresses from which it reaches them. */
export interface Destinations {
  readonly to: readonly string[];
  readonly from: readonly string[];
}

/** Identifies the machine and its boot. */
export interface MachineIdentity {
  /** /etc/machine-id. */
  readonly machineId: string;
  /** New with every boot. */
  readonly bootId: string;
  /** The UUID in the machine's firmware, which a new disk does not change. Absent: the firmware has none. */
  readonly systemUUID?: string;
}

export interface HostState extends MachineIdentity {
  readonly osImage: string;
  /**
   * Addresses by which the cluster knows this node, as far as the agent knows them. The agent never touches their NIC.
   */
  readonly nodeAddresses: readonly string[];
  readonly links: readonly Link[];
  readonly routes: readonly Route[];
  /** Alternative names of links. The kernel refuses such a name for another link. */
  readonly altnames?: readonly Altname[];
  /** Links on top of other links: VLANs, and links that a CNI makes of a NIC (macvlan, ipvlan). */
  readonly uppers?: readonly Upper[];
  /** The least and greatest MTU that the drivers of links take, as far as the kernel reports them. */
  readonly mtuLimits?: readonly MtuLimits[];
  /** Names of the links on which the kernel does no IPv6 until somebody switches it on. */
  readonly withoutIpv6?: readonly string[];
  /** Addresses of links that are no NICs, such as loopback and tunnels: BGP daemons and kube-proxy put them there. */
  readonly otherAddresses?: readonly HeldAddress[];
  /** Connected routes, without the routes to a single address. */
  readonly connected?: readonly ConnectedRoute[];
  /** Rules and routes of other software that concern the tables or addresses of the known routing. */
  readonly foreignRouting?: readonly ForeignRouting[];
}

/** A rule or route of other software, in the form of `ip`. */
export interface ForeignRouting {
  /** The NIC whose table or address it concerns. */
  readonly mac: Mac;
  readonly what: string;
}

export interface MtuLimits {
  /** Name of the link. */
  readonly name: string;
  readonly min: number;
  /** 0: the driver has no upper bound. */
  readonly max: number;
}

export interface Altname {
  readonly altname: string;
  /** Name of the link. */
  readonly name: string;
}

export interface HeldAddress {
  /** With prefix. */
  readonly address: string;
  /** Name of the link that has it. */
  readonly name: string;
}

export interface Upper {
  readonly name: string;
  /** Name of the link below. */
  readonly lower: string;
}

export interface Rename {
  readonly mac: Mac;
  readonly from: string;
  readonly to: string;
}

/** One change of a running link, which is named by its MAC because names change. */
export type LinkStep =
  /** NetworkManager lets go of the NIC, or manages it again. */
  | { readonly op: 'manage'; readonly mac: Mac; readonly networkManager: boolean }
  | ({ readonly op: 'rename' } & Rename)
  | ({ readonly op: 'ipv6'; readonly mac: Mac } & Ipv6)
  | { readonly op: 'set'; readonly mac: Mac; readonly mtu: number; readonly up: boolean }
  /**
   * Adds an address, or sets the metric of the connected route of an address that is there. `metric` absent: the
   * kernel's metric.
   */
  | { readonly op: 'add'; readonly mac: Mac; readonly address: string; readonly metric?: number }
  | { readonly op: 'drop'; readonly mac: Mac; readonly address: string }
  /** Sets values in net.ipv4.conf of the NIC. */
  | { readonly op: 'sysctl'; readonly mac: Mac; readonly values: Readonly<Record<string, number>> }
  /** Adds or removes routes and rules, in the form of `LinkRouting`. */
  | {
      readonly op: 'route' | 'unroute';
      readonly mac: Mac;
      readonly rules: readonly string[];
      readonly routes: readonly string[];
    };

/** One change of a NIC, or several addresses that a NIC gets. */
export type LinkGroup = readonly [LinkStep, ...LinkStep[]];

/** An address, with its prefix, that a NIC is to have. */
export interface ClaimedAddress {
  readonly mac: Mac;
  readonly address: string;
}

/** A claim on an address that another machine has already. */
export interface Conflict extends ClaimedAddress {
  /** MAC of the machine that answers for the address, if known. */
  readonly holder?: string;
}

/** State of a link a moment after a change. */
export interface Readiness {
  readonly mac: Mac;
  readonly carrier: boolean;
  /** Addresses that the kernel found on another machine (duplicate address detection). */
  readonly duplicates: readonly string[];
  /** Addresses whose duplicate address detection still runs. */
  readonly undecided: readonly string[];
}

/**
 * NetworkManager's profile of each NIC, by MAC: the profile's uuid, or its file if the file has no uuid; null: no
 * profile.
 */
export type Profiles = Readonly<Record<string, string | null>>;
