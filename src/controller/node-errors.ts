// Errors of single nodes in one pass. Such an error stops its node and no other.

import type { Logger } from 'pino';
import { concerns, MultinicError } from '../api/errors.ts';
import type { Store } from '../store/store.ts';

export class NodeErrors {
  readonly byNode = new Map<string, MultinicError>();
  readonly #store: Store;
  readonly #log: Logger;

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /**
   * Runs a task for one node.
   * @throws errors that concern the whole store
   */
  async of(node: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (concerns(error, 'store')) throw error;
      // A restore during a pass: one git process still reads the old store, and another reads the new one.
      await this.#store.expectFence();
      this.#log.error({ node, err: error }, 'reconciling this node failed: trying again');
      const message = error instanceof Error ? error.message : String(error);
      const known = error instanceof MultinicError ? error : undefined;
      this.byNode.set(
        node,
        known ?? new MultinicError('NodeTrouble', `${message}: see the controller's log`, { cause: error }),
      );
    }
  }
}
