import { KubeError } from './client.ts';

/**
 * Milliseconds to wait before try number `failures` + 1: doubling, with jitter so that many clients of one API server
 * do not come back together, and never less than the server asked for.
 */
export function backoffMs(failures: number, baseMs: number, maxMs: number, error?: unknown): number {
  const exponential = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
  const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(asked, exponential * (0.5 + Math.random() / 2));
}

/** Waits for `ms`. Resolves early, without an error, when the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) return Promise.resolve();
  const timer = setTimeout(resolve, ms);
  const end = (): void => resolve();
  signal.addEventListener('abort', end, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  });
}
