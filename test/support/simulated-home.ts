// Nodes, CRs and statuses of a home, without a cluster. Nodes leave and join; a CR gets a new generation with each edit.

import type { ConfigStatus } from '../../src/api/status.ts';
import type { StatusSink } from '../../src/controller/sink-port.ts';
import { formatConfigRef } from '../../src/history/commit-format.ts';
import type { ConfigObject, InventoryNode } from '../../src/mirror/home-port.ts';
import { macOf, numberedNode, numberOf } from './numbered-node.ts';

/** Form of a home. */
export interface HomeShape {
  /** Absent: one CR has all nodes. */
  readonly nodesPerConfig?: number;
  readonly nics?: number;
}

/** A home as a file has it. */
export interface HomeState {
  readonly shape: HomeShape;
  readonly inventory: readonly InventoryNode[];
  /** Number of the next node that joins. */
  readonly next: number;
  readonly configCount: number;
  /** MTU of the first NIC of each node that a CR has an entry for. */
  readonly entries: readonly (readonly [node: string, mtu: number])[];
  readonly generations: readonly number[];
  readonly statuses: readonly (readonly [key: string, status: ConfigStatus])[];
}

export class SimulatedHome {
  statusWrites = 0;
  /** The list stays the same as long as no node changes, as that of an informer. */
  inventory: readonly InventoryNode[];
  /** Status of each CR, as the API server keeps it. */
  readonly sink: StatusSink = {
    read: async (ref) => this.#statuses.get(formatConfigRef(ref)),
    write: async (ref, status) => {
      this.statusWrites += 1;
      this.#statuses.set(formatConfigRef(ref), status);
    },
    remove: async (ref) => void this.#statuses.delete(formatConfigRef(ref)),
    emit: async () => undefined,
  };
  readonly #shape: HomeShape;
  readonly #configCount: number;
  readonly #entries: Map<string, number>;
  readonly #configs: ConfigObject[] = [];
  readonly #statuses: Map<string, ConfigStatus>;
  #nodes: { of?: readonly InventoryNode[]; byName: Map<string, InventoryNode> } = { byName: new Map() };
  #next: number;

  constructor(state: HomeState) {
    this.#shape = state.shape;
    this.#configCount = state.configCount;
    this.#next = state.next;
    this.inventory = state.inventory;
    this.#entries = new Map(state.entries);
    this.#statuses = new Map(state.statuses);
    for (let config = 0; config < state.configCount; config += 1)
      this.#configs[config] = this.#config(config, state.generations[config] ?? 1);
  }

  static of(count: number, shape: HomeShape = {}): HomeState {
    const inventory = Array.from({ length: count }, (_, index) => numberedNode(index));
    return {
      shape,
      inventory,
      next: count,
      configCount: Math.ceil(count / (shape.nodesPerConfig ?? count)),
      entries: inventory.map(({ name }) => [name, 1500]),
      generations: [],
      statuses: [],
    };
  }

  get state(): HomeState {
    return {
      shape: this.#shape,
      inventory: this.inventory,
      next: this.#next,
      configCount: this.#configCount,
      entries: [...this.#entries],
      generations: this.#configs.map(({ generation }) => generation),
      statuses: [...this.#statuses],
    };
  }

  get configs(): readonly ConfigObject[] {
    return this.#configs;
  }

  node(name: string): InventoryNode | undefined {
    if (this.#nodes.of !== this.inventory)
      this.#nodes = { of: this.inventory, byName: new Map(this.inventory.map((node) => [node.name, node])) };
    return this.#nodes.byName.get(name);
  }

  /** Gives the first NIC of these nodes another MTU. */
  edit(nodes: readonly string[], mtu: number): void {
    for (const node of nodes) this.#entries.set(node, mtu);
    this.#write(nodes);
  }

  /** Adds nodes that the home never had. @returns their names */
  join(count: number): string[] {
    const fresh = Array.from({ length: count }, (_, index) => numberedNode(this.#next + index));
    const names = fresh.map(({ name }) => name);
    this.#next += count;
    this.inventory = [...this.inventory, ...fresh];
    this.edit(names, 1500);
    return names;
  }

  /** Takes nodes out of the home, and their entries out of the CRs. */
  leave(names: readonly string[]): void {
    this.hide(names);
    for (const name of names) this.#entries.delete(name);
    this.#write(names);
  }

  /** Takes nodes out of the home, while the CRs still name the nodes. @returns the nodes, for `show` */
  hide(names: readonly string[]): InventoryNode[] {
    const hidden = new Set(names);
    const gone = this.inventory.filter(({ name }) => hidden.has(name));
    this.inventory = this.inventory.filter(({ name }) => !hidden.has(name));
    return gone;
  }

  show(nodes: readonly InventoryNode[]): void {
    this.inventory = [...this.inventory, ...nodes];
  }

  /** Changes fields of nodes in the inventory. */
  change(names: ReadonlySet<string>, more: Partial<InventoryNode>): void {
    this.inventory = this.inventory.map((node) => (names.has(node.name) ? { ...node, ...more } : node));
  }

  #write(nodes: readonly string[]): void {
    for (const config of new Set(nodes.map((node) => this.#configOf(node))))
      this.#configs[config] = this.#config(config, this.#configs[config]!.generation + 1);
  }

  #configOf(node: string): number {
    return Math.floor(numberOf(node) / (this.#shape.nodesPerConfig ?? Infinity)) % this.#configCount;
  }

  #config(number: number, generation: number): ConfigObject {
    const own = [...this.#entries].filter(([node]) => this.#configOf(node) === number);
    return {
      ref: {
        group: 'multinic.io',
        namespace: 'multinic-system',
        name: number === 0 ? 'cr' : `cr-${number}`,
      },
      uid: `uid-${number}`,
      generation,
      annotations: {},
      writer: { name: 'viola', email: 'viola@example.org' },
      spec: { nodeConfigs: own.map(([node, mtu]) => entryOf(node, this.#shape.nics ?? 1, mtu)) },
    };
  }
}

function entryOf(node: string, nics: number, mtu: number): object {
  const index = numberOf(node);
  return {
    attachedNodeId: numberedNode(index).systemUUID,
    attachedNodeName: node,
    interfaces: Array.from({ length: nics }, (_, nic) => ({
      macAddress: macOf(node, nic),
      cidr: `${10 + nic}.${index >> 8}.${index & 255}.10/24`,
      mtu: nic === 0 ? mtu : 1500,
    })),
  };
}
