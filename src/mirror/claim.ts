// Which entry of which CR speaks for which node.

import type { ConfigRef, NodeIdentity } from '../network/node.ts';
import { formatConfigRef } from '../history/message.ts';
import { nodeIdKey } from '../network/text.ts';
import type { Entry } from './entry.ts';
import type { MainConfig, MainState } from './main.ts';
import type { InventoryNode } from './port.ts';

/** An entry that speaks for a node. */
export interface Claim {
  readonly config: MainConfig;
  readonly entry: Entry;
}

/** Why an entry speaks for no node. */
export interface Rejection {
  readonly code: 'NoSuchNode' | 'AmbiguousNode' | 'ClaimedByOther' | 'InvalidEntry';
  readonly message: string;
}

export interface Claims {
  /** By node name. */
  readonly byNode: ReadonlyMap<string, Claim>;
  /** The node's name, or why there is none, of each entry. */
  readonly byEntry: ReadonlyMap<Entry, { readonly node: string } | Rejection>;
}

/**
 * Finds each node's claim. A node whose branch already has a source keeps it as long as that CR has an entry for
 * the node: the elder claim stays.
 * @param branches identity of each node that has a branch, by node name
 */
export function resolveClaims(
  main: MainState,
  inventory: readonly InventoryNode[],
  branches: ReadonlyMap<string, NodeIdentity>,
): Claims {
  const find = nodeIndex(inventory, branches);
  const byNode = new Map<string, Claim>();
  const byEntry = new Map<Entry, { node: string } | Rejection>();
  const claims = [...main.configs.values()].flatMap((config) =>
    [...config.entries.values()].map((entry) => ({ config, entry })),
  );
  for (const claim of claims) {
    const found = find(claim.entry);
    byEntry.set(claim.entry, found);
    if (!('node' in found)) continue;
    const rival = byNode.get(found.node);
    if (rival === undefined) {
      byNode.set(found.node, claim);
      continue;
    }
    const elder = isSource(claim.config.ref, branches.get(found.node)) ? claim : rival;
    const younger = elder === claim ? rival : claim;
    byNode.set(found.node, elder);
    byEntry.set(elder.entry, found);
    byEntry.set(younger.entry, {
      code: 'ClaimedByOther',
      message: `node ${found.node} belongs to ${formatConfigRef(elder.config.ref)}, which named it first: remove the entry from one of the two`,
    });
  }
  return { byNode, byEntry };
}

function isSource(ref: ConfigRef, node: NodeIdentity | undefined): boolean {
  return node !== undefined && formatConfigRef(node.source) === formatConfigRef(ref);
}

/**
 * attachedNodeId is the node's systemUUID, else its providerID's last part, else attachedNodeName is its name or
 * hostname if no identity contradicts. A node that left the inventory is still known by its branch.
 */
function nodeIndex(
  inventory: readonly InventoryNode[],
  branches: ReadonlyMap<string, NodeIdentity>,
): (entry: Entry) => { node: string } | Rejection {
  const byUuid = group(inventory, (node) => [nodeIdKey(node.systemUUID)]);
  const byProvider = group(inventory, (node) =>
    node.providerID === undefined ? [] : [nodeIdKey(node.providerID.split('/').at(-1)!)],
  );
  const byName = group(inventory, (node) => [
    node.name,
    ...(node.hostname === undefined || node.hostname === node.name ? [] : [node.hostname]),
  ]);
  const present = new Set(inventory.map((node) => node.name));
  const departed = new Map(
    [...branches]
      .filter(([name]) => !present.has(name))
      .map(([name, node]) => [nodeIdKey(node.nodeId), name]),
  );

  return (entry) => {
    if (entry.nodeId === undefined)
      return { code: 'InvalidEntry', message: 'the entry has no usable attachedNodeId' };
    const id = nodeIdKey(entry.nodeId);
    for (const index of [byUuid, byProvider]) {
      const nodes = index.get(id) ?? [];
      if (nodes.length > 1) {
        return {
          code: 'AmbiguousNode',
          message: `nodes ${nodes.map((node) => node.name).join(' and ')} both have the ID ${entry.nodeId}: neither is touched until one changes`,
        };
      }
      if (nodes.length === 1) return { node: nodes[0]!.name };
    }
    const [named, ...others] = entry.nodeName === undefined ? [] : (byName.get(entry.nodeName) ?? []);
    if (named !== undefined && others.length === 0 && !contradicts(named, id)) return { node: named.name };
    const left = departed.get(id);
    if (left !== undefined) return { node: left };
    return {
      code: 'NoSuchNode',
      message: `no node has the ID ${entry.nodeId}: it is picked up when it joins`,
    };
  };
}

/** An identity of the same form that reads otherwise: then a name alone proves nothing. */
function contradicts(node: InventoryNode, id: string): boolean {
  const identities = [node.systemUUID, node.providerID?.split('/').at(-1) ?? '']
    .map(nodeIdKey)
    .filter((each) => each !== '');
  return identities.some((each) => UUID.test(each) === UUID.test(id) && each !== id);
}

const UUID = /^[0-9a-f]{32}$/;

function group(
  nodes: readonly InventoryNode[],
  keysOf: (node: InventoryNode) => readonly string[],
): Map<string, InventoryNode[]> {
  const index = new Map<string, InventoryNode[]>();
  for (const node of nodes) {
    for (const key of keysOf(node)) if (key !== '') index.set(key, [...(index.get(key) ?? []), node]);
  }
  return index;
}
