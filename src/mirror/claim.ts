// Decides which entry of which CR configures which node.

import type { NodeIdentity } from '../network/node.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import { isUuid, swappedKey } from '../network/machine-ids.ts';
import { isNodeName, nodeIdKey } from '../network/text.ts';
import type { Entry } from './node-entry.ts';
import type { MainConfig, MainState } from './main-branch.ts';
import type { InventoryNode } from './home-port.ts';

/** An entry that configures a node, with its CR. */
export interface Claim {
  readonly config: MainConfig;
  readonly entry: Entry;
}

/** The reason why an entry configures no node. */
export interface Rejection {
  readonly code: 'NoSuchNode' | 'AmbiguousNode' | 'ClaimedByOther' | 'InvalidEntry';
  readonly message: string;
  /** The nodes that the entry may mean, with `AmbiguousNode`. */
  readonly nodes?: readonly string[];
}

export interface Claims {
  /** The claim of each node, by node name. */
  readonly byNode: ReadonlyMap<string, Claim>;
  /** The node of each entry, or the reason why the entry has none. */
  readonly byEntry: ReadonlyMap<Entry, Found | Rejection>;
  /**
   * Nodes in doubt: two nodes have one ID, or a bad entry of their CR may name the node. Such a node keeps its
   * interfaces although no entry claims it.
   */
  readonly unclear: ReadonlySet<string>;
}

interface Found {
  readonly node: string;
  /**
   * The entry matches by name, or by a UUID in the other byte order; an entry with the node's very ID has precedence.
   */
  readonly weak?: true;
}

/** Nodes that have a branch, by name. */
export type KnownNodes = ReadonlyMap<string, { readonly node: NodeIdentity }>;

/**
 * Finds each node's claim. If two CRs claim a node, the CR that the node's branch names keeps it as long as that CR has
 * an entry for the node.
 */
export function resolveClaims(
  main: MainState,
  inventory: readonly InventoryNode[],
  branches: KnownNodes,
): Claims {
  const find = finder(inventory, branches);
  const byNode = new Map<string, Candidate>();
  const byEntry = new Map<Entry, Found | Rejection>();
  const contested = new Map<string, Candidate[]>();
  for (const claim of allClaims(main)) {
    const found = find(claim.entry);
    byEntry.set(claim.entry, found);
    if (!('node' in found)) continue;
    const candidate = { ...claim, found };
    const rival = byNode.get(found.node);
    if (rival === undefined) byNode.set(found.node, candidate);
    else contested.set(found.node, [...(contested.get(found.node) ?? [rival]), candidate]);
  }
  for (const [node, claims] of contested) {
    const [elder, ...younger] = claims.toSorted(byAge(branches.get(node)?.node));
    byNode.set(node, elder!);
    for (const { entry } of younger) {
      byEntry.set(entry, {
        code: 'ClaimedByOther',
        message: `node ${node} belongs to ${formatConfigRef(elder!.config.ref)}, which named it first: remove the entry from one of the two`,
      });
    }
  }
  return { byNode, byEntry, unclear: unclearNodes(main, branches, byNode, byEntry) };
}

interface Candidate extends Claim {
  readonly found: Found;
}

/** CRs in an order that a restart does not change. */
function allClaims(main: MainState): Claim[] {
  const configs = [...main.configs].sort(([a], [b]) => (a < b ? -1 : 1));
  return configs.flatMap(([, config]) => [...config.entries.values()].map((entry) => ({ config, entry })));
}

/** Orders claims: first the CR that the branch names, then entries with the node's ID, then the list's order. */
function byAge(node: NodeIdentity | undefined) {
  const rank = ({ config, found }: Candidate): number =>
    (node !== undefined && formatConfigRef(node.source) === formatConfigRef(config.ref) ? 0 : 2) +
    (found.weak === undefined ? 0 : 1);
  return (a: Candidate, b: Candidate): number =>
    rank(a) - rank(b) || (a.entry.key < b.entry.key ? -1 : Number(a.entry.key > b.entry.key));
}

function unclearNodes(
  main: MainState,
  branches: KnownNodes,
  byNode: ReadonlyMap<string, Claim>,
  byEntry: ReadonlyMap<Entry, Found | Rejection>,
): Set<string> {
  const unclear = new Set<string>();
  for (const found of byEntry.values()) {
    if ('nodes' in found) for (const node of found.nodes ?? []) unclear.add(node);
  }
  for (const [name, { node }] of branches) {
    const config = byNode.has(name) ? undefined : main.configs.get(formatConfigRef(node.source));
    if (config !== undefined && [...config.entries.values()].some(({ nodeId }) => nodeId === undefined))
      unclear.add(name);
  }
  return unclear;
}

/** Looks nodes up in the inventory first, then in the branches: a node that left the inventory still has its branch. */
function finder(
  inventory: readonly InventoryNode[],
  branches: KnownNodes,
): (entry: Entry) => Found | Rejection {
  const index = InventoryIndex.of(inventory);
  const departed = new Map<string, string>();
  for (const [name, { node }] of branches) {
    if (!index.nodes.has(name)) departed.set(nodeIdKey(node.nodeId), name);
  }
  return (entry) => {
    const found = index.find(entry);
    const left =
      'node' in found || found.code !== 'NoSuchNode' ? undefined : departed.get(nodeIdKey(entry.nodeId!));
    return left === undefined ? found : { node: left };
  };
}

/** The inventory's nodes by ID, name and hostname. The index is remembered with the list that it was made of. */
export class InventoryIndex {
  static readonly #known = new WeakMap<readonly InventoryNode[], InventoryIndex>();

