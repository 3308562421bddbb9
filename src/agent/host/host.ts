// The agent runs on a node, once, applies one commit safely, reports and exits. This file is its view of the machine:
// what it may ask and the few things that it may do. Everything above this line is the same for a recorded host (the
// local home) and for a live one.
import type { RendererKind } from '../../network/node.ts';
import type { NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import type { Probe } from './probe.ts';

/** A network interface of the machine as its kernel has it now. */
export interface Link {
  readonly name: string;
  /** Lower case, with colons. */
  readonly mac: string;
  readonly up: boolean;
  readonly mtu: number;
  /** Those that last, with prefix, canonical text: `192.168.100.10/24`. */
  readonly addresses: readonly string[];
  /** Those that run out: a DHCP server's, or a router's. They are the network's to give and to take. */
  readonly leases?: readonly string[];
  /** Absent where the kernel does no IPv6 on it. */
  readonly ipv6?: Ipv6;
  /** Name of the bond or bridge that this link is part of. */
  readonly master?: string;
  /** Of a NIC with a name of ours: the addresses that systemd-networkd has loaded for it, if any. */
  readonly loaded?: readonly string[];
}

/** A NIC, as far as it takes to find it and to speak of it. */
export type NamedNic = Pick<Link, 'mac' | 'name'>;

/** What a kernel does by itself on a link, as in /proc/sys/net/ipv6/conf. */
export interface Ipv6 {
  /** 0: a router that advertises itself is not listened to. */
  readonly acceptRa: number;
  /** How it makes its link-local address; 1: it makes none. */
  readonly addrGenMode: number;
}

/** A route that does not follow from an address alone. */
export interface Route {
  /** `default`, or a network with prefix. */
  readonly to: string;
  readonly via?: string;
  /** Name of the link that it leads through. */
  readonly dev: string;
}

/** How the kernel sends a packet to an address. */
export interface Way {
  readonly to: string;
  /** The address that the packet has as its source; absent: the kernel chooses it. */
  readonly from?: string;
  /** Name of the link that the packet leaves by. */
  readonly dev: string;
  readonly via?: string;
}

/** Which machine it is, and which boot of it. */
export interface MachineIdentity {
  /** /etc/machine-id. */
  readonly machineId: string;
  /** New with every boot. */
  readonly bootId: string;
}

export interface HostState extends MachineIdentity {
  readonly osImage: string;
  /** Addresses under which the cluster knows this node, where that is known: their NIC is never touched. */
  readonly nodeAddresses: readonly string[];
  readonly links: readonly Link[];
  readonly routes: readonly Route[];
  /** Other names that links answer to: the kernel gives none of them to another. */
  readonly altnames?: readonly Altname[];
  /** Links that stand on others: VLANs, and what a CNI makes of a NIC (macvlan, ipvlan). */
  readonly uppers?: readonly Upper[];
  /** Of what is no NIC, the loopback device or a tunnel: BGP daemons and kube-proxy have addresses there. */
  readonly otherAddresses?: readonly HeldAddress[];
}

export interface Altname {
  readonly altname: string;
  /** Of the link. */
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
  /** Name of the link that it stands on. */
  readonly lower: string;
}

export interface Rename {
  readonly mac: string;
  readonly from: string;
  readonly to: string;
}

/** One change of a running link, named by MAC because names are what changes. */
export type LinkStep =
  | ({ readonly op: 'rename' } & Rename)
  | ({ readonly op: 'ipv6'; readonly mac: string } & Ipv6)
  | { readonly op: 'set'; readonly mac: string; readonly mtu: number; readonly up: boolean }
  | { readonly op: 'add'; readonly mac: string; readonly address: string }
  | { readonly op: 'drop'; readonly mac: string; readonly address: string };

/** An address, with its prefix, that a NIC is to have. */
export interface Claim {
  readonly mac: string;
  readonly address: string;
}

/** A claim on what is another machine's already. */
export interface Conflict extends Claim {
  /** MAC of who answers for it, where that is known. */
  readonly holder?: string;
}

/** What a link came to, a moment after a change. */
export interface Readiness {
  readonly mac: string;
  readonly carrier: boolean;
  /** Those that the kernel found to be another machine's. */
  readonly duplicates: readonly string[];
  /** Those of which it does not know yet. */
  readonly undecided: readonly string[];
}

/** NetworkManager's profile of each NIC, by MAC: its uuid, or its file where that has none. null: no profile. */
export type Profiles = Readonly<Record<string, string | null>>;

/**
 * What a change may take from others. ours: what leads through the NICs that change; rules: that, and what is on no NIC
 * (policy rules, blackholes), or over several (systemd 257); all: whatever they have on all of the node's NICs.
 */
export type OthersScope = 'ours' | 'rules' | 'all';

export interface Host {
  /** @throws MultinicError `HostUnreadable` */
  state(): Promise<HostState>;
  /** Of `state`, what needs no command. */
  identity(): Promise<MachineIdentity>;
  /**
   * The kernel's ways to these addresses, and to what the host itself must reach: as the kernel chooses, and from each of
   * the node's own addresses. An address that nothing leads to has none.
   */
  ways(needs: { readonly to: readonly string[]; readonly from: readonly string[] }): Promise<readonly Way[]>;
  /**
   * Lets the OS's own generator read a staged copy of its configuration folders.
   * @param staging folder that stands for the root: `<staging>/etc/netplan/…`
   * @throws MultinicError `ValidationFailed` in the generator's words
   */
  validate(kinds: readonly RendererKind[], staging: string): Promise<void>;
  /**
   * Which files will give these NICs their names and addresses at the next boot.
   * @param staging as `validate` left it; absent: from the files as they are
   * @returns none where that cannot be told (a recorded host of netplan, which has no generator)
   */
  nextBoot(nics: readonly BootNic[], kind: RendererKind, staging?: string): Promise<readonly NextBoot[]>;
  /** Waits a moment for NICs that are just being attached. */
  attached(macs: readonly string[]): Promise<void>;
  /** Makes one change in the kernel. @throws MultinicError `LinkRefused` */
  change(step: LinkStep): Promise<void>;
  /**
   * Brings NICs up and asks their networks for IPv4 addresses that nobody here has. An answer proves that one is taken;
   * silence proves nothing, because a port may let no such question through.
   */
  conflicts(claims: readonly Claim[]): Promise<readonly Conflict[]>;
  /** Waits a moment for carriers, and for the kernel to find out whether IPv6 addresses are another machine's too. */
  readiness(macs: readonly string[]): Promise<readonly Readiness[]>;
  /** Whether a machine on the network of a NIC answers, within a few seconds. */
  answers(probe: Probe): Promise<boolean>;
  /**
   * What the host's NetworkManager has these NICs do, so that it can be had again.
   * @returns undefined: there is none to be asked (a recorded host)
   * @throws MultinicError `NetworkManagerDown`, `NicUnmanaged`
   */
  profiles(macs: readonly string[]): Promise<Profiles | undefined>;
  /**
   * Tells NetworkManager of files that were written or removed, and has it give these NICs these profiles, and no
   * others anything.
   * @throws MultinicError `NetworkManagerDown`, `NetworkManagerRefused`
   */
  settle(paths: readonly string[], profiles: Profiles): Promise<void>;
  /**
   * Whether networkd has a file for a NIC of this name. When it lets go of one, or configures one anew that it had let go
   * of, it drops others' rules and blackholes.
   */
  isNetworkds(nic: NamedNic): boolean;
  /** Waits until networkd is through with NICs that it takes or lets go of. @param begun called as soon as it has */
  retaken(renames: readonly Rename[], begun: () => Promise<void>): Promise<void>;
  /**
   * What others put on a host and a change of these NICs takes: routes, permanent neighbours, and by the scope more.
   * @returns what `giveBack` takes
   */
  others(macs: readonly string[], scope: OthersScope): Promise<readonly string[]>;
  /**
   * @param links whose names of then are in it
   * @returns what could not be had again
   */
  giveBack(others: readonly string[], links: readonly NamedNic[]): Promise<readonly string[]>;
  /**
   * Lets the OS's network manager read its files anew and act on all of them (`apply: full`). What others put on the
   * node's other NICs goes with it, and is given back.
   * @param paths files that were written or removed
   * @param macs of the NICs that are ours
   * @throws MultinicError `ApplyFailed`
   */
  reload(paths: readonly string[], macs: readonly string[]): Promise<void>;
  /** Has the host restore itself from the record after that many seconds, whatever becomes of this process. */
  arm(seconds: number): Promise<void>;
  /**
   * Called once the record says that the change, or its undo, is over: a restore of the host's own that has begun waits for
   * this run's lock, and finds nothing to do.
   */
  disarm(): Promise<void>;
}
