// The store is maintained and backed up beside the passes, because either may take seconds.

import type { Logger } from 'pino';
import type { Store } from '../store/store.ts';
import { BackgroundBackup, type BackupSchedule } from './background-backup.ts';
import { BackgroundMaintenance } from './background-maintenance.ts';

export class StoreCare {
  readonly backups: BackgroundBackup;
  readonly #maintenance: BackgroundMaintenance;

  /** @param schedule undefined: no backups are written */
  constructor(store: Store, schedule: BackupSchedule | undefined, log: Logger) {
    this.backups = new BackgroundBackup(store.dir, schedule, log);
    this.#maintenance = new BackgroundMaintenance(store, log);
  }

  /** Starts maintenance and backups that are due and not running. */
  startIfDue(): void {
    this.#maintenance.startIfDue();
    this.backups.startIfDue();
  }

  /** Waits for a running maintenance, and ends a running backup. */
  async close(): Promise<void> {
    await Promise.all([this.#maintenance.close(), this.backups.close()]);
  }
}
