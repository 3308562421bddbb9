// Describes for people why a node waits for an address, or does not get it: which node has the address, and why.

import { formatConfigRef } from '../history/commit-format.ts';
import { describeHold } from '../history/hold.ts';
import { newAddresses } from '../scheduler/address-order.ts';
import type { NodeFacts, WaitsForAddress } from '../scheduler/due.ts';
import type { Snapshot } from './config-status.ts';
import type { NodeStatus } from '../api/status.ts';

type Judged = Pick<NodeStatus, 'state' | 'reason' | 'message'>;

/** Limit on the nodes in one message: a chain may have hundreds. */
export const MAX_CHAIN = 4;

/** @param judged the holder's state; absent: the state is unknown, or another node's message already has the state */
export function describeWait(
  snapshot: Snapshot,
  name: string,
  { address, holder, isKept, isStuck }: WaitsForAddress,
  judged: Judged | undefined,
): string {
  const has = `${address} is still on node ${holder}`;
  const retry = isStuck
    ? `. If the NICs of the two nodes are in separate networks: multinic retry ${name}`
    : '';
  if (isKept) return `${has}, which keeps it: ${whyKept(snapshot, name, holder, judged)}${retry}`;
  const words = judged?.message ?? judged?.reason ?? judged?.state;
  if (words === undefined) return `${has}, which waits too`;
  // The message of a holder that waits for an address has the remedy already.
  return `${has}. ${holder}: ${words}${judged?.reason === 'WaitsForAddress' ? '' : retry}`;
}

/** Why a holder does not give the address up by itself, and what to do. */
function whyKept({ report }: Snapshot, name: string, holder: string, judged: Judged | undefined): string {
  const branch = report.branches.get(holder);
  if (report.stopped.has(holder)) return judged?.message ?? 'its removal waits for multinic confirm';
  if (branch?.hold !== undefined) return `${describeHold(branch.hold)} (multinic release ${holder})`;
  const source = branch === undefined ? 'its CR' : formatConfigRef(branch.node.source);
  return report.branches.get(name)?.hold === undefined
    ? `give one of the two another address in ${source}`
    : `${source} gives it to that node, and a rollback or an edit to this one; roll ${holder} back too, or run multinic release ${name}`;
}

/** Names the nodes whose hosts may have an address that this node cannot get. Undefined: no such node is known. */
export function describeHolders(snapshot: Snapshot, facts: NodeFacts): string | undefined {
  const holders = newAddresses(facts).flatMap(({ address }) =>
    [...(snapshot.holders?.of(address) ?? [])]
      .filter((node) => node !== facts.name)
      .map((node) => `${address} is on node ${node} too`),
  );
  return holders.length === 0 ? undefined : holders.slice(0, MAX_CHAIN).join(', ');
}
