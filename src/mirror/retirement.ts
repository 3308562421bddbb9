// Retires nodes that left: a node that the home no longer has, that no CR names and that wants nothing keeps its branches
// in the store and costs no pass. A node that comes back is no longer retired.

import type { Branch } from '../history/node-branch.ts';
import type { Oid } from '../store/model/store-port.ts';
import { InventoryIndex, type Claims } from './claim.ts';
import type { InventoryNode } from './home-port.ts';

export interface RetirementOptions {
  /** Milliseconds since the branch's newest commit. */
  readonly afterMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class Retirement {
  readonly #options: RetirementOptions;
  /** Tips of retired nodes. The next process reads each branch once, and comes to the same tips. */
  readonly #tips = new Map<string, Oid>();

  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  /** Whether the node is retired. A branch that moved since (a push) has to be read again. */
  has(name: string, tip: Oid): boolean {
    return this.#tips.get(name) === tip;
  }

  /** Notes which of these nodes retire. */
  note(inventory: readonly InventoryNode[], claims: Claims, branches: ReadonlyMap<string, Branch>): void {
    const { nodes } = InventoryIndex.of(inventory);
    const before = this.#options.now() - this.#options.afterMs;
    for (const [name, branch] of branches) {
      const departed = !nodes.has(name) && !claims.byNode.has(name) && !claims.unclear.has(name);
      const leaves = departed && wantsNothing(branch) && branch.tip.committer.time * 1000 <= before;
      if (leaves) this.#tips.set(name, branch.tip.oid);
      else this.#tips.delete(name);
    }
  }
}

function wantsNothing({ network, base, invalid }: Branch): boolean {
  return network.length === 0 && base.network.length === 0 && invalid === undefined;
}
