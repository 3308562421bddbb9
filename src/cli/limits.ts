import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ControllerContextOptions } from '../controller/controller-context.ts';
import type { PassOptions } from '../controller/pass.ts';
import { parseCidr } from '../network/address.ts';
import { wholeNumber } from './option-values.ts';
import { DRIFT_MODES, type DriftMode } from '../api/annotations.ts';
import { DEFAULTS } from '../api/defaults.ts';

/**
 * Options of a controller's limits: simultaneous agents, failed nodes, nodes that lose all interfaces, and departed
 * nodes. Also the answer to drift and the cluster's networks.
 */
export interface LimitFlags {
  readonly jobs: number;
  readonly stopAfter: number;
  readonly maxRemoval: number;
  readonly retireAfter: number;
  readonly drift: DriftMode;
  readonly observeInterval: number;
  readonly sourceRouting: 'auto' | 'off';
  readonly clusterNetworks: readonly string[];
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
    .addOption(new Option('--drift <mode>', 'answer to drift').choices(DRIFT_MODES).default(DEFAULTS.drift))
    .addOption(
      new Option(
        '--source-routing <mode>',
        'source routing that the CR does not set: auto for NICs that need it, off for none',
      )
        .choices(['auto', 'off'])
        .default(DEFAULTS.sourceRouting),
    )
    .option(
      '--cluster-networks <cidrs>',
      'networks of pods and Services, by comma: a CR that overlaps one gets a warning',
      networks,
      [...DEFAULTS.clusterNetworks],
    )
    .option(
      '--observe-interval <minutes>',
      'between two observations of a node; 0: only after boots and repairs, and on request',
      wholeNumber(0),
      DEFAULTS.observeMinutes,
    );
}

export function limitsOf(
  flags: LimitFlags,
  run: Pick<NonNullable<PassOptions['policy']>, 'apply' | 'probes' | 'deadlineSeconds'>,
): Required<
  Pick<ControllerContextOptions, 'guard' | 'retireAfterMs' | 'routing'> &
    Pick<PassOptions, 'policy' | 'observeIntervalMs'>
> {
  const { jobs, stopAfter, maxRemoval, retireAfter, drift, observeInterval, sourceRouting, clusterNetworks } =
    flags;
  return {
    routing: { auto: sourceRouting === 'auto', clusterNetworks },
    policy: { concurrency: jobs, stopAfter, drift, ...run },
    observeIntervalMs: observeInterval * 60_000,
    guard: { fraction: maxRemoval / 100, minimum: 1 },
    retireAfterMs: retireAfter * 3_600_000,
  };
}

/** @throws InvalidArgumentError when a part is no network */
function networks(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  const wrong = parts.find((part) => parseCidr(part) === undefined);
  if (wrong === undefined) return parts;
  throw new InvalidArgumentError(`${JSON.stringify(wrong)} is no network such as 10.96.0.0/12`);
}
