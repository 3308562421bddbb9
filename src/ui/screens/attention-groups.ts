// Nodes that need a person, grouped by reason and by equal words. Pure.

import type { LiveNode } from '../../api/live.ts';
import { factsOf } from '../../api/reasons/reasons.ts';
import { labelOf } from './fleet-filter.ts';

export interface AttentionGroup {
  readonly key: string;
  readonly reason: string;
  /** The message of the nodes, without what differs from node to node. */
  readonly words: string;
  readonly nodes: readonly LiveNode[];
}

const COMMIT = /\b[0-9a-f]{10,40}\b/g;
const MAC = /\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi;
/** A managed file, whose place and form depend on the system of the node. */
const FILE =
  /\betc\/(?:netplan\/9\d-|sysconfig\/network-scripts\/ifcfg-|NetworkManager\/system-connections\/)(multinic\d+)(?:\.yaml|\.nmconnection)?/g;
const IPV4 = /\b\d{1,3}(?:\.\d{1,3}){3}\b/g;

/** Whether the controller tries a node again by itself although somebody has to remove the cause. */
export function isTroubled({ activity, reason }: LiveNode): boolean {
  const retry = factsOf(reason)?.retry;
  return activity === 'moves' && (retry === 'commit' || retry === 'person');
}

export function isStuck({ activity }: LiveNode): boolean {
  return activity === 'stuck';
}

export function groupsOf(
  nodes: Iterable<LiveNode>,
  belongs: (node: LiveNode) => boolean = isStuck,
): AttentionGroup[] {
  const groups = new Map<string, { reason: string; words: string; nodes: LiveNode[] }>();
  for (const node of nodes) {
    if (!belongs(node)) continue;
    const reason = node.reason ?? node.state;
    const words = commonWords(node);
    const key = `${reason}\n${words}`;
    const group = groups.get(key) ?? { reason, words, nodes: [] };
    group.nodes.push(node);
    groups.set(key, group);
  }
  return [...groups]
    .map(([key, group]) => ({ key, ...group }))
    .toSorted(
      (a, b) =>
        Number(isFailed(b)) - Number(isFailed(a)) ||
        b.nodes.length - a.nodes.length ||
        (a.key < b.key ? -1 : 1),
    );
}

function isFailed({ nodes }: Pick<AttentionGroup, 'nodes'>): boolean {
  return nodes[0]?.state === 'Failed';
}

/** A node's message without its name, addresses, commits and paths, so that equal problems have equal texts. */
export function commonWords(node: LiveNode): string {
  let words = node.message ?? '';
  for (const name of new Set([labelOf(node), node.attachedNodeName, node.attachedNodeId]))
    if (name.length > 2) words = words.replaceAll(name, 'NODE');
  return words.replaceAll(FILE, '$1').replaceAll(MAC, '…').replaceAll(IPV4, '…').replaceAll(COMMIT, '…');
}

/** A message without the command at its end, because the screen shows the remedy beside it. */
export function withoutCommand(message: string): string {
  return message.replace(/[:;] multinic [a-z]+ [^:;]*$/, '');
}
