import { cidrsOf, type Network } from '../../network/interface.ts';
import { entriesByMac, type Mac } from '../../network/mac.ts';
import type { Pending } from '../files/host-record.ts';
import type { ForeignScope } from '../host/foreign-state.ts';
import { linkSteps, nicOf, type LinkTarget } from '../host/links.ts';
import type { HostState, Link, LinkStep, Profiles } from '../host/machine.ts';
import type { FileStep } from './file-order.ts';
import { takesAway } from './link-phases.ts';
import type { Plan } from './plan.ts';

/** The work that a change, or its undo, gives to the network managers of the host. */
export type ManagerWork =
  | { readonly kind: 'none' }
  /** The manager reads all of its files again (`apply: full`), which may touch these NICs that the agent manages. */
  | { readonly kind: 'reload'; readonly paths: readonly string[]; readonly macs: readonly Mac[] }
  /** NetworkManager reads these files and gives these NICs these profiles. */
  | { readonly kind: 'profiles'; readonly paths: readonly string[]; readonly profiles: Profiles };

/** The profiles of NetworkManager that a plan is about. */
export interface ProfileChange {
  readonly before: Profiles;
  readonly wanted: Profiles;
  /** The file of each NIC's profile, by MAC. */
  readonly paths: ReadonlyMap<Mac, string>;
}

/** Everything that a change will do and check, decided before anything is touched. */
export interface ChangePlan {
  /** Steps in the order in which the change carries them out. */
  readonly files: readonly FileStep[];
  /** The paths of all steps, each path once. */
  readonly paths: readonly string[];
  /** NICs of the commit that are on the machine. */
  readonly present: Network;
  /** Links that the change configures, as it finds them. */
  readonly before: readonly Link[];
  /** The same links with their targets. */
  readonly targets: readonly LinkTarget[];
  /** All links of the plan as verification expects them, with those that the change leaves alone. */
  readonly expected: readonly LinkTarget[];
  /** MACs of NICs that need a carrier afterwards. */
  readonly configured: readonly Mac[];
  /** MACs whose links or profiles the change touches. */
  readonly changed: ReadonlySet<Mac>;
  /** NetworkManager's profiles of these NICs as the change finds them; absent: none to bring back. */
  readonly profiles?: Profiles;
  readonly manager: ManagerWork;
  /** How much foreign state the change may take away, and has to restore. */
  readonly foreignScope: ForeignScope;
}

export interface ChangeFacts {
  readonly before: HostState;
  /** Absent: NetworkManager has no part in the plan. */
  readonly profiles: ProfileChange | undefined;
  /** The network manager is to read all of its files again. */
  readonly reload: boolean;
  /** networkd has a file for the old or the new name of a NIC that the plan renames. */
  readonly renamesForNetworkd: boolean;
}

export function planChange(plan: Plan, facts: ChangeFacts): ChangePlan {
  const { before, profiles, reload, renamesForNetworkd } = facts;
  const changed = changedMacs(plan, facts);
  const paths = [...new Set(plan.files.map((step) => step.path))];
  const targets = plan.targets.filter(({ mac }) => changed.has(mac));
  const steps = linkSteps(before.links, targets);
  // A VLAN or bond may copy the MAC of its NIC.
  const links = before.links.filter(
    (link) => changed.has(link.mac) && nicOf(before.links, link.mac) === link,
  );
  const manager: ManagerWork = reload
    ? { kind: 'reload', paths, macs: targets.map(({ mac }) => mac) }
    : profileWork(profiles, paths, links);
  return {
    files: plan.files,
    paths,
    present: plan.present,
    before: links,
    targets,
    expected: plan.targets.map((target) => (changed.has(target.mac) ? target : untouched(target, plan))),
    configured: configuredMacs(plan, before.links, changed),
    changed,
    ...(profiles !== undefined && { profiles: pick(profiles.before, [...changed]) }),
    manager,
    foreignScope: foreignScope(steps, manager, renamesForNetworkd),
  };
}

/** How much foreign state these steps and this work of a manager may take away. */
export function foreignScope(
  steps: readonly LinkStep[],
  { kind }: ManagerWork,
  renamesForNetworkd: boolean,
): ForeignScope {
  if (kind === 'reload') return 'all';
  if (renamesForNetworkd) return 'rules';
  return kind === 'none' && !steps.some(takesAway) ? 'single' : 'ours';
}

/**
 * MACs of the NICs that the change touches. A network manager that reads all of its files again may touch all our NICs.
 */
function changedMacs(plan: Plan, { before, profiles, reload }: ChangeFacts): ReadonlySet<Mac> {
  const links = reload ? plan.targets : linkSteps(before.links, plan.targets);
  const otherProfile = entriesByMac(profiles?.wanted ?? {}).flatMap(([mac, profile]) =>
    (profiles?.before[mac] ?? null) === profile ? [] : [mac],
  );
  return new Set([...links.map(({ mac }) => mac), ...otherProfile]);
}

/**
 * The expected state of a NIC that the change leaves alone. Only our addresses are expected, because addresses of other
 * software may come and go.
 */
function untouched(target: LinkTarget, { present }: Plan): LinkTarget {
  const nic = present.find(({ mac }) => mac === target.mac);
  return { ...target, addresses: nic === undefined ? [] : cidrsOf(nic) };
}

/** MACs of changed NICs that need a carrier. A NIC whose settings, routes or rules change needs none. */
function configuredMacs(
  { present, targets }: Plan,
  links: readonly Link[],
  changed: ReadonlySet<Mac>,
): Mac[] {
  const steps = Map.groupBy(linkSteps(links, targets), ({ mac }) => mac);
  const needsNone = (mac: Mac): boolean => steps.get(mac)?.every(({ op }) => NEEDS_NONE.has(op)) === true;
  return present.flatMap(({ mac }) => (changed.has(mac) && !needsNone(mac) ? [mac] : []));
}

const NEEDS_NONE: ReadonlySet<LinkStep['op']> = new Set(['ipv6', 'sysctl', 'route', 'unroute']);

function profileWork(
  change: ProfileChange | undefined,
  paths: readonly string[],
  links: readonly Link[],
): ManagerWork {
  if (change === undefined) return { kind: 'none' };
  const profiles = pick(
    change.wanted,
    links.map(({ mac }) => mac),
  );
  const own = [...change.paths].flatMap(([mac, path]) => (profiles[mac] ? [path] : []));
  return { kind: 'profiles', paths: [...new Set([...paths, ...own])], profiles };
}

function pick(profiles: Profiles, macs: readonly Mac[]): Record<string, string | null> {
  return Object.fromEntries(entriesByMac(profiles).filter(([mac]) => macs.includes(mac)));
}

/**
 * The links of a change as the host record keeps them. Addresses of networkd and the bond of a NIC are left out;
 * NetworkManager's part is recorded only if the change reverses it.
 */
export function recordedLinks({ before, targets }: ChangePlan): Pending['links'] {
  const managed = new Map(
    targets.flatMap(({ mac, networkManager }) =>
      networkManager === undefined ? [] : [[mac, !networkManager] as const],
    ),
  );
  return {
    before: before.map(({ master: _, software: __, loaded: ___, networkManager: ____, ...link }) => ({
      ...link,
      ...(managed.has(link.mac) && { networkManager: managed.get(link.mac) === true }),
    })),
    after: targets.map(({ dropped: _, unrouted: __, ...target }) => target),
  };
}
