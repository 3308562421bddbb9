import { MultinicError } from '../../api/errors.ts';

/** Seconds that a run reserves for restoring and reporting. A run with a short deadline reserves four tenths of it. */
const RESERVE_SECONDS = 30;

/**
 * Ends a run from outside, in time to restore the host and report: by its deadline, or by SIGTERM or SIGINT.
 * @returns aborted with a MultinicError as reason
 */
export function limit(deadlineSeconds: number): AbortSignal {
  const controller = new AbortController();
  const workSeconds = workingSeconds(deadlineSeconds);
  const timer = setTimeout(() => {
    controller.abort(
      new MultinicError(
        'DeadlineExceeded',
        `not done after ${workSeconds} of ${deadlineSeconds} seconds; look at what the step waits for, then run \`multinic retry\``,
      ),
    );
  }, workSeconds * 1000);
  timer.unref();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      controller.abort(
        new MultinicError('Interrupted', `stopped by ${signal}; run \`multinic retry\` when that is wanted`),
      );
    });
  }
  return controller.signal;
}

/**
 * Seconds after which the host restores itself. The host waits a quarter of the deadline longer than a run, at least
 * five seconds.
 */
export function deadManSeconds(deadlineSeconds: number): number {
  return deadlineSeconds + Math.max(Math.ceil(deadlineSeconds / 4), 5);
}

/** Seconds that a run may work before it has to restore. */
export function workingSeconds(deadlineSeconds: number): number {
  return deadlineSeconds - Math.min(RESERVE_SECONDS, deadlineSeconds * 0.4);
}
