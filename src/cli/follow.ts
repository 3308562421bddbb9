// Asks again and again, for `--watch`, `--follow` and `wait`. A controller that restarts or moves is opened anew.

import { setTimeout as pause } from 'node:timers/promises';
import { hasCode, MultinicError } from '../api/errors.ts';
import { completed } from './remedy.ts';
import { openSource, type Source } from './source.ts';
import type { ConnectionFlags } from './target.ts';

const EVERY_MS = 2_000;

export interface FollowOptions {
  /** Whether a failure before the first answer is waited out as well. */
  readonly patient?: boolean;
  /** Time at which to give up, as of `performance.now()`. */
  readonly until?: number;
  readonly everyMs?: number;
}

/**
 * Calls `see` until it returns true.
 * @returns false: the time is over
 * @throws the failure of the first answer; if the time is over without any answer, the last failure
 */
export async function follow(
  flags: ConnectionFlags,
  see: (source: Source) => Promise<boolean>,
  { patient = false, until = Infinity, everyMs = EVERY_MS }: FollowOptions = {},
): Promise<boolean> {
  let source: Source | undefined;
  let answered = false;
  let told = '';
  try {
    for (;;) {
      let failure: unknown;
      try {
        source ??= await openSource(flags);
        if (await see(source)) return true;
        answered = true;
      } catch (error) {
        if (!isPassing(error) || !(answered || patient)) throw error;
        // The same failure again is no news before the first answer: a start takes some time.
        if (answered || error.message !== told)
          process.stderr.write(`${completed(error.message)}; trying again\n`);
        told = error.message;
        failure = error;
        await source?.close();
        source = undefined;
      }
      if (performance.now() + everyMs > until) {
        if (!answered && failure !== undefined) throw failure;
        return false;
      }
      await pause(everyMs);
    }
  } finally {
    await source?.close();
  }
}

/** Failures that a start, a restart or a move of the controller explains. */
function isPassing(error: unknown): error is MultinicError {
  // The error of an API server has a code outside of the table.
  if (error instanceof MultinicError && String(error.code) === 'KubeUnreachable') return true;
  return hasCode(
    error,
    'Busy',
    'ControllerUnreachable',
    'NoCa',
    'NoController',
    'NoPortForward',
    'NoStatus',
    'NoStore',
    'NoSuchNode',
  );
}
