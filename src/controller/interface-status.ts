// Derives the state of each interface from the node's state and from facts about single NICs. Pure.

import type { Difference } from '../api/observation.ts';
import { readReason } from '../api/reasons/reasons.ts';
import type { InterfaceStatus, NodeStatus } from '../api/status.ts';
import { ownCidrOf, type Network } from '../network/interface.ts';
import { driftOf } from '../scheduler/drift.ts';
import { runs, type NodeFacts } from '../scheduler/due.ts';

/** @param network interfaces of the tip */
export function interfacesOf(
  network: Network,
  { history }: NodeFacts,
  { state, reason }: Pick<NodeStatus, 'state' | 'reason'>,
): InterfaceStatus[] {
  const [newest] = runs({ history });
  const missing = new Set(newest?.missing);
  const leftOut = new Set(newest?.leftOut);
  const drifted = new Map<string, Difference>();
  // The first difference of a NIC stands for all.
  for (const each of driftOf(history)?.differences ?? [])
    if (each.mac !== undefined && !drifted.has(each.mac)) drifted.set(each.mac, each);
  return network.map((each): InterfaceStatus => {
    const { name, mac } = each;
    const address = ownCidrOf(each);
    const nic = { name, macAddress: mac, ...(address !== undefined && { address }) };
    const difference = drifted.get(mac);
    if (missing.has(mac)) return { ...nic, state: 'Pending', reason: 'InterfacesMissing' };
    if (leftOut.has(mac)) return { ...nic, state: 'Pending', reason: 'AddressFreed' };
    if (difference !== undefined) return { ...nic, state: 'Failed', reason: readReason(difference.kind) };
    // The other NICs of a node that drifted, or that lacks one, are as they should be.
    if (state === 'Configured' || missing.size + leftOut.size + drifted.size > 0)
      return { ...nic, state: 'Configured' };
    return { ...nic, state, ...(reason !== undefined && { reason }) };
  });
}
