// Commands for one node run one after the other, because commands that run together only lose races to each other.

export class NodeTurns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs a command after all earlier ones for its node. A command for many nodes (no name) waits for none. */
  async of<T>(node: string, command: () => Promise<T>): Promise<T> {
    if (node === '') return command();
    const turn = (this.#last.get(node) ?? Promise.resolve()).then(command);
    const over = turn.catch(() => undefined);
    this.#last.set(node, over);
    try {
      return await turn;
    } finally {
      if (this.#last.get(node) === over) this.#last.delete(node);
    }
  }
}
