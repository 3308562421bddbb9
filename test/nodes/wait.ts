// Waits with a time limit.
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from '../support/lab-error.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly everyMs?: number;
  /** Whether the condition can still come true. If not, the wait ends. */
  readonly hopeful?: () => boolean;
  /** Facts for a person after a vain wait; called only then. */
  readonly hint?: () => string | Promise<string>;
}

/**
 * Calls the function until it returns neither undefined nor false nor throws.
 * @param what completes the sentence "waited in vain for …"
 * @throws MultinicError `TimedOut`
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  { timeoutMs, everyMs = 100, hopeful = () => true, hint }: WaitOptions,
): Promise<T> {
  const start = performance.now();
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      cause = error;
    }
    const waited = performance.now() - start;
    if (waited > timeoutMs || !hopeful()) {
      const detail = (await hint?.()) ?? (cause === undefined ? '' : String(cause));
      const seconds = (waited / 1000).toFixed(1);
      throw new LabError('TimedOut', `waited ${seconds} s in vain for ${what}; look at\n${detail}`, {
        cause,
      });
    }
    await sleep(everyMs);
  }
}
