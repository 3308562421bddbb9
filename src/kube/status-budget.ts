// Fits a status into the object that CR and status share, of at most 1.5 MB. Parts that do not fit are left out in an
// order that keeps the parts that a person needs.

import type { Condition, ConfigStatus, NodeStatus } from '../api/status.ts';

/** Budget of an object: etcd's 1.5 MiB less room for managedFields and the envelope. */
export const OBJECT_BUDGET_BYTES = 1_350_000;
/** Share of the budget from which on a warning is given. */
const NEAR = 0.9;
const MESSAGE_MAX = 4_096;
const NODE_MESSAGE_MAX = 256;

/** @param restBytes the CR without its status, as JSON */
export function fitStatus(
  status: ConfigStatus,
  restBytes: number,
  budget = OBJECT_BUDGET_BYTES,
): ConfigStatus {
  const conditions = status.conditions.map((condition) => shorten(condition, MESSAGE_MAX));
  const whole = { ...status, conditions, nodeStatuses: status.nodeStatuses.map(withoutInterfaces) };
  const left = budget - restBytes;
  const used = bytes(whole);
  if (used <= left) return near(withRoomFor(status, whole, left, budget), restBytes + used, budget);
  return near(cut(whole, left), budget, budget);
}

/** Share of the budget up to which every node has its interfaces. */
const ROOMY = 0.5;

/** Adds the interfaces, as far as there is room: of all nodes, else of those in trouble, else of none. */
function withRoomFor(
  { nodeStatuses }: ConfigStatus,
  bare: ConfigStatus,
  left: number,
  budget: number,
): ConfigStatus {
  const all = { ...bare, nodeStatuses };
  if (bytes(all) <= left - budget * (1 - ROOMY)) return all;
  const troubled = nodeStatuses.map((node) => (isTroubled(node) ? node : withoutInterfaces(node)));
  const some = { ...bare, nodeStatuses: troubled };
  return bytes(some) <= left ? some : bare;
}

function isTroubled({ state, drifted }: NodeStatus): boolean {
  return state !== 'Configured' || drifted === true;
}

function withoutInterfaces({ interfaces: _, ...node }: NodeStatus): NodeStatus {
  return node;
}

/** Keeps as many nodes as there is room for, the most urgent first. */
function cut(status: ConfigStatus, left: number): ConfigStatus {
  const base = bytes({ ...status, nodeStatuses: [], nodeStatusesOmitted: status.nodeStatuses.length });
  const kept: NodeStatus[] = [];
  let used = base;
  for (const node of status.nodeStatuses.toSorted((a, b) => urgency(a) - urgency(b))) {
    const short = shorten(node, NODE_MESSAGE_MAX);
    used += bytes(short) + 1;
    if (used > left) break;
    kept.push(short);
  }
  const order = new Map(status.nodeStatuses.map(({ attachedNodeId }, index) => [attachedNodeId, index]));
  const nodeStatuses = kept.toSorted((a, b) => order.get(a.attachedNodeId)! - order.get(b.attachedNodeId)!);
  const omitted = status.nodeStatuses.length - kept.length;
  return { ...status, nodeStatuses, ...(omitted > 0 && { nodeStatusesOmitted: omitted }) };
}

function urgency({ state, held }: NodeStatus): number {
  if (state === 'Failed') return 0;
  if (held) return 1;
  return { InProgress: 2, Pending: 3, Configured: 4 }[state];
}

function near(status: ConfigStatus, used: number, budget: number): ConfigStatus {
  if (used < budget * NEAR) return status;
  const note = `. This object is near the limit of the API server (${Math.round(used / 1000)} of ${Math.round(budget / 1000)} kB): split it into two`;
  const conditions = status.conditions.map((condition): Condition =>
    condition.type === 'Ready' ? { ...condition, message: condition.message + note } : condition,
  );
  return { ...status, conditions };
}

function shorten<T extends { readonly message?: string }>(item: T, max: number): T {
  const { message } = item;
  return message === undefined || message.length <= max
    ? item
    : { ...item, message: `${message.slice(0, max - 2)} …` };
}

function bytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
