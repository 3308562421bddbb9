// Writes backups of the store beside the passes. The folder itself says when the next one is due, so neither a restart
// nor another leader changes the schedule.

import type { Logger } from 'pino';
import { BackupFolder } from '../store/care/backup-folder.ts';

export interface BackupSchedule {
  /** Folder of the backups, which exists. */
  readonly dir: string;
  /** Time from the begin of one backup to the begin of the next. */
  readonly everyMs: number;
  /** Number of backups that stay. */
  readonly keep: number;
}

/** Time after a failure until the next try. */
const RETRY_MS = 300_000;

export class BackgroundBackup {
  readonly #folder: BackupFolder | undefined;
  readonly #storeDir: string;
  readonly #schedule: BackupSchedule | undefined;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #failedAt = -Infinity;

  /** @param schedule undefined: no backups are written */
  constructor(
    storeDir: string,
    schedule: BackupSchedule | undefined,
    log: Logger,
    now: () => number = Date.now,
  ) {
    this.#folder = schedule && new BackupFolder(schedule.dir);
    this.#storeDir = storeDir;
    this.#schedule = schedule;
    this.#log = log;
    this.#now = now;
  }

  /**
   * Start of the newest backup, in milliseconds since 1970; 0: there is no backup.
   * @returns undefined without a schedule
   */
  async newestAt(): Promise<number | undefined> {
    return this.#folder && ((await this.#folder.newestAt(this.#now())) ?? 0);
  }

  /** Starts a backup if one is due and none is running. */
  startIfDue(): void {
    const { signal } = this.#closing;
    if (this.#schedule === undefined || signal.aborted) return;
    this.#running ??= this.#runIfDue(this.#schedule, signal).finally(() => (this.#running = undefined));
  }

  /** Waits for a running backup. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Aborts a running backup. The next leader, or the next start, begins it again. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #runIfDue({ everyMs, keep }: BackupSchedule, signal: AbortSignal): Promise<void> {
    const folder = this.#folder!;
    const now = this.#now();
    if (now - this.#failedAt < Math.min(RETRY_MS, everyMs)) return;
    try {
      const newest = await folder.newestAt(now);
      if (newest !== undefined && now - newest < everyMs) return;
      const file = await folder.write(this.#storeDir, { keep, now, signal });
      this.#log.info({ file, ms: this.#now() - now }, 'a backup is written');
    } catch (error) {
      if (signal.aborted) return;
      this.#failedAt = now;
      this.#log.error({ err: error }, 'a backup failed: it is tried again in some minutes');
    }
  }
}
