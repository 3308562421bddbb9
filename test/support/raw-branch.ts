// Commits of a node's branch that are written by hand, each at a time that the test says.

import type { Oid } from '../../src/api/oid.ts';
import type { Network } from '../../src/network/interface.ts';
import { renderTree } from '../../src/network/tree.ts';
import { identity } from './agent.ts';
import type { LooseObjects, RawCommit } from './loose-objects.ts';

const CONTROLLER = 'multinic-agent <controller@multinic.io>';
const ALICE = 'Alice <alice@example.org>';

/** The files of node `a` with these interfaces. */
export const filesOf = (network: Network): ReadonlyMap<string, string> =>
  renderTree(identity('netplan', 'a'), network);

export interface At {
  readonly parent?: Oid | undefined;
  /** Seconds since 1970. */
  readonly time?: number;
}

export class RawBranch {
  readonly #objects: LooseObjects;

  constructor(objects: LooseObjects) {
    this.#objects = objects;
  }

  /** A commit of the controller: `spec`, `birth`, and so on. */
  ours(kind: string, network: Network, at: At = {}): Oid {
    return this.commit(filesOf(network), CONTROLLER, `a: ${kind}\n\nChange: ${kind}\n`, at);
  }

  /** A commit of a person. */
  edit(files: ReadonlyMap<string, string>, at: At = {}, message = 'an edit'): Oid {
    return this.commit(files, ALICE, message, at);
  }

  commit(files: ReadonlyMap<string, string>, by: string, message: string, { parent, time = 1 }: At): Oid {
    const commit: RawCommit = { tree: this.#objects.tree(files), by: `${by} ${time}`, message };
    return this.#objects.commit({ ...commit, ...(parent !== undefined && { parents: [parent] }) });
  }
}
