// The phases in which running links change. No network manager renames a NIC in time, so the kernel's names come first;
// then the managers do their part, and whatever still differs (an MTU or address that no profile has) is set in the kernel.
import { except, nicOf, type LinkTarget } from '../host/links.ts';
import type { ClaimedAddress, Link, LinkGroup, LinkStep, NamedNic } from '../host/machine.ts';

/**
 * Limit on the rounds in which the agent sets in the kernel whatever still differs after the names and the managers.
 */
export const MAX_ROUNDS = 4;

/**
 * The steps of one round. Routes and rules of a NIC come in a round of their own, because they need its addresses, and
 * an address that goes may take others of its subnet along.
 */
export function stepsOfRound(steps: readonly LinkStep[]): LinkStep[] {
  const others = new Set(steps.flatMap(({ op, mac }) => (op === 'route' ? [] : [mac])));
  return steps.filter(({ op, mac }) => op !== 'route' || !others.has(mac));
}

/** Puts the addresses together that a NIC gets one after the other: a NIC may get 16 at once. */
export function groupsOf(steps: readonly LinkStep[]): LinkGroup[] {
  const groups: [LinkStep, ...LinkStep[]][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    const [{ op, mac } = step] = last ?? [];
    if (last !== undefined && step.op === 'add' && op === 'add' && step.mac === mac) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

type RenameStep = LinkStep & { op: 'rename' };

const EARLY: ReadonlySet<LinkStep['op']> = new Set(['unroute', 'ipv6', 'sysctl']);

/**
 * Steps that come before all others: NetworkManager lets go of NICs; rules and routes that go; settings, because a link
 * that comes up applies them; and addresses that have to leave early.
 */
export function earlySteps(steps: readonly LinkStep[]): LinkStep[] {
  return steps.filter((step) => EARLY.has(step.op) || letsGo(step) || mustLeaveEarly(step, steps));
}

/** Whether NetworkManager lets go of a NIC with this step. */
function letsGo(step: LinkStep): boolean {
  return step.op === 'manage' && !step.networkManager;
}

export function renameSteps(steps: readonly LinkStep[]): RenameStep[] {
  return steps.filter((step) => step.op === 'rename');
}

/** The addresses that the steps add to these NICs. */
export function claimedAddresses(
  steps: readonly LinkStep[],
  nics: readonly Pick<NamedNic, 'mac'>[],
): ClaimedAddress[] {
  const macs = new Set(nics.map(({ mac }) => mac));
  return steps.flatMap((step) =>
    step.op === 'add' && macs.has(step.mac) ? [{ mac: step.mac, address: step.address }] : [],
  );
}

/** The kernel does no IPv6 on a link with a smaller MTU, and removes the IPv6 addresses and routes of the link. */
const IPV6_MTU = 1280;

/**
 * Whether a step takes an address away or may take its link down, and routes with it. A driver may reset its link for an
 * MTU; routes then stay.
 */
export function takesAway(step: LinkStep): boolean {
  if (step.op === 'set') return !step.up || step.mtu < IPV6_MTU;
  return step.op === 'rename' || step.op === 'drop' || letsGo(step);
}

/**
 * Targets that also drop addresses that networkd added. When a NIC gets a name back, networkd gives the NIC the
 * addresses that its file had at boot, and no commit has these.
 * @param before links before the renames
 * @param now links after the renames
 */
export function withoutLoaded(
  targets: readonly LinkTarget[],
  steps: readonly LinkStep[],
  before: readonly Link[],
  now: readonly Link[],
): LinkTarget[] {
  const renamed = new Set(renameSteps(steps).map(({ mac }) => mac));
  return targets.map((target) => {
    const loaded = (renamed.has(target.mac) && nicOf(now, target.mac)?.loaded) || [];
    const had = nicOf(before, target.mac)?.addresses ?? [];
    return { ...target, dropped: [...target.dropped, ...except(loaded, [...target.addresses, ...had])] };
  });
}

/**
 * An address leaves early when another NIC gets it, because the kernel refuses an IPv6 duplicate, and when its own NIC
 * is renamed. The rename would add the address again without NetworkManager, and NetworkManager would then take the
 * address for a person's.
 */
function mustLeaveEarly(step: LinkStep, steps: readonly LinkStep[]): boolean {
  if (step.op !== 'drop') return false;
  return steps.some(
    (each) =>
      (each.op === 'add' && each.address === step.address) || (each.op === 'rename' && each.mac === step.mac),
  );
}
