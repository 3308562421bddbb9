// Makes the scheduler's input for each node from its branch, its outcomes and the inventory.

import { ANNOTATIONS, readAnnotation, type Annotation } from '../api/annotations.ts';
import type { Branch } from '../history/node-branch.ts';
import { adoptable } from '../history/branch-commits.ts';
import { oidTrailer, TRAILER } from '../history/commit-format.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import type { InventoryNode } from '../mirror/home-port.ts';
import type { ConfigRef } from '../network/node.ts';
import type { NodeAddresses, NodeFacts } from '../scheduler/due.ts';
import type { Reader } from '../store/model/store-port.ts';

/** @param config annotations of the CR that configures the node */
export async function factsOf(
  reader: Reader,
  branch: Branch,
  listed: InventoryNode | undefined,
  history: readonly OutcomeRecord[],
  annotations: Readonly<Record<string, string>>,
  addresses?: NodeAddresses,
): Promise<NodeFacts> {
  const change = branch.base.commit && oidTrailer(branch.base.commit, TRAILER.mainCommit);
  // The annotation of the Node comes before that of its CR.
  const read = <T>(annotation: Annotation<T>): T | undefined =>
    readAnnotation(listed?.annotations, annotation) ?? readAnnotation(annotations, annotation);
  const apply = read(ANNOTATIONS.apply);
  const drift = read(ANNOTATIONS.drift);
  const probes = read(ANNOTATIONS.probes) ?? [];
  const adopted = namesAdopted(branch, history);
  const record = history.find(({ result }) => result === 'Diverged')?.record;
  return {
    name: branch.name,
    nodeId: branch.node.nodeId,
    tip: branch.tip.oid,
    tipTime: branch.tip.committer.time,
    tipTree: branch.tree,
    invalidTip: branch.invalid !== undefined,
    wanted: branch.network.length > 0 || history.length > 0,
    machineId: branch.node.machineId,
    systemUUID: branch.node.systemUUID,
    bootID: listed?.bootID ?? '',
    ready: listed?.ready ?? false,
    ...(listed === undefined && { gone: true as const }),
    ...(listed?.problem !== undefined && { problem: listed.problem }),
    paused: listed?.paused === true || isPaused(listed?.annotations) || isPaused(annotations),
    ...(isPaused(annotations) && { pausedByConfig: true as const }),
    history,
    ...(change !== undefined && { change }),
    ...(addresses !== undefined && { addresses }),
    ...(apply !== undefined && { apply }),
    ...(drift !== undefined && { drift }),
    ...(probes.length > 0 && { probes }),
    ...(record != null && { recordInBranch: await reader.isAncestor(record, branch.tip.oid) }),
    ...(adopted !== undefined && { namesAdopted: adopted }),
  };
}

/** Whether the tip has the names that the newest run found on the host; undefined: the run found none. */
export function namesAdopted(branch: Branch, history: readonly OutcomeRecord[]): boolean | undefined {
  const newest = history.find(({ result }) => result !== 'Requested');
  return newest === undefined || newest.found.length === 0 ? undefined : bearsNames(branch, newest);
}

function bearsNames(branch: Branch, { found }: OutcomeRecord): boolean {
  return adoptable(branch.node, found).every(({ mac, name, netplanId }) => {
    const nic = branch.network.find((each) => each.mac === mac);
    if (nic === undefined) return true;
    return nic.name === name && (netplanId === undefined || nic.netplanId === netplanId);
  });
}

/** Describes a pause by the CR, which `multinic resume` cannot end. The words fit both homes. */
export function describePausedByConfig({ group, namespace, name }: ConfigRef): string {
  return `is paused by the annotation ${ANNOTATIONS.paused.key} of its CR ${namespace}/${name} (${group}): take the annotation off the CR`;
}

export function isPaused(annotations: Readonly<Record<string, string>> | undefined): boolean {
  return readAnnotation(annotations, ANNOTATIONS.paused) ?? false;
}
