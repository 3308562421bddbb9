// `multinic local DIR`: controller, store and agents from one process, with a folder in place of a cluster.

import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import { apiRoutes } from '../controller/api.ts';
import { uiPages } from '../controller/ui-pages.ts';
import { ControllerContext, type ControllerContextOptions } from '../controller/controller-context.ts';
import { healthOf } from '../controller/health.ts';
import { Loop } from '../controller/loop.ts';
import { Pass, type PassOptions } from '../controller/pass.ts';
import type { ControllerEvent } from '../controller/sink-port.ts';
import { reportOf } from '../controller/status-report.ts';
import { nodeViews, type Snapshot } from '../controller/config-status.ts';
import type { BackupSchedule } from '../controller/background-backup.ts';
import { PassTrigger } from '../controller/pass-trigger.ts';
import { StoreCare } from '../controller/store-care.ts';
import { NodeBranchPolicy } from '../history/policy.ts';
import { serve } from '../store/server/serve.ts';
import { Store } from '../store/store.ts';
import { REMOVED_AFTER_MS } from './config.ts';
import { endpointFile, type Endpoint } from '../controller/endpoint.ts';
import { replaceFile } from './file.ts';
import { openLocalHome } from './home.ts';
import type { AgentCommand } from './jobs.ts';
import { StatusFolder } from './sink.ts';

export interface LocalOptions
  extends Pick<ControllerContextOptions, 'guard'>, Pick<PassOptions, 'policy' | 'observeIntervalMs'> {
  readonly dir: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Ends the controller when nothing is left to do. */
  readonly once: boolean;
  /** How an agent is started. */
  readonly agent: AgentCommand;
  /** Settings of the controller's own backups. */
  readonly backup?: BackupSchedule;
  readonly log: Logger;
  readonly onEvent: (event: ControllerEvent) => void;
  readonly onListening: (url: string) => void;
  /** Ends the controller; agents go on. */
  readonly signal: AbortSignal;
}

/**
 * Runs until the signal, or with `once` until nothing is left to do.
 * @returns whether all that is asked for in the folder is configured at the end
 * @throws MultinicError `NotAHome`, `ControllerRunning`, `PortInUse`, `Fenced`; with `once` what two passes in a row
 *   failed of
 */
export async function runLocal(options: LocalOptions): Promise<boolean> {
  const { log, signal } = options;
  await using cleanup = new AsyncDisposableStack();
  const home = await openLocalHome(options.dir);
  cleanup.defer(() => home.close());
  // An agent may end, or a push may come, before the first pass. That pass then sees the result.
  const passTrigger = new PassTrigger();
  let fenced = false;
  const onFenced = (): void => {
    fenced = true;
    passTrigger.stop();
  };
  const store = await Store.open(home.storeDir, { log, onFenced });
  cleanup.defer(() => store.close());
  const sink = new StatusFolder(home.dir, options.onEvent);
  const context = new ControllerContext({ ...options, store, inventory: home.inventory, sink, passTrigger });
  const { reporter } = context;

  const since = Date.now();
  const server = await serve({
    store,
    reader: store.reader,
    policy: new NodeBranchPolicy(),
    authenticate: (token) => home.tokens.authenticate(token),
    routes: apiRoutes(context, home.configs),
    pages: await uiPages(),
    onPush: passTrigger.fire,
    host: options.host,
    port: options.port,
    log,
    health: () => healthOf(reporter.snapshot, reporter.failure, since),
  }).catch((error: unknown) => {
    throw listenError(error, options.host, options.port);
  });
  cleanup.defer(() => server.close());

  const runner = await home.runner({
    url: `${server.url}/git`,
    command: options.agent,
    changed: passTrigger.fire,
    log,
  });
  cleanup.defer(() => runner.close());

  if (!options.once) {
    const watch = await home.watch(passTrigger.fire, (error) =>
      log.error({ err: error }, 'the folder is not watched: edits are seen at the next resync'),
    );
    cleanup.defer(() => watch.close());
  }
  const endpoint: Endpoint = { url: server.url, pid: process.pid };
  await replaceFile(endpointFile(home.dir), `${JSON.stringify(endpoint)}\n`, 0o644);
  cleanup.defer(() => rm(endpointFile(home.dir), { force: true }));
  options.onListening(server.url);
  checkpoint('local.listening');

  signal.addEventListener('abort', passTrigger.stop, { once: true });
  if (signal.aborted) passTrigger.stop();
  const care = new StoreCare(store, options.backup, log);
  cleanup.defer(() => care.close());
  const source = home.configs;
  const pass = new Pass({ ...options, context, source, runner, observes: !options.once });
  cleanup.defer(() => context.observed.save());
  let failures = 0;
  const passed = async (snapshot: Snapshot): Promise<boolean> => {
    failures = 0;
    await sink.save(reportOf(snapshot, reporter.statuses));
    checkpoint('local.saved');
    care.startIfDue();
    // No event announces that a missing file stays missing, so look again after a while.
    if (source.undecided) setTimeout(passTrigger.fire, REMOVED_AFTER_MS).unref();
    return options.once && !source.undecided && isSettled(snapshot);
  };
  // A single failure may end by itself.
  const failed = (): boolean => (failures += 1) >= 2 && options.once;
  await new Loop(context, pass, { passed, failed }).run();
  if (options.once) await care.backups.idle();
  // A push or a command noticed the lost fence first, so no pass has logged it.
  if (fenced) await store.expectFence();
  return reporter.snapshot !== undefined && isConfigured(reporter.snapshot);
}

/** Whether every CR is configured. The nodes do not suffice, because an unreadable or invalid CR has none. */
function isConfigured(snapshot: Snapshot): boolean {
  const { invalid, unreadable, doubts, stopped } = snapshot.report;
  return (
    nodeViews(snapshot).every(({ state }) => state === 'Configured') &&
    unreadable.length + invalid.size + doubts.size + stopped.size === 0
  );
}

/** Whether nothing happens until a person acts or a back-off ends. */
export function isSettled({ report, jobs, decisions }: Snapshot): boolean {
  return (
    report.behind.size === 0 &&
    jobs.length === 0 &&
    [...decisions.values()].every((decision) => !decision.due && decision.reason !== 'Queued')
  );
}

/**
 * Describes network errors for people.
 * @param host as the person named it
 */
function listenError(error: unknown, host: string, port: number): unknown {
  if (error instanceof Error && 'code' in error && NO_ADDRESS.has(String(error.code))) {
    return new MultinicError(
      'AddressNotHere',
      `${host} is no address of this machine: choose one with --host, such as 127.0.0.1`,
      { cause: error, data: { host } },
    );
  }
  if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) return error;
  return new MultinicError(
    'PortInUse',
    `port ${port} is taken by another program: choose one with --port, or 0 for any`,
    { cause: error, data: { port } },
  );
}

const NO_ADDRESS: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EAI_AGAIN', 'ENOTFOUND']);
