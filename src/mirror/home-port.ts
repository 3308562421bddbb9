import type { Problem } from '../api/errors.ts';
import type { Person } from '../store/model/store-port.ts';
import type { ConfigRef } from '../network/node.ts';

/** A MultiNicBizConfig as the home has it, unjudged. */
export interface ConfigObject {
  readonly ref: ConfigRef;
  readonly uid: string;
  readonly generation: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: unknown;
  /** The client that wrote the spec: not a person. */
  readonly writer: Person;
  /**
   * IDs of what the CR lives in (in a cluster its CRD and its namespace). main keeps them with the CR, so that the home
   * can tell whether a CR is gone or what it lived in.
   */
  readonly origin?: Readonly<Record<string, string>>;
}

export interface ConfigList {
  readonly configs: readonly ConfigObject[];
  /** What could not be read at all. */
  readonly problems?: readonly Problem[];
  /**
   * Why the absence of this CR from `configs` proves nothing (a file that does not parse, a list that failed, a
   * namespace being deleted); undefined: it is really gone.
   */
  doubt(ref: ConfigRef): string | undefined;
}

/** Where CRs come from: a folder, or the API server. */
export interface ConfigSource {
  list(): Promise<ConfigList>;
}

/** A node as the home knows it: from inventory.yaml, or a Kubernetes Node. */
export interface InventoryNode {
  readonly name: string;
  readonly systemUUID: string;
  readonly machineID: string;
  readonly bootID: string;
  /** `nodeInfo.osImage`: `Ubuntu 22.04.4 LTS`. */
  readonly osImage: string;
  readonly providerID?: string;
  readonly hostname?: string;
  readonly ready: boolean;
  /** Why the home knows nothing of its machine: then machineID and bootID are empty, and it is not ready. */
  readonly problem?: string;
  readonly paused: boolean;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface NodeInventory {
  /** @throws when the list is not complete: then no node is judged. */
  list(): Promise<readonly InventoryNode[]>;
}
