import { entriesByMac } from '../../network/mac.ts';
import type { Pending, RecordedLink } from '../files/host-record.ts';
import { except, withFreeNames, nicOf, type LinkTarget } from '../host/links.ts';
import { NO_ROUTING, unroutedFrom } from '../host/routing.ts';
import type { ClaimedAddress, Conflict, HostState, Link, NamedNic } from '../host/machine.ts';
import type { ManagerWork } from './change-plan.ts';

/** Everything that an undo will do to links and managers, decided before any of them is touched. */
export interface UndoPlan {
  readonly targets: readonly LinkTarget[];
  /** Links that cannot get their old name back, because another NIC has that name by now. */
  readonly renamed: readonly NamedNic[];
  readonly manager: ManagerWork;
  /** NICs of the change that are on the machine, with their present names. */
  readonly nics: readonly NamedNic[];
}

export interface UndoFacts {
  readonly now: Pick<HostState, 'links' | 'bootId'>;
  /** The host has restored itself since the change. Anything that a person did later is then not part of the change. */
  readonly hasRestored: boolean;
}

/**
 * The addresses that the undo brings back after a reboot, because another machine may have them by now (a VIP). In the
 * same boot the list is empty, because no other machine needs to be asked.
 */
export function claimedByUndo(pending: Pending, facts: UndoFacts): ClaimedAddress[] {
  const { now } = facts;
  if (now.bootId === pending.bootId) return [];
  return linksToUndo(pending, facts).flatMap(({ mac, addresses }) => {
    const nic = nicOf(now.links, mac);
    const wanted = except(addresses, [...(nic?.leases ?? []), ...(nic?.addresses ?? [])]);
    return wanted.map((address) => ({ mac, address }));
  });
}

/** @param conflicts claims of `claimedByUndo` that other machines have: the undo leaves these addresses to them */
export function planUndo(pending: Pending, facts: UndoFacts, conflicts: readonly Conflict[]): UndoPlan {
  const { links } = facts.now;
  const left = linksToUndo(pending, facts);
  const taken = conflicts.map(({ address }) => address);
  const wanted = left.map((link) => targetOf(link, pending, links, taken));
  const targets = withFreeNames(wanted, links);
  const names = new Set(pending.links.before.map(({ name }) => name));
  const renamed = targets.filter(({ name }) => !names.has(name));
  return {
    targets,
    renamed,
    manager: managerWork(pending, left, renamed, facts),
    nics: pending.links.before.flatMap(({ mac }) => nicOf(links, mac) ?? []),
  };
}

/** All links of the change, or, once the host has restored itself, only those that still show the change. */
function linksToUndo({ links }: Pending, { now, hasRestored }: UndoFacts): readonly RecordedLink[] {
  return hasRestored ? links.before.filter((link) => isChanged(link, now.links, links.after)) : links.before;
}

/** Whether a link still has something that the change gave it. */
function isChanged(before: RecordedLink, links: readonly Link[], targets: readonly RecordedLink[]): boolean {
  const now = nicOf(links, before.mac);
  const after = targets.find(({ mac }) => mac === before.mac);
  if (now === undefined || after === undefined) return false;
  return (
    (now.name === after.name && now.name !== before.name) ||
    (now.mtu === after.mtu && now.mtu !== before.mtu) ||
    now.addresses.some((each) => after.addresses.includes(each) && !before.addresses.includes(each)) ||
    isRouted(now, before, after)
  );
}

/** Whether a link still has a rule or a route that the change gave it. */
function isRouted({ routing = NO_ROUTING }: Link, before: RecordedLink, after: RecordedLink): boolean {
  const { rules, routes } = unroutedFrom(after.routing ?? NO_ROUTING, before.routing ?? NO_ROUTING);
  return (
    routing.rules.some((each) => rules.includes(each)) || routing.routes.some((each) => routes.includes(each))
  );
}

/**
 * The target of a link in an undo. The undo drops the addresses of the change, but no lease and no address that was
 * added since.
 */
function targetOf(
  { leases = [], ...link }: RecordedLink,
  { links: { after } }: Pending,
  links: readonly Link[],
  taken: readonly string[],
): LinkTarget {
  const now = nicOf(links, link.mac);
  return {
    ...link,
    // Records of earlier versions list leases among the addresses.
    addresses: except(link.addresses, [...(now?.leases ?? []), ...taken]),
    dropped: addressesOnlyIn(after, { ...link, leases }),
    ...unroutedOf(after, link),
  };
}

/** The rules and routes that a link has in one state and not in the other state. */
export function unroutedOf(
  state: readonly RecordedLink[],
  { mac, routing = NO_ROUTING }: RecordedLink,
): Pick<LinkTarget, 'unrouted'> {
  const had = state.find((link) => link.mac === mac)?.routing;
  return had === undefined ? {} : { unrouted: unroutedFrom(had, routing) };
}

/** The addresses that a link has in one state and not in the other. */
export function addressesOnlyIn(
  state: readonly RecordedLink[],
  { mac, addresses, leases = [] }: RecordedLink,
): string[] {
  const had = state.find((link) => link.mac === mac)?.addresses ?? [];
  return except(had, [...addresses, ...leases]);
}

function managerWork(
  { reload, files, links, profiles }: Pending,
  left: readonly RecordedLink[],
  renamed: readonly NamedNic[],
  { hasRestored }: UndoFacts,
): ManagerWork {
  if (hasRestored && left.length === 0) return { kind: 'none' };
  const paths = files.map(({ path }) => path);
  if (reload) return { kind: 'reload', paths, macs: links.after.map(({ mac }) => mac) };
  if (profiles === undefined) return { kind: 'none' };
  const macs = new Set(left.map(({ mac }) => mac));
  const withOtherName = new Set(renamed.map(({ mac }) => mac));
  const own = entriesByMac(profiles).filter(([mac]) => macs.has(mac));
  return {
    kind: 'profiles',
    paths,
    // An automatic profile is bound to the NIC's name, so a NIC with another name cannot have it.
    profiles: Object.fromEntries(own.map(([mac, profile]) => [mac, withOtherName.has(mac) ? null : profile])),
  };
}
