// Runs the store's maintenance beside the passes, because it may take seconds.

import type { Logger } from 'pino';
import { Maintenance } from '../store/care/maintenance.ts';
import type { Store } from '../store/store.ts';

export class BackgroundMaintenance {
  readonly #maintenance: Maintenance;
  readonly #log: Logger;
  #running: Promise<void> | undefined;

  constructor(store: Store, log: Logger) {
    this.#maintenance = new Maintenance(store);
    this.#log = log;
  }

  /** Starts maintenance if it is due and not running. */
  startIfDue(): void {
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  /** Waits for a running maintenance. */
  async close(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#maintenance.runIfDue();
    } catch (error) {
      this.#log.warn({ err: error }, 'maintenance failed: trying again after the next pass');
    }
  }
}
