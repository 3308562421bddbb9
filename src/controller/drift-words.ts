// Describes for people how a host has drifted, why no run repairs the drift, and what the person can do.

import { describeDifference, describeRemedy } from '../api/difference-words.ts';
import type { Difference } from '../api/observation.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import { driftOf, fightsOf, type RepairLimits } from '../scheduler/drift.ts';

type History = readonly OutcomeRecord[];

const RENAMERS =
  ' (cloud-init may rename NICs at each boot, unless /etc/cloud/cloud.cfg.d/99-disable-network-config.cfg says network: {config: disabled})';
/** Number of differences that a message names. */
const MAX_NAMED = 3;

/** The message of a node whose drift is only reported, or comes back. */
export function describeDrift(node: string, history: History, reason: 'Drifted' | 'DriftFight'): string {
  const drift = driftOf(history);
  if (reason === 'DriftFight' && drift !== undefined) {
    const fights = fightsOf(history, drift);
    const hint = fights.some(({ kind }) => kind === 'LinkRenamed') ? RENAMERS : '';
    return `comes back after each repair: ${describeAll(fights)}. Find the cause on the host${hint}, then run multinic retry ${node}`;
  }
  const old = drift?.first === true ? ' (found by the first observation, so it may be old)' : '';
  return `${differencesOf(history)}${old}: ${describeRemedy(node, drift?.differences ?? [])}`;
}

/** The message of a node whose repair waits because repairs stopped. */
export function describeStop(history: History, repairs: RepairLimits | undefined): string {
  return `${differencesOf(history)}; the controller repairs nothing, because ${describeStorm(repairs)}: list the drifted nodes with multinic drift, then run multinic confirm repairs`;
}

/** The differences of the newest drift. */
export function differencesOf(history: History): string {
  return describeAll(driftOf(history)?.differences ?? []);
}

export function describeStorm(repairs: RepairLimits | undefined): string {
  if (repairs === undefined) return 'too many nodes drifted';
  const { drifted, limit, failed } = repairs;
  return drifted > limit ? `${drifted} nodes drifted within an hour` : `${failed} repairs failed`;
}

function describeAll(differences: readonly Difference[]): string {
  const named = differences.slice(0, MAX_NAMED).map(describeDifference).join('; ');
  const more = differences.length - MAX_NAMED;
  return more > 0 ? `${named}; and ${more} more` : named || 'the host differs from what was applied';
}
