// Search, filter and sort of the fleet. Pure.

import type { LiveNode } from '../../api/live.ts';
import { NODE_STATES } from '../../api/status.ts';

export const FILTERS = [...NODE_STATES, 'attention', 'held', 'paused', 'drifted'] as const;
export type Filter = (typeof FILTERS)[number];

export const COLUMNS = ['node', 'state', 'reason', 'desired', 'applied', 'observed', 'processed'] as const;
export type Column = (typeof COLUMNS)[number];

export interface FleetView {
  readonly search: string;
  readonly filter: Filter | undefined;
  readonly sort: Column;
  readonly down: boolean;
}

export function readView(query: Readonly<Record<string, string>>): FleetView {
  const sort = query['sort'] ?? '';
  const name = sort.replace(/^-/, '');
  return {
    search: query['q'] ?? '',
    filter: FILTERS.find((each) => each === query['show']),
    sort: COLUMNS.find((each) => each === name) ?? 'node',
    down: sort.startsWith('-'),
  };
}

export function labelOf({ node, attachedNodeName, attachedNodeId }: LiveNode): string {
  return node ?? (attachedNodeName || attachedNodeId);
}

export function passes(node: LiveNode, filter: Filter | undefined): boolean {
  switch (filter) {
    case undefined:
      return true;
    case 'attention':
      return node.activity === 'stuck';
    case 'held':
      return node.held === true;
    case 'paused':
      return node.paused === true;
    case 'drifted':
      return node.drifted === true;
    default:
      return node.state === filter;
  }
}

export function matches(node: LiveNode, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const { interfaces = [] } = node;
  const text = [
    labelOf(node),
    node.attachedNodeName,
    node.attachedNodeId,
    node.config,
    node.reason,
    node.message,
    node.desiredCommit,
    node.appliedCommit,
    ...interfaces.flatMap(({ name, macAddress, address }) => [name, macAddress, address]),
  ]
    .join('\n')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

/** States that need a person come first. */
const ORDER: Readonly<Record<string, number>> = { Failed: 0, Pending: 1, InProgress: 2, Configured: 3 };

function keyOf(node: LiveNode, column: Column): string | number {
  switch (column) {
    case 'node':
      return labelOf(node);
    case 'state':
      return (node.activity === 'stuck' ? 0 : 10) + (ORDER[node.state] ?? 9);
    case 'reason':
      return node.reason ?? '~';
    case 'desired':
      return node.desiredCommit ?? '~';
    case 'applied':
      return node.appliedCommit ?? '~';
    case 'observed':
      return node.observedAt ?? 0;
    case 'processed':
      return node.lastProcessed ?? '';
  }
}

const collator = new Intl.Collator('en', { numeric: true });

export function chosen(nodes: Iterable<LiveNode>, { search, filter, sort, down }: FleetView): LiveNode[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: { node: LiveNode; key: string | number; label: string }[] = [];
  for (const node of nodes)
    if (passes(node, filter) && matches(node, words))
      rows.push({ node, key: keyOf(node, sort), label: labelOf(node) });
  const sign = down ? -1 : 1;
  rows.sort((a, b) => sign * compare(a.key, b.key) || collator.compare(a.label, b.label));
  return rows.map(({ node }) => node);
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b));
}

export function countsOf(nodes: Iterable<LiveNode>): ReadonlyMap<Filter, number> {
  const counts = new Map<Filter, number>(FILTERS.map((filter) => [filter, 0]));
  for (const node of nodes)
    for (const filter of FILTERS) if (passes(node, filter)) counts.set(filter, counts.get(filter)! + 1);
  return counts;
}
