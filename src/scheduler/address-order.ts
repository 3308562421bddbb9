// Orders runs of nodes that pass addresses on: a node waits until the host that has its new address gave it up. Where
// nodes wait for one another in a circle, one of them frees its address first. Pure.

import { isAsked, type Decision, type Due, type NodeFacts } from './due.ts';
import type { AddressHolders } from './address-holders.ts';

/** A new address of a node that another node's host may still have. */
interface Conflict {
  readonly mac: string;
  readonly address: string;
  readonly holder: string;
  /** The holder's tip has the address too, so the holder gives it up only after a person acted. */
  readonly isKept: boolean;
}

/** The decisions of a pass before addresses are considered. */
export interface Candidates {
  readonly nodes: ReadonlyMap<string, NodeFacts>;
  readonly decisions: ReadonlyMap<string, Decision>;
  /** Nodes whose agent runs, or has an outcome that is not recorded yet. */
  readonly busy: ReadonlySet<string>;
  readonly holders: Pick<AddressHolders, 'of'>;
}

/** Decisions that differ because of addresses, by node. */
export function orderByAddress(candidates: Candidates): Map<string, Decision> {
  const blocked = new Map<string, readonly Conflict[]>();
  for (const [name, decision] of candidates.decisions) {
    const conflicts = decision.due ? conflictsOf(name, candidates) : [];
    if (conflicts.length > 0) blocked.set(name, conflicts);
  }
  if (blocked.size === 0) return new Map();
  // A retry that a person asked for overrides the wait. The agent of the node then asks the network whether the address
  // is free.
  for (const name of stuckNodes(blocked, candidates))
    if (isAsked(candidates.nodes.get(name)!, 'retry')) blocked.delete(name);
  const stuck = stuckNodes(blocked, candidates);
  const first = firstOfCircles(blocked, candidates);
  return new Map(
    [...blocked].map(([name, conflicts]) => [
      name,
      first.has(name)
        ? { ...(candidates.decisions.get(name) as Due), leaveOut: macsOf(conflicts) }
        : waitFor(name, conflicts, stuck, candidates),
    ]),
  );
}

/** New addresses of a node that the hosts of others may have. */
function conflictsOf(name: string, { nodes, holders }: Candidates): Conflict[] {
  const node = nodes.get(name)!;
  return newAddresses(node).flatMap(({ mac, address }) =>
    [...holders.of(address)]
      .flatMap((holder): Conflict[] => {
        const other = nodes.get(holder);
        // A node that is gone for good frees nothing, so the agent asks the network instead.
        if (holder === name || other?.gone === true) return [];
        // A node that this pass could not read may still have the address.
        if (other === undefined) return [{ mac, address, holder, isKept: false }];
        if (isShared(node, other, address)) return [];
        return [{ mac, address, holder, isKept: hasInTip(other, address) }];
      })
      .toSorted(byHolder),
  );
}

function byHolder(a: Conflict, b: Conflict): number {
  return a.holder < b.holder ? -1 : Number(a.holder > b.holder);
}

/** Addresses of the tip that the newest outcome does not have on the node's host. */
export function newAddresses({ addresses }: NodeFacts): { mac: string; address: string }[] {
  return (addresses?.nics ?? []).flatMap((nic) =>
    nic.addresses
      .filter((address) => !addresses!.applied.has(address))
      .map((address) => ({ mac: nic.mac, address })),
  );
}

/** Whether the CRs give the address to both nodes. Networks of OpenStack may overlap, so neither waits for the other. */
export function isShared(a: NodeFacts, b: NodeFacts, address: string): boolean {
  return a.addresses?.asked.has(address) === true && b.addresses?.asked.has(address) === true;
}

function hasInTip({ addresses }: NodeFacts, address: string): boolean {
  return addresses?.nics.some((nic) => nic.addresses.includes(address)) === true;
}

/** Blocked nodes that go on only after a person acted, or after a node is back. */
function stuckNodes(
  blocked: ReadonlyMap<string, readonly Conflict[]>,
  candidates: Candidates,
): ReadonlySet<string> {
  return reaching(blocked, (conflict) => isStuckAt(conflict, blocked, candidates));
}

function isStuckAt(
  { holder, isKept }: Conflict,
  blocked: ReadonlyMap<string, unknown>,
  { decisions, busy }: Candidates,
): boolean {
  if (busy.has(holder)) return false;
  if (isKept) return true;
  if (blocked.has(holder)) return false;
  const decision = decisions.get(holder);
  return decision === undefined || (!decision.due && decision.reason !== 'BackingOff');
}

/**
 * Chooses the node of each circle that frees its address first: the node with the most failures, because its run is the
 * likeliest to fail and a failure then costs no other node an address. Opens a circle only if no node of the circle
 * waits, directly or through other nodes, for a node outside of the circles.
 */
function firstOfCircles(
  blocked: ReadonlyMap<string, readonly Conflict[]>,
  { decisions, busy }: Candidates,
): ReadonlySet<string> {
  const outside = reaching(
    blocked,
    ({ holder, isKept }) => isKept || busy.has(holder) || !blocked.has(holder),
  );
  const next = new Map(
    [...blocked]
      .filter(([name]) => !outside.has(name) && !busy.has(name))
      .map(([name, conflicts]) => [name, conflicts.map(({ holder }) => holder).toSorted()[0]!]),
  );
  const attempt = (name: string): number => (decisions.get(name) as Due).attempt;
  const first = new Set<string>();
  const seen = new Set<string>();
  for (const start of [...next.keys()].toSorted()) {
    const path: string[] = [];
    let at: string | undefined = start;
    for (; at !== undefined && !seen.has(at); at = next.get(at)) {
      seen.add(at);
      path.push(at);
    }
    const from = at === undefined ? -1 : path.indexOf(at);
    if (from === -1) continue;
    const [chosen] = path
      .slice(from)
      .toSorted((a, b) => attempt(b) - attempt(a) || (a < b ? -1 : Number(a > b)));
    first.add(chosen!);
  }
  return first;
}

/** Nodes with a conflict of this kind, and all nodes that wait for one of them. */
function reaching(
  blocked: ReadonlyMap<string, readonly Conflict[]>,
  isEnd: (conflict: Conflict) => boolean,
): Set<string> {
  const waiters = new Map<string, string[]>();
  for (const [name, conflicts] of blocked) {
    for (const { holder } of conflicts) {
      const known = waiters.get(holder);
      if (known === undefined) waiters.set(holder, [name]);
      else known.push(name);
    }
  }
  const todo = [...blocked].filter(([, conflicts]) => conflicts.some(isEnd)).map(([name]) => name);
  const reached = new Set(todo);
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    for (const waiter of waiters.get(name) ?? []) {
      if (reached.has(waiter)) continue;
      reached.add(waiter);
      todo.push(waiter);
    }
  }
  return reached;
}

/** The decision for a node that waits. It names the conflict that a person has to end, if there is one. */
function waitFor(
  name: string,
  conflicts: readonly Conflict[],
  stuck: ReadonlySet<string>,
  candidates: Candidates,
): Decision {
  const { address, holder, isKept } =
    conflicts.find((conflict) => isStuckAt(conflict, new Map(), candidates)) ??
    conflicts.find((conflict) => stuck.has(conflict.holder)) ??
    conflicts[0]!;
  return {
    due: false,
    reason: 'WaitsForAddress',
    address,
    holder,
    isKept,
    isStuck: stuck.has(name),
  };
}

function macsOf(conflicts: readonly Conflict[]): string[] {
  return [...new Set(conflicts.map(({ mac }) => mac))].toSorted();
}
