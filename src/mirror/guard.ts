// Guarded removal: a mistake in a CR must not take the network of a fleet.

import { DEFAULTS } from '../api/defaults.ts';

export interface GuardPolicy {
  /** Share of the nodes that had interfaces when the hour began. */
  readonly fraction: number;
  /** Number of nodes that may always be cleaned. */
  readonly minimum: number;
}

export const DEFAULT_GUARD: GuardPolicy = { fraction: DEFAULTS.maxRemoval / 100, minimum: 1 };
export const GUARD_WINDOW_S = 3600;

export interface Removal {
  readonly node: string;
  /** A person confirmed the removal. */
  readonly confirmed: boolean;
  /** The removal was stopped before, or no CR asked for it. Time does not release it, only a confirmation does. */
  readonly waiting: boolean;
}

export interface GuardView {
  /** Nodes that lost all interfaces in the hour before. */
  readonly cleanedLately: number;
  /** Nodes that had an interface when that hour began. */
  readonly configuredBefore: number;
}

/**
 * The nodes that must not be cleaned now: all unconfirmed ones if they are too many, otherwise those that already wait.
 */
export function stoppedRemovals(
  removals: readonly Removal[],
  view: GuardView,
  policy: GuardPolicy,
): Set<string> {
  const unconfirmed = removals.filter((removal) => !removal.confirmed);
  const allowed = Math.max(policy.minimum, policy.fraction * view.configuredBefore);
  const total = unconfirmed.length + view.cleanedLately;
  const tooMany = total > allowed;
  return new Set(unconfirmed.filter(({ waiting }) => tooMany || waiting).map(({ node }) => node));
}
