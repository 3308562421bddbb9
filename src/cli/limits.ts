import { Option, type Command } from 'commander';
import type { ControllerContextOptions } from '../controller/controller-context.ts';
import type { PassOptions } from '../controller/pass.ts';
import { wholeNumber } from './option-values.ts';
import { DRIFT_MODES, type DriftMode } from '../api/annotations.ts';
import { DEFAULTS } from '../api/defaults.ts';

/**
 * Limits of a controller: on agents at once, failed nodes, nodes that lose all interfaces, and departed nodes; and its
 * answer to drift.
 */
export interface LimitFlags {
  readonly jobs: number;
  readonly stopAfter: number;
  readonly maxRemoval: number;
  readonly retireAfter: number;
  readonly drift: DriftMode;
  readonly observeInterval: number;
}

export function withLimits(command: Command): Command {
  return command
    .option('--jobs <n>', 'agents at once', wholeNumber(1), DEFAULTS.jobs)
    .option('--stop-after <n>', 'failed nodes that stop a change', wholeNumber(1), DEFAULTS.stopAfter)
    .option(
      '--max-removal <percent>',
      'share of the nodes that may lose all interfaces within an hour',
      wholeNumber(0),
      DEFAULTS.maxRemoval,
    )
    .option(
      '--retire-after <hours>',
      'hours after its last commit from which passes leave out a node that is gone and that no CR names',
      wholeNumber(0),
      DEFAULTS.retireAfter,
    )
    .addOption(
      new Option('--drift <mode>', 'what follows when a host no longer has what was applied')
        .choices(DRIFT_MODES)
        .default(DEFAULTS.drift),
    )
    .option(
      '--observe-interval <minutes>',
      'between two observations of a node; 0: only after boots and repairs, and on request',
      wholeNumber(0),
      DEFAULTS.observeMinutes,
    );
}

export function limitsOf(
  { jobs, stopAfter, maxRemoval, retireAfter, drift, observeInterval }: LimitFlags,
  run: Pick<NonNullable<PassOptions['policy']>, 'apply' | 'probes' | 'deadlineSeconds'>,
): Required<
  Pick<ControllerContextOptions, 'guard' | 'retireAfterMs'> &
    Pick<PassOptions, 'policy' | 'observeIntervalMs'>
> {
  return {
    policy: { concurrency: jobs, stopAfter, drift, ...run },
    observeIntervalMs: observeInterval * 60_000,
    guard: { fraction: maxRemoval / 100, minimum: 1 },
    retireAfterMs: retireAfter * 3_600_000,
  };
}
