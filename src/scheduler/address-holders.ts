// Index of the addresses that hosts have: for each address, the nodes that may have it. Kept from pass to pass, so that a
// pass pays for the nodes that changed.

const NOBODY: ReadonlySet<string> = new Set();

export class AddressHolders {
  readonly #nodes = new Map<string, Set<string>>();
  readonly #addresses = new Map<string, ReadonlySet<string>>();

  /** Nodes whose hosts may have the address. */
  of(address: string): ReadonlySet<string> {
    return this.#nodes.get(address) ?? NOBODY;
  }

  /** @param addresses all addresses that the node's host may have; the same object as before means no change */
  set(node: string, addresses: ReadonlySet<string>): void {
    const before = this.#addresses.get(node);
    if (before === addresses) return;
    for (const address of before ?? []) if (!addresses.has(address)) this.#drop(node, address);
    for (const address of addresses) {
      const nodes = this.#nodes.get(address);
      if (nodes === undefined) this.#nodes.set(address, new Set([node]));
      else nodes.add(node);
    }
    this.#addresses.set(node, addresses);
  }

  /** Drops all nodes but these. */
  keep(nodes: { has(node: string): boolean }): void {
    for (const [node, addresses] of this.#addresses) {
      if (nodes.has(node)) continue;
      for (const address of addresses) this.#drop(node, address);
      this.#addresses.delete(node);
    }
  }

  #drop(node: string, address: string): void {
    const nodes = this.#nodes.get(address);
    nodes?.delete(node);
    if (nodes?.size === 0) this.#nodes.delete(address);
  }
}
