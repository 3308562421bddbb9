import type { Claim, Host, Link, LinkStep, Profiles } from '../host/host.ts';
import { except, linkSteps, nicOf, type LinkTarget } from '../host/links.ts';

const MAX_ROUNDS = 3;

/** What NetworkManager is told, where it is the one that configures the NICs. */
export interface Settling {
  /** Files that were written or removed. */
  readonly paths: readonly string[];
  readonly profiles: Profiles;
}

export interface Activation {
  readonly host: Host;
  readonly targets: readonly LinkTarget[];
  readonly change: (step: LinkStep) => Promise<void>;
  /** Called when the links have their names. */
  readonly renamed: (steps: readonly LinkStep[]) => Promise<void>;
  /** Called before they get any of these addresses. */
  readonly claim?: (claims: readonly Claim[]) => Promise<void>;
  /** Has a network manager do its part. @param steps what the kernel lacks, as of before */
  readonly settle?: ((steps: readonly LinkStep[]) => Promise<void>) | undefined;
  /** Puts what others had through the NICs on them again: it went while they were down. */
  readonly giveBack: () => Promise<void>;
}

/**
 * Brings running links to their targets. No network manager renames in time, so names come first; then it has its say,
 * and whatever is still different after that (an MTU or address that nobody's profile has) is set in the kernel.
 */
export async function activateLinks({
  host,
  targets,
  change,
  renamed,
  claim,
  settle,
  giveBack,
}: Activation): Promise<void> {
  const { links: before } = await host.state();
  const first = linkSteps(before, targets);
  for (const step of first) if (step.op === 'ipv6' || mustLeave(step, first)) await change(step);
  for (const step of first) if (step.op === 'rename') await change(step);
  await renamed(first);
  const whole = withLoaded(targets, first, before, (await host.state()).links);
  await claim?.(
    first.flatMap((step) => (step.op === 'add' ? [{ mac: step.mac, address: step.address }] : [])),
  );
  await settle?.(first);
  // Where promote_secondaries is off, an address that leaves takes those of its subnet along: they are given back.
  for (let round = 1; round <= MAX_ROUNDS; round += 1) {
    const left = linkSteps((await host.state()).links, whole);
    if (left.length === 0) break;
    for (const step of left) await change(step);
  }
  await giveBack();
}

/** networkd gives a NIC that gets a name back the addresses that its file had at boot: those are nobody's. */
function withLoaded(
  targets: readonly LinkTarget[],
  steps: readonly LinkStep[],
  before: readonly Link[],
  now: readonly Link[],
): LinkTarget[] {
  return targets.map((target) => {
    const isRenamed = steps.some(({ op, mac }) => op === 'rename' && mac === target.mac);
    const loaded = (isRenamed && nicOf(now, target.mac)?.loaded) || [];
    const had = nicOf(before, target.mac)?.addresses ?? [];
    return { ...target, dropped: [...target.dropped, ...except(loaded, [...target.addresses, ...had])] };
  });
}

/**
 * An address must have left a NIC before the next one gets it: of IPv6 a duplicate is refused. And a rename would put it
 * back in the kernel behind NetworkManager's back, which then takes it for somebody's.
 */
function mustLeave(step: LinkStep, steps: readonly LinkStep[]): boolean {
  if (step.op !== 'drop') return false;
  return steps.some(
    (each) =>
      (each.op === 'add' && each.address === step.address) || (each.op === 'rename' && each.mac === step.mac),
  );
}

/** NICs that are as they shall be keep their connection as it is: to activate it anew is to interrupt it. */
export async function settleProfiles(
  host: Host,
  { paths, profiles }: Settling,
  steps: readonly LinkStep[],
): Promise<void> {
  const now = await host.profiles(Object.keys(profiles));
  const changing = new Set(steps.map(({ mac }) => mac));
  const unsettled = Object.entries(profiles).filter(
    ([mac, uuid]) => changing.has(mac) || (now?.[mac] ?? null) !== uuid,
  );
  await host.settle(paths, Object.fromEntries(unsettled));
}
