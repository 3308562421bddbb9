// Runs pass after pass until the controller stops: at once when something may have changed, otherwise after a pause.

import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode, MultinicError } from '../api/errors.ts';
import type { Snapshot } from './config-status.ts';
import type { ControllerContext } from './controller-context.ts';
import type { Pass } from './pass.ts';

/** Pause before the pass after an error, and before a resync, which repairs the effect of lost events. */
const RETRY_MS = 5_000;
const RESYNC_MS = 300_000;
/** Interval between two looks at the fence while nothing happens. A look reads one small file. */
const FENCE_MS = 2_000;
/**
 * Longest pause after a pass. Each pause is as long as its pass, because a pass that finds everything in memory blocks
 * timers and answers: so the Lease, agents and pushes get half of the process.
 */
const MAX_REST_MS = 1_000;

/** Gets the result of each pass, and may end the loop. */
export interface PassListener {
  /** Called after a pass that went through, with its duration in milliseconds; true ends the loop. */
  readonly passed?: (snapshot: Snapshot, ms: number) => Promise<boolean>;
  /** Called after a pass that failed; true ends the loop with the pass's error. */
  readonly failed?: (error: unknown) => boolean;
}

/** The end of a turn: for how long to pause, or that the loop ends. */
type Turn = { readonly pauseMs: number } | 'end';

export class Loop {
  readonly #context: ControllerContext;
  readonly #pass: Pass;
  readonly #listener: PassListener;
  #resyncedAt = -Infinity;

  constructor(context: ControllerContext, pass: Pass, listener: PassListener) {
    this.#context = context;
    this.#pass = pass;
    this.#listener = listener;
  }

  /** @throws MultinicError `Fenced` when another controller took the store over */
  async run(): Promise<void> {
    const { passTrigger } = this.#context;
    while (!passTrigger.stopped) {
      passTrigger.begin();
      this.#resyncIfDue();
      const turn = await this.#turn();
      if (turn === 'end') return;
      await this.#pause(turn.pauseMs);
    }
  }

  /** Waits for the next pass. Asks meanwhile whether a restore put another store in the place of this one. */
  async #pause(ms: number): Promise<void> {
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      if ((await this.#context.passTrigger.pause(Math.min(left, FENCE_MS))) === 'asked') return;
      await this.#throwIfFenced();
    }
  }

  async #turn(): Promise<Turn> {
    const began = performance.now();
    try {
      const { snapshot, nextPassAt } = await this.#pass.run();
      if (await this.#listener.passed?.(snapshot, performance.now() - began)) return 'end';
      await sleep(Math.min(performance.now() - began, MAX_REST_MS));
      return { pauseMs: this.#pauseUntil(nextPassAt) };
    } catch (error) {
      await this.#fail(error);
      return { pauseMs: RETRY_MS };
    }
  }

  #pauseUntil(nextPassAt: number | undefined): number {
    if (nextPassAt === undefined) return RESYNC_MS;
    return Math.min(RESYNC_MS, Math.max(nextPassAt - this.#context.now(), 50));
  }

  /** @throws MultinicError `Fenced`, and the error itself when the listener ends the loop */
  async #fail(error: unknown): Promise<void> {
    const { reporter, log } = this.#context;
    await this.#throwIfFenced();
    await reporter.reportFailure(error);
    const code = error instanceof MultinicError ? error.code : undefined;
    log.error({ err: error, code }, 'pass failed: trying again');
    if (this.#listener.failed?.(error)) throw error;
  }

  /** Checks the fence: in a replaced store the pass's own failure means nothing. @throws MultinicError `Fenced` */
  async #throwIfFenced(): Promise<void> {
    await this.#context.store.expectFence().catch((error: unknown) => {
      // An unreadable store is the failure of the pass, which is reported elsewhere.
      if (hasCode(error, 'Fenced')) throw error;
    });
  }

  /** Forgets remembered refs from time to time: somebody may have written to the repository without the controller. */
  #resyncIfDue(): void {
    const now = performance.now();
    if (now - this.#resyncedAt < RESYNC_MS) return;
    this.#resyncedAt = now;
    this.#context.store.refs.forget();
  }
}
