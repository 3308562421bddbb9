// The agent's view of the machine: small ports, one for each concern. A phase of a run takes only the ports that it uses.
// A recorded host (local home) and a live host implement the same ports.
import type { RendererKind } from '../../network/node.ts';
import type { Mac } from '../../network/mac.ts';
import type { Pending } from '../files/host-record.ts';
import type { NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import type { ForeignScope, ForeignState } from './foreign-state.ts';
import type {
  ClaimedAddress,
  Conflict,
  HostState,
  Link,
  LinkGroup,
  MachineIdentity,
  NamedNic,
  Destinations,
  Profiles,
  Readiness,
  Rename,
  Upper,
  Packet,
  RouteLookup,
} from './machine.ts';
import type { Probe } from './probe.ts';
import type { KnownRouting } from './routing.ts';

/** Reads the machine. */
export interface MachinePort {
  /**
   * @param known routing that the reader looks for; absent: links have no `routing`
   * @throws MultinicError `HostUnreadable`
   */
  state(known?: KnownRouting): Promise<HostState>;
  /**
   * Reads the links alone, because a node may have 100,000 routes. Unlike `state`, includes leases of automatic
   * profiles.
   */
  links(known?: KnownRouting): Promise<readonly Link[]>;
  /**
   * Links on top of the host's NICs in other network namespaces, as far as the agent can enter these namespaces.
   * `uppers` of `state` has the links in the host's own namespace.
   */
  uppersElsewhere(): Promise<readonly Upper[]>;
  /** Reads the part of `state` that needs no command. */
  identity(): Promise<MachineIdentity>;
  /** Waits a moment for NICs that are being attached. */
  attached(macs: readonly Mac[]): Promise<void>;
  /**
   * The kernel's routes to the given addresses and to the servers of the host's kubelet: with the kernel's choice of the
   * source, and from each of the node's own addresses. An address without a route has no result.
   */
  lookUpRoutes(destinations: Destinations): Promise<readonly RouteLookup[]>;
  /** The kernel's routes of these packets. A packet without a route has no result. */
  waysFrom(packets: readonly Packet[]): Promise<readonly RouteLookup[]>;
}

/** Changes running links and waits for them. */
export interface LinkPort {
  /** Makes the changes of one group (`groupsOf`) in the kernel. @throws MultinicError `LinkRefused` */
  change(group: LinkGroup): Promise<void>;
  /** Waits a moment for carriers and for the end of IPv6 duplicate address detection. */
  readiness(macs: readonly Mac[]): Promise<readonly Readiness[]>;
}

/** Asks other machines on the networks of the NICs. */
export interface NeighbourPort {
  /**
   * Brings NICs up and asks their networks for IPv4 addresses that this host does not have. An answer proves that an
   * address is taken; silence proves nothing, because a port may drop such questions.
   */
  conflicts(claims: readonly ClaimedAddress[]): Promise<readonly Conflict[]>;
  /**
   * Tells the networks of the NICs which MAC has these IPv4 addresses now. A machine that knows another MAC for an
   * address would otherwise send packets there for up to minutes.
   */
  announce(claims: readonly ClaimedAddress[]): Promise<void>;
  /** Whether a machine on the network of a NIC answers within a few seconds. */
  answers(probe: Probe): Promise<boolean>;
}

/** Talks to the network managers of the host: NetworkManager, systemd-networkd, netplan. */
export interface ManagerPort {
  /**
   * Reads the profile that NetworkManager has for each of these NICs, so that an undo can bring it back.
   * @returns undefined: the host has no NetworkManager to ask (a recorded host)
   * @throws MultinicError `NetworkManagerDown`, `NicUnmanaged`
   */
  profiles(macs: readonly Mac[]): Promise<Profiles | undefined>;
  /**
   * Tells NetworkManager which files were written or removed, and makes it use these profiles for these NICs.
   * @throws MultinicError `NetworkManagerDown`, `NetworkManagerRefused`
   */
  applyProfiles(paths: readonly string[], profiles: Profiles): Promise<void>;
  /**
   * Whether networkd has a file for a NIC of this name. When networkd releases such a NIC, or manages it again,
   * networkd drops the rules and blackhole routes of other software.
   */
  hasNetworkdFile(nic: NamedNic): boolean;
  /** Waits until networkd has noticed these renames. @returns the kernel's numbers of the links that are up */
  networkdNotices(renames: readonly Rename[]): Promise<readonly number[]>;
  /** Waits until networkd has configured these links. */
  awaitNetworkd(indexes: readonly number[]): Promise<void>;
  /**
   * Makes the network manager read all of its files again and act on them (`apply: full`). The manager removes foreign
   * state meanwhile.
   * @param paths files that were written or removed
   * @throws MultinicError `ApplyFailed`
   */
  reload(paths: readonly string[]): Promise<void>;
}

/** Reads and restores routes, rules, addresses and permanent neighbours of other software. */
export interface ForeignStatePort {
  /** @param macs NICs that are to change */
  read(macs: readonly Mac[], scope: ForeignScope): Promise<ForeignState>;
  /**
   * Adds missing entries and overwrites nothing.
   * @param links links by the names that the state has for them
   * @param isReloaded a network manager has read its files again: entries that it may have written are not added
   * @returns the part that could not be restored
   */
  restore(state: ForeignState, links: readonly NamedNic[], isReloaded?: boolean): Promise<ForeignState>;
}

/**
 * How the OS applies our routing settings at boot. `none`: it does not know them; `apart`: the NIC's route comes before
 * that of another NIC in the same subnet; `beside`: the other NIC's route comes first.
 */
export type BootRouting = 'none' | 'apart' | 'beside';

/** Foresees the next boot. */
export interface BootPort {
  /** Whether the host, at boot, sets the metric of a connected route by our metric file for this renderer. */
  canYield(kind: RendererKind): Promise<boolean>;
  /** How far the host applies the rules and routes of our files at boot for this renderer. */
  routing(kind: RendererKind): Promise<BootRouting>;
  /**
   * Makes the OS's own generator read a staged copy of its configuration folders.
   * @param staging folder that stands for the root: `<staging>/etc/netplan/…`
   * @throws MultinicError `ValidationFailed` in the generator's words
   */
  validate(kinds: readonly RendererKind[], staging: string): Promise<void>;
  /**
   * Tells which files give these NICs their names and addresses at the next boot.
   * @param staging folder as `validate` left it; absent: the real files
   * @returns none where no generator can tell (a recorded host of netplan)
   */
  nextBoot(nics: readonly BootNic[], kind: RendererKind, staging?: string): Promise<readonly NextBoot[]>;
}

/** The restore that the host does by itself when this process does not come back. */
export interface DeadManPort {
  /** Arms the host's own restore: after so many seconds the host undoes this change, even if this process has died. */
  arm(pending: Pending, seconds: number): Promise<void>;
  /**
   * Disarms the restore once the record says that the change, or its undo, is over. A restore that has begun by then
   * waits for the lock of this run, and finds nothing to do.
   */
  disarm(): Promise<void>;
}

export interface Host {
  readonly machine: MachinePort;
  readonly links: LinkPort;
  readonly neighbours: NeighbourPort;
  readonly managers: ManagerPort;
  readonly foreign: ForeignStatePort;
  readonly boot: BootPort;
  readonly deadMan: DeadManPort;
}
