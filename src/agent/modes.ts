import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { hasCode, MultinicError } from '../api/errors.ts';
import { AgentJob, NODE_ADDRESS_VARIABLE } from '../api/job.ts';
import type { Observation } from '../api/observation.ts';
import type { Outcome } from '../api/outcome.ts';
import { httpBranch, observedBranch } from './fetch/store-branch.ts';
import { observe as observeHost, type ObservationTask } from './observe/observe.ts';
import { hostCommandMs } from './command/host-command.ts';
import { readDesired, readTreeFolder, without } from './plan/desired.ts';
import type { Host } from './host/host.ts';
import { limit } from './run/deadline.ts';
import { liveHost } from './live/live-host.ts';
import { isRunning } from './live/live-machine.ts';
import { openRoot } from './files/managed-files.ts';
import { recordedHost } from './recorded/recorded-host.ts';
import { apiServerOf } from './host/probe.ts';
import { detect as detectHost, preview, type Detection, type Preview } from './run/preview.ts';
import { fitObservation, fitOutcome, writeProgress, writeRefusal, writeReport } from './outcome-file.ts';
import { superseded } from './run/result.ts';
import type { Root } from './files/root.ts';
import { cleanUp, peersOf, run, type Dependencies } from './run/run.ts';
import { AGENT_EXIT } from '../api/exit-codes.ts';
import { DEFAULTS } from '../api/defaults.ts';

export interface HostOptions {
  readonly root: string;
  readonly outcome?: string;
  readonly offline?: boolean;
}

export interface ApplyOptions extends HostOptions {
  readonly job: string;
}

/** @returns the exit code */
export function apply(options: ApplyOptions): Promise<number> {
  return withHost(
    options,
    () => readJob(options.job).deadlineSeconds,
    (dependencies) => {
      const job = readJob(options.job);
      return run(job, httpBranch(job), dependencies);
    },
  );
}

/** @returns the exit code */
export function cleanup(options: HostOptions & { readonly deadline: number }): Promise<number> {
  return withHost(
    options,
    () => options.deadline,
    (dependencies) => cleanUp(dependencies, options.deadline),
  );
}

/** @throws MultinicError `NotRunning`, `InvalidRoot`, and as `preview.ts` says */
export function detect(options: HostOptions): Promise<Detection> {
  const root = openHost(options);
  return detectHost(root, hostOf(root, options));
}

export interface PlanOptions extends HostOptions {
  /** A job file, whose commit is fetched. */
  readonly job?: string;
  /** A folder with a node's branch checked out, which names the commit instead of a job file. */
  readonly tree?: string;
}

/** @throws MultinicError as `detect`; `InvalidJob`, `InvalidTree`, `NewerCommit`, and the errors of a checkout */
export async function plan(options: PlanOptions): Promise<Preview> {
  const root = openHost(options);
  const host = hostOf(root, options);
  const apiServer = options.offline === true ? undefined : apiServerOf(process.env);
  const own = apiServer === undefined ? [] : [apiServer.host];
  if (options.tree !== undefined) {
    const { desired } = readTreeFolder(options.tree);
    return preview(root, host, { desired, peers: own, mode: 'live', probes: [] });
  }
  const job = readJob(options.job ?? '');
  const checkout = await httpBranch(job).checkout();
  if (checkout.tip !== job.commit) {
    const { reason = 'NewerCommit', message = '' } = superseded(job.commit, checkout.tip);
    throw new MultinicError(reason, message);
  }
  const { desired } = readDesired(job.commit, job.node, checkout);
  return preview(root, host, {
    desired: without(desired, job.leaveOut ?? []),
    expectedRecord: job.expectedRecord,
    peers: [...peersOf(job), ...own],
    mode: job.apply,
    probes: job.probes ?? [],
  });
}

export interface ObserveOptions extends PlanOptions, Pick<HostOptions, 'outcome'> {}

/**
 * Observes the host once. With a file for the report, the log goes to stderr, as a run's log does.
 * @throws MultinicError `NotRunning`, `InvalidRoot`, `InvalidJob`, `InvalidTree`; everything else is in the report
 */
