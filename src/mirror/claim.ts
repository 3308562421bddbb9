// Which entry of which CR speaks for which node.

import type { NodeIdentity } from '../network/node.ts';
import { formatConfigRef } from '../history/commit-words.ts';
import { nodeIdKey } from '../network/text.ts';
import type { Entry } from './node-entry.ts';
import type { MainConfig, MainState } from './main-branch.ts';
import type { InventoryNode } from './home-port.ts';

/** An entry that speaks for a node. */
export interface Claim {
  readonly config: MainConfig;
  readonly entry: Entry;
}

/** Why an entry speaks for no node. */
export interface Rejection {
  readonly code: 'NoSuchNode' | 'AmbiguousNode' | 'ClaimedByOther' | 'InvalidEntry';
  readonly message: string;
  /** With `AmbiguousNode`: the nodes that it may mean. */
  readonly nodes?: readonly string[];
}

export interface Claims {
  /** By node name. */
  readonly byNode: ReadonlyMap<string, Claim>;
  /** The node's name, or why there is none, of each entry. */
  readonly byEntry: ReadonlyMap<Entry, Found | Rejection>;
  /**
   * Nodes of which nobody can say what they are meant to have: two have one ID, or their CR has an entry that could
   * be theirs. That no entry speaks for them means nothing.
   */
  readonly unclear: ReadonlySet<string>;
}

interface Found {
  readonly node: string;
  /** By its name only: an entry that has its ID is better. */
  readonly byName?: true;
}

/** Nodes that have a branch, by name. */
export type KnownNodes = ReadonlyMap<string, { readonly node: NodeIdentity }>;

/**
 * Finds each node's claim. A node whose branch already has a source keeps it as long as that CR has an entry for
 * the node: the elder claim stays.
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

/** In an order that a restart does not change. */
function allClaims(main: MainState): Claim[] {
  const configs = [...main.configs].sort(([a], [b]) => (a < b ? -1 : 1));
  return configs.flatMap(([, config]) => [...config.entries.values()].map((entry) => ({ config, entry })));
}

/** The CR that has the node comes first; then who knows its ID; then the first of the list. */
function byAge(node: NodeIdentity | undefined) {
  const rank = ({ config, found }: Candidate): number =>
    (node !== undefined && formatConfigRef(node.source) === formatConfigRef(config.ref) ? 0 : 2) +
    (found.byName === undefined ? 0 : 1);
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

/** Looks nodes up, those of the inventory first: one that left it is still known by its branch. */
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

/** An inventory's nodes by what may name them. Remembered with the list: the same list gives the same answers. */
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
   * attachedNodeId is the node's systemUUID, else its providerID's last part, else attachedNodeName is its name or
   * hostname if no identity contradicts.
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
      if (nodes.length > 1) {
        return {
          code: 'AmbiguousNode',
          message: `nodes ${nodes.map((node) => node.name).join(' and ')} both have the ID ${entry.nodeId}: neither is touched until one changes`,
          nodes: nodes.map((node) => node.name),
        };
      }
      if (nodes.length === 1) return { node: nodes[0]!.name };
    }
    const [named, ...others] = entry.nodeName === undefined ? [] : (this.#byName.get(entry.nodeName) ?? []);
    if (named !== undefined && others.length === 0 && !contradicts(named, id))
      return { node: named.name, byName: true };
    return {
      code: 'NoSuchNode',
      message: `no node has the ID ${entry.nodeId}: it is picked up when it joins`,
    };
  }
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
