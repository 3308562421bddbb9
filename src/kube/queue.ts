// A work queue of keys: a key is queued at most once, never runs twice at a time, and runs again after a pause if it
// failed.

import type { Logger } from 'pino';
import { backoffMs } from './backoff.ts';

export interface WorkQueueOptions {
  readonly name: string;
  /** Work for one key. Level-triggered: it reads the wanted state when it runs. */
  readonly work: (key: string) => Promise<void>;
  readonly log: Logger;
  readonly concurrency?: number;
  readonly baseDelayMs?: number;
  readonly maxDelayMs?: number;
}

export class WorkQueue {
  readonly #options: Required<WorkQueueOptions>;
  /** Keys in the order in which they are to run. */
  readonly #ready = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  /** Keys that were added again while they ran. */
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly at: number }>();
  readonly #failures = new Map<string, number>();
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#options = { concurrency: 4, baseDelayMs: 100, maxDelayMs: 60_000, ...options };
  }

  /** Keys that wait for their turn. */
  get depth(): number {
    return this.#ready.size + this.#timers.size;
  }

  add(key: string): void {
    if (this.#closed) return;
    this.#clearTimer(key);
    if (this.#running.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#fill();
  }

  /** Adds a key after a delay, unless it is added earlier. */
  addAfter(key: string, ms: number): void {
    if (this.#closed || this.#ready.has(key)) return;
    const at = performance.now() + ms;
    if ((this.#timers.get(key)?.at ?? Infinity) <= at) return;
    this.#clearTimer(key);
    const timer = setTimeout(() => this.add(key), ms);
    timer.unref();
    this.#timers.set(key, { timer, at });
  }

  /** Starts no further key, and waits for the running ones. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const key of this.#timers.keys()) this.#clearTimer(key);
    this.#ready.clear();
    await Promise.all(this.#running.values());
  }

  /** Runs all waiting keys without their pauses, and then closes. A key that fails again is dropped. */
  async drain(): Promise<void> {
    const waiting = [...this.#ready, ...this.#timers.keys(), ...this.#again];
    await this.close();
    await Promise.all(waiting.map((key) => this.#options.work(key).catch(() => undefined)));
  }

  #fill(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#ready.delete(key);
      this.#running.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    const { work, log, name, baseDelayMs, maxDelayMs } = this.#options;
    let again: number | undefined;
    try {
      await work(key);
      this.#failures.delete(key);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      again = backoffMs(failures, baseDelayMs, maxDelayMs, error);
      log.warn(
        { queue: name, key, err: error, failures, againMs: Math.round(again) },
        'work on this key failed: trying again',
      );
    }
    this.#running.delete(key);
    if (again !== undefined) this.addAfter(key, again);
    // The key changed while it ran, so it runs again; after a failure it waits for its pause first.
    if (this.#again.delete(key) && again === undefined) this.add(key);
    this.#fill();
  }

  #clearTimer(key: string): void {
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }
}