  readonly nodes: ReadonlyMap<string, InventoryNode>;
  readonly #byUuid: ReadonlyMap<string, readonly InventoryNode[]>;
  readonly #byProvider: ReadonlyMap<string, readonly InventoryNode[]>;
  readonly #byName: ReadonlyMap<string, readonly InventoryNode[]>;
  readonly #found = new WeakMap<Entry, Found | Rejection>();

  private constructor(inventory: readonly InventoryNode[]) {
    this.nodes = new Map(inventory.map((node) => [node.name, node]));
    this.#byUuid = group(inventory, (node) => [nodeIdKey(node.systemUUID)]);
    this.#byProvider = group(inventory, (node) =>
      node.providerID === undefined ? [] : [nodeIdKey(node.providerID.split('/').at(-1)!)],
    );
    this.#byName = group(inventory, (node) => [
      node.name,
      ...(node.hostname === undefined || node.hostname === node.name ? [] : [node.hostname]),
    ]);
  }

  static of(inventory: readonly InventoryNode[]): InventoryIndex {
    const index = this.#known.get(inventory) ?? new InventoryIndex(inventory);
    this.#known.set(inventory, index);
    return index;
  }

  /**
   * Finds the node of an entry: by attachedNodeId as systemUUID or as last part of the providerID, then by the
   * systemUUID with its bytes in the other order, then by attachedNodeName as name or hostname. Neither of the last two
   * counts if the node has a contradicting ID.
   */
  find(entry: Entry): Found | Rejection {
    const found = this.#found.get(entry) ?? this.#find(entry);
    this.#found.set(entry, found);
    return found;
  }

  #find(entry: Entry): Found | Rejection {
    if (entry.nodeId === undefined)
      return { code: 'InvalidEntry', message: 'the entry has no usable attachedNodeId' };
    const id = nodeIdKey(entry.nodeId);
    for (const index of [this.#byUuid, this.#byProvider]) {
      const nodes = index.get(id) ?? [];
      if (nodes.length > 1) return ambiguous(entry.nodeId, nodes);
      if (nodes.length === 1) return { node: nodes[0]!.name };
    }
    const swapped = this.#byUuid.get(swappedKey(entry.nodeId) ?? '') ?? [];
    const named = this.#named(entry);
    const [twin] = swapped;
    const twinOnly = swapped.length === 1 && (named.length === 0 || named.includes(twin!));
    if (twinOnly && !hasOtherProvider(twin!, id)) return { node: twin!.name, weak: true };
    if (named.length === 1 && !contradicts(named[0]!, id)) return { node: named[0]!.name, weak: true };
    return noSuchNode(entry.nodeId, entry.nodeName, { swapped, named });
  }

  #named({ nodeName }: Entry): readonly InventoryNode[] {
    return nodeName === undefined ? [] : (this.#byName.get(nodeName) ?? []);
  }
}

/** Rejects an ID that two Nodes have. Mostly one machine was renamed, and the Node that is not ready is stale. */
function ambiguous(id: string, nodes: readonly InventoryNode[]): Rejection {
  const names = nodes.map(({ name }) => name);
  const stale = nodes.filter(({ ready }) => !ready).map(({ name }) => name);
  const remedy =
    stale.length === 0 || stale.length === nodes.length
      ? 'delete the one that is stale'
      : `${stale.join(' and ')} ${stale.length === 1 ? 'is' : 'are'} not ready, so probably stale: delete ${stale.length === 1 ? 'that Node' : 'those Nodes'}`;
  return {
    code: 'AmbiguousNode',
    message: `nodes ${names.join(' and ')} have the same ID ${id}, and none of them is touched; ${remedy}`,
    nodes: names,
  };
}

interface Near {
  /** Nodes that have the ID with its bytes in the other order. */
  readonly swapped: readonly InventoryNode[];
  /** Nodes that have the name. */
  readonly named: readonly InventoryNode[];
}

function noSuchNode(id: string, nodeName: string | undefined, { swapped, named }: Near): Rejection {
  const [twin] = named;
  const doubts = [
    ...swapped.map(
      ({ name, systemUUID }) =>
        `node ${name} has it with the bytes in the other order, but something else of the entry contradicts: write ${systemUUID} if that node is meant`,
    ),
    ...(named.length === 1 && !swapped.includes(twin!)
      ? [`node ${twin!.name} has the ID ${identityOf(twin!)}: write that one if this node is meant`]
      : []),
    ...(nodeName === undefined || isNodeName(nodeName)
      ? []
      : [`no node can have the attachedNodeName ${JSON.stringify(nodeName)} either`]),
  ];
  const message = [`no node has the ID ${id}: it is picked up when it joins`, ...doubts].join('; ');
  return { code: 'NoSuchNode', message };
}

/** The ID that an entry of the node has: OpenStack's where the Node has it. */
function identityOf({ providerID, systemUUID }: InventoryNode): string {
  const provider = providerID?.split('/').at(-1) ?? '';
  return isUuid(nodeIdKey(provider)) ? provider : systemUUID;
}

/** True if OpenStack's ID of the node is known and is another one. */
function hasOtherProvider({ providerID }: InventoryNode, id: string): boolean {
  const provider = nodeIdKey(providerID?.split('/').at(-1) ?? '');
  return isUuid(provider) && provider !== id;
}

/** True if the node has another ID of the same form: then a matching name proves nothing. */
function contradicts(node: InventoryNode, id: string): boolean {
  const identities = [node.systemUUID, node.providerID?.split('/').at(-1) ?? '']
    .map(nodeIdKey)
    .filter((each) => each !== '');
  return identities.some((each) => isUuid(each) === isUuid(id) && each !== id);
}

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
