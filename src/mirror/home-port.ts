import type { Problem } from '../api/errors.ts';
import type { Person } from '../store/model/store-port.ts';
import type { ConfigRef } from '../network/node.ts';

/** A MultiNicBizConfig as the home has it, before any check. */
export interface ConfigObject {
  readonly ref: ConfigRef;
  readonly uid: string;
  readonly generation: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: unknown;
  /** The client that wrote the spec. The name of a program, never a person's. */
  readonly writer: Person;
  /**
   * UIDs of the CR's containers: in a cluster its CRD and its namespace. main keeps them with the CR, so that the home
   * can tell whether the CR was deleted or its container.
   */
  readonly origin?: Readonly<Record<string, string>>;
}

export interface ConfigList {
  readonly configs: readonly ConfigObject[];
  /** Inputs that could not be read. */
  readonly problems?: readonly Problem[];
  /**
   * The reason why the absence of this CR from `configs` proves nothing: a file that does not parse, a list that
   * failed, a namespace that is being deleted. Undefined: the CR was deleted.
   */
  doubt(ref: ConfigRef): string | undefined;
}

/** A CR as main has it: a home compares it with what it finds. */
export interface KnownConfig {
  readonly ref: ConfigRef;
  readonly uid: string;
  readonly generation: number;
  /** The CR's origin, as in `ConfigObject`. */
  readonly origin?: Readonly<Record<string, string>>;
  /** The spec without its nodeConfigs. */
  readonly rest: Readonly<Record<string, unknown>>;
  /** Files of the nodeConfigs. */
  readonly entries: ReadonlyMap<string, { readonly text: string }>;
}

/** Lists the CRs of a home: of a folder, or of the API server. */
export interface ConfigSource {
  /** @param known the CRs that main has, by `group/namespace/name` */
  list(known: ReadonlyMap<string, KnownConfig>): Promise<ConfigList>;
}

/** Asks the home for the present generations. A `ConfigSource` may answer from memory. */
export interface ConfigGenerations {
  /**
   * Generation of each CR in the home.
   * @param known as for `list`
   * @throws MultinicError `Busy` if the home does not answer
   */
  generations(known: ReadonlyMap<string, KnownConfig>): Promise<ReadonlyMap<string, number>>;
}

/** A node as the home knows it: from inventory.yaml, or a Kubernetes Node. */
export interface InventoryNode {
  readonly name: string;
  readonly systemUUID: string;
  readonly machineId: string;
  readonly bootID: string;
  /** `nodeInfo.osImage`: `Ubuntu 22.04.4 LTS`. */
  readonly osImage: string;
  readonly providerID?: string;
  readonly hostname?: string;
  /** InternalIPs of the node. */
  readonly addresses?: readonly string[];
  /** Networks of the node's pods. */
  readonly podCIDRs?: readonly string[];
  readonly ready: boolean;
  /** Reason why the home does not know the machine. Then machineId and bootID are empty and the node is not ready. */
  readonly problem?: string;
  readonly paused: boolean;
  /** Fingerprint of the file that describes the machine, where people edit such a file. */
  readonly print?: string;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface NodeInventory {
  /** @throws if the list is incomplete; then the pass judges no node. */
  list(): Promise<readonly InventoryNode[]>;
}
