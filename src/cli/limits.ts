import type { Command } from 'commander';
import type { ControllerContextOptions } from '../controller/controller-context.ts';
import type { PassOptions } from '../controller/pass.ts';
import { wholeNumber } from './option-values.ts';
import { DEFAULTS } from '../api/defaults.ts';

/** Limits of a controller: agents at once, failed nodes that stop a change, and nodes that may lose all interfaces. */
export interface LimitFlags {
  readonly jobs: number;
  readonly stopAfter: number;
  readonly maxRemoval: number;
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
    );
}

export function limitsOf(
  { jobs, stopAfter, maxRemoval }: LimitFlags,
  run: Pick<NonNullable<PassOptions['policy']>, 'apply' | 'probes' | 'deadlineSeconds'>,
): Required<Pick<ControllerContextOptions, 'guard'> & Pick<PassOptions, 'policy'>> {
  return {
    policy: { concurrency: jobs, stopAfter, ...run },
    guard: { fraction: maxRemoval / 100, minimum: 1 },
  };
}