export async function observe(options: ObserveOptions): Promise<Observation> {
  const { outcome } = options;
  const log = await openLog(outcome === undefined ? 'silent' : 'info');
  try {
    const root = openHost(options);
    const task = observationTask(options);
    const report = await observeHost(task, {
      root,
      host: hostOf(root, options),
      log,
      clock: () => new Date(),
      signal: limit(task.deadlineSeconds),
      entered: (step) => {
        if (outcome !== undefined) writeProgress(outcome, step, new Date());
      },
    });
    const fitted = fitObservation(report);
    if (outcome !== undefined) writeReport(outcome, fitted);
    const { result, durationMs } = report;
    log.info({ result, durationMs, elsewhereMs: hostCommandMs() }, report.message ?? result);
    return outcome === undefined ? report : fitted;
  } catch (error) {
    if (outcome !== undefined && error instanceof MultinicError) writeRefusal(outcome, error.message);
    throw error;
  }
}

/** Without a job file, the host is compared with a folder, whatever commit its record names. */
function observationTask({ job: file, tree }: ObserveOptions): ObservationTask {
  if (tree !== undefined) {
    const { desired, node } = readTreeFolder(tree);
    return {
      node: node.name,
      job: 'observe',
      commit: undefined,
      mode: 'live',
      deadlineSeconds: DEFAULTS.deadline,
      checkout: async () => desired,
    };
  }
  const job = readJob(file ?? '');
  const branch = observedBranch(job);
  return {
    node: job.node,
    job: job.name,
    commit: job.commit,
    mode: job.apply,
    deadlineSeconds: job.deadlineSeconds,
    checkout: async () => readDesired(job.commit, job.node, await branch.checkout()).desired,
    send: branch.send,
  };
}

function hostOf(root: Root, { offline }: HostOptions): Host {
  return offline === true ? recordedHost(root) : liveHost(root, process.env[NODE_ADDRESS_VARIABLE]);
}

async function withHost(
  options: HostOptions,
  deadlineSeconds: () => number,
  action: (dependencies: Dependencies) => Promise<Outcome>,
): Promise<number> {
  const log = await openLog();
  try {
    const signal = limit(deadlineSeconds());
    const root = openHost(options);
    const apiServer = apiServerOf(process.env);
    const outcome = await action({
      root,
      host: hostOf(root, options),
      log,
      clock: () => new Date(),
      signal,
      ...(apiServer !== undefined && options.offline !== true && { apiServer }),
      entered: (step) => {
        if (options.outcome !== undefined) writeProgress(options.outcome, step, new Date());
      },
    });
    if (options.outcome === undefined) process.stdout.write(`${JSON.stringify(fitOutcome(outcome))}\n`);
    else writeReport(options.outcome, fitOutcome(outcome));
    const { result, durationMs } = outcome;
    log.info({ result, durationMs, elsewhereMs: hostCommandMs() }, outcome.message ?? result);
    if (outcome.result !== 'Failed') return AGENT_EXIT.ok;
    return outcome.reason === 'RestoreFailed' ? AGENT_EXIT.restoreFailed : AGENT_EXIT.failed;
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    log.error({ code: error.code }, error.message);
    if (options.outcome !== undefined) writeRefusal(options.outcome, error.message);
    return hasCode(error, 'AgentRunning') ? AGENT_EXIT.locked : AGENT_EXIT.usage;
  }
}

/** The log of a run or an observation, on stderr. Other modes load no logger. */
async function openLog(level: 'info' | 'silent' = 'info') {
  // pino is a CommonJS module, which is the default export of a bundle in several files.
  const { default: pino } = await import('pino');
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}

function openHost({ root, offline }: HostOptions): ReturnType<typeof openRoot> {
  // Without this check the files of a folder would be applied to the NICs of this machine.
  if (offline !== true && !isRunning(root)) {
    throw new MultinicError(
      'NotRunning',
      `--root ${root} is not the root of the host that runs here (its /proc is missing); for a folder with a recorded machine add --offline`,
    );
  }
  try {
    return openRoot(root);
  } catch (error) {
    throw new MultinicError(
      'InvalidRoot',
      `--root ${root}: ${(error as Error).message}; name an existing folder`,
    );
  }
}

/** @throws MultinicError `InvalidJob` */
function readJob(file: string): AgentJob {
  try {
    return AgentJob.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new MultinicError(
      'InvalidJob',
      `--job ${file}: ${why}; pass a job file as the controller writes it`,
    );
  }
}
