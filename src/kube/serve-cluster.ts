// `multinic controller`: controller, store and Jobs in a cluster. Every replica watches and answers probes; only the
// replica that has the Lease works.

import type { V1Pod } from '@kubernetes/client-node';
import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';
import { BUILD } from '../api/build-info.ts';
import { hasCode, MultinicError } from '../api/errors.ts';
import type { Group } from '../api/api-groups.ts';
import { apiRoutes } from '../controller/api.ts';
import { uiPages } from '../controller/ui-pages.ts';
import { ControllerContext, type ControllerContextOptions } from '../controller/controller-context.ts';

import { healthOf, type Health } from '../controller/health.ts';
import { Loop } from '../controller/loop.ts';
import { Pass, type PassOptions } from '../controller/pass.ts';
import type { BackupSchedule } from '../controller/background-backup.ts';
import { PassTrigger } from '../controller/pass-trigger.ts';
import { StoreCare } from '../controller/store-care.ts';
import { NodeBranchPolicy } from '../history/policy.ts';
import { serve } from '../store/server/serve.ts';
import { measuredStore, type StoreSize } from '../store/care/size.ts';
import { Store } from '../store/store.ts';
import { KubeAuthenticator } from './authenticator.ts';
import { hasStatus, MERGE_PATCH, type KubeClient } from './client.ts';
import { KubeConfigSource } from './config-source.ts';
import { KubeJobRunner } from './job-runner.ts';
import { LeaderAccess } from './leader-access.ts';
import { LeaderElection, type LeaseTiming } from './lease.ts';
import { Metrics } from './metrics.ts';
import { CONTROLLER_LEASE, LABEL, NAME } from './cluster-names.ts';
import type { PodSettings } from './pod-settings.ts';
import { KubeNodeInventory } from './node-inventory.ts';
import { Peers } from './peers.ts';
import { serveProbes, storeProblems } from './health-server.ts';
import { KubeStatusSink } from './status-sink.ts';
import { StoreEndpoint } from './store-endpoint.ts';
import { Watches } from './watches.ts';

export interface KubeOptions
  extends Pick<ControllerContextOptions, 'guard'>, Pick<PassOptions, 'policy' | 'observeIntervalMs'> {
  readonly client: KubeClient;
  /** The controller's namespace, with its Jobs, Lease, Service and Secret. */
  readonly namespace: string;
  /** Name of this replica's pod. */
  readonly pod: string;
  /** Image of the agents. */
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly string[];
  /** Settings of the operator for the pods of agents. */
  readonly pods: PodSettings;
  readonly lease: LeaseTiming;
  readonly storeDir: string;
  readonly groups: readonly Group[];
  readonly port: number;
  readonly healthPort: number;
  /** Secret with certificates that the operator maintains. */
  readonly tlsSecret?: string;
  /** DNS domain of the cluster. */
  readonly clusterDomain: string;
  /** Seconds that a Job stays after its outcome is recorded. */
  readonly jobTtl: number;
  /** Seconds that a Job's pod may take to start. */
  readonly startLimit: number;
  /** Backups of the store that the leader writes by itself. */
  readonly backup?: BackupSchedule;
  readonly log: Logger;
  /** Ends this replica: the running pass ends, the Lease is given back. */
  readonly signal: AbortSignal;
}

/** Silence after which a watch is reported: bookmarks come every minute. */
const STALE_MS = 180_000;
/** Time between two measurements of the store. */
const MEASURE_MS = 60_000;

/** Runs until the signal. @throws the error that made the leader give up: the pod restarts then */
export async function runInCluster(options: KubeOptions): Promise<void> {
  const { client, namespace, pod, log, signal } = options;
  await using cleanup = new AsyncDisposableStack();
  let leader: Leader | undefined;
  const watches = new Watches(client, {
    namespace,
    groups: options.groups,
    log,
    changed: () => leader?.trigger(),
  });
  const since = Date.now();
  const metrics = new Metrics({
    staleness: () => watches.staleness(),
    depths: () => leader?.depths() ?? {},
    leading: () => leader !== undefined,
    // A store that cannot be measured must not hide the other metrics.
    store: async () => leader?.storeSize().catch(() => undefined),
    certificateEnd: () => leader?.certificateEnd(),
    lastBackup: async () => leader?.lastBackup().catch(() => undefined),
    answers: client.answers,
  });
  const probes = await serveProbes({
    port: options.healthPort,
    metrics,
    health: () => health(leader, watches, since),
    unready: async () => [...watches.unready(STALE_MS), ...((await leader?.unready()) ?? [])],
    log,
  });
  cleanup.defer(() => probes.close());
  watches.start();
  cleanup.defer(() => watches.stop());
  void logStart(options);
  // A container that restarts in its pod has lost the leadership, so the pod loses the leader's label.
  await labelLeader(client, namespace, pod, false);

  const election = new LeaderElection({
    client,
    namespace,
    name: CONTROLLER_LEASE,
    identity: pod,
    ...options.lease,
    log,
  });
  try {
    await election.run(async (over) => {
      await using leading = await Leader.start(options, watches, metrics, over);
      leader = leading;
      try {
        await leading.run();
      } finally {
        leader = undefined;
      }
    }, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    // A signal during the start has no work to stop, so only the log tells about it.
    log.warn({ err: error }, 'stopped during the start');
  }
}

/**
 * Logs the versions of this program and of the cluster once. The version of an API server that does not answer is
 * unknown.
 */
async function logStart({ client, log, signal: _, ...flags }: KubeOptions): Promise<void> {
  const kubernetes = await client.serverVersion().then(
    ({ major, minor }) => `${major}.${minor}`,
    () => 'unknown',
  );
  log.info({ ...BUILD, node: process.version, kubernetes, flags }, 'multinic controller runs');
}

function health(leader: Leader | undefined, watches: Watches, since: number): Health {
  if (leader !== undefined) return leader.health(since);
  const report = healthOf(undefined, undefined, since);
  return { ...report, status: 'healthy', crd_watcher_status: watches.complete ? 'running' : 'starting' };
}

/** The parts that only the leader has. */
interface LeaderParts {
  readonly context: ControllerContext;
  readonly loop: Loop;
  readonly sink: KubeStatusSink;
  readonly endpoint: StoreEndpoint;
  readonly care: StoreCare;
  /** Aborted when the leadership ends. */
  readonly over: AbortSignal;
}

/** The one replica that works: it has the store, its server, and the loop of passes. */
class Leader implements AsyncDisposable {
  readonly #parts: LeaderParts;
  readonly #cleanup: AsyncDisposableStack;
  readonly #storeSize: () => Promise<StoreSize>;

  private constructor(parts: LeaderParts, cleanup: AsyncDisposableStack) {
    this.#parts = parts;
    this.#storeSize = measuredStore(parts.context.store.dir, MEASURE_MS);
    this.#cleanup = cleanup;
  }

  /** @param over aborted when the Lease is lost, or when this replica has to end */
  static async start(
    options: KubeOptions,
    watches: Watches,
    metrics: Metrics,
    over: AbortSignal,
  ): Promise<Leader> {
    const { client, namespace, pod, log } = options;
    await using cleanup = new AsyncDisposableStack();
    await watches.synced(over);
    // Reports and pushes may arrive before the first pass, which sees them.
    const passTrigger = new PassTrigger();
    // Opening the store fences the earlier leader.
    const store = await Store.open(options.storeDir, { log, onFenced: passTrigger.stop });
    cleanup.defer(() => store.close());
    const sink = new KubeStatusSink({ client, namespace, pod, configs: watches.configs, log });
    cleanup.defer(async () => sink.close({ write: !(await isDeposed(over, store)) }));
    const inventory = new KubeNodeInventory(watches.nodes);
    const parts = { store, inventory, sink, passTrigger, canPause: false };
    const context = new ControllerContext({ ...options, ...parts, onRun: (run) => metrics.ran(run) });

    const source = new KubeConfigSource({ client, informers: watches.configs, log });
    const endpoint = await StoreEndpoint.find(options);
    await openServer(options, { context, source, endpoint }, cleanup);

    const peers = new Peers({ client, namespace, pod, log });
    const runner = new KubeJobRunner({
      client,
      namespace,
      image: options.image,
      imagePullPolicy: options.imagePullPolicy,
      imagePullSecrets: options.imagePullSecrets,
      settings: options.pods,
      serverVersion: await client.serverVersion(),
      jobs: watches.jobs,
      pods: watches.pods,
      warnings: watches.warnings,
      store: () => endpoint.access,
      peers: () => peers.list(),
      jobTtl: options.jobTtl,
      startLimit: options.startLimit,
      changed: passTrigger.fire,
      log,
    });
    cleanup.defer(() => runner.close());
    const pass = new Pass({ ...options, context, source, runner });
    cleanup.defer(() => context.observed.save());
    const care = new StoreCare(store, options.backup, log);
    cleanup.defer(() => care.close());
    const loop = new Loop(context, pass, {
      passed: async (snapshot, ms) => {
        metrics.passed(snapshot, ms / 1000, context.reporter.statuses.values());
        care.startIfDue();
        return false;
      },
      failed: () => {
        metrics.failed();
        care.backups.startIfDue();
        return false;
      },
    });
    await takeLeaderLabel(client, namespace, pod);
    cleanup.defer(() => labelLeader(client, namespace, pod, false));
    return new Leader({ context, loop, sink, over, endpoint, care }, cleanup.move());
  }

  /** Runs passes until this leadership ends. @throws MultinicError `Fenced` */
  async run(): Promise<void> {
    const { context, loop, over } = this.#parts;
    over.addEventListener('abort', context.passTrigger.stop, { once: true });
    if (over.aborted) return;
    await loop.run();
    if (!over.aborted) await context.store.expectFence();
  }

  /** Asks for a pass, because something may have changed. */
  trigger(): void {
    this.#parts.context.passTrigger.fire();
  }

  health(since: number): Health {
    const { reporter } = this.#parts.context;
    return healthOf(reporter.snapshot, reporter.failure, since);
  }

  depths(): Readonly<Record<string, number>> {
    return this.#parts.sink.depths();
  }

  storeSize(): Promise<StoreSize> {
    return this.#storeSize();
  }

  /** End of the certificate of the store's server, milliseconds since 1970. */
  certificateEnd(): number {
    return new X509Certificate(this.#parts.endpoint.certificate.cert).validToDate.getTime();
  }

  /** Start of the newest backup, in milliseconds since 1970; 0: there is no backup; undefined: backups are off. */
  lastBackup(): Promise<number | undefined> {
    return this.#parts.care.backups.newestAt();
  }

  /** The reason why the leader cannot serve. */
  async unready(): Promise<readonly string[]> {
    return storeProblems(this.#parts.context.store);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup[Symbol.asyncDispose]();
  }
}

/** Whether another leader took over. Its status must not be overwritten, and the store may know it before the Lease. */
async function isDeposed(over: AbortSignal, store: Store): Promise<boolean> {
  if (over.reason instanceof MultinicError) return true;
  return store.expectFence().then(
    () => false,
    (error: unknown) => hasCode(error, 'Fenced'),
  );
}

/** Opens the store's server, with a certificate that is renewed, and tells the CLI in this pod how to reach it. */
async function openServer(
  options: KubeOptions,
  { context, source, endpoint }: Pick<LeaderParts, 'context' | 'endpoint'> & { source: KubeConfigSource },
  cleanup: AsyncDisposableStack,
): Promise<void> {
  const { client, namespace, log } = options;
  const authenticator = new KubeAuthenticator({ client, namespace });
  const access = new LeaderAccess(options);
  const { store, reporter, passTrigger } = context;
  const since = Date.now();
  const server = await serve({
    store,
    reader: store.reader,
    policy: new NodeBranchPolicy(),
    authenticate: access.before(authenticator.authenticate),
    routes: apiRoutes(context, source),
    pages: await uiPages(),
    onPush: passTrigger.fire,
    port: options.port,
    tls: endpoint.certificate,
    log,
    health: () => healthOf(reporter.snapshot, reporter.failure, since),
  });
  cleanup.defer(() => server.close());
  const publish = (): Promise<void> => access.publish(options.port, endpoint.certificate.ca);
  cleanup.defer(endpoint.keepFor(server, publish));
  cleanup.defer(() => access.withdraw());
  await publish();
}

/** Leads the store's Service to this pod alone, by its label. A killed or hanging pod keeps the label until now. */
async function takeLeaderLabel(client: KubeClient, namespace: string, pod: string): Promise<void> {
  const labelSelector = `${LABEL.name}=${NAME},${LABEL.leader}=true`;
  const { items } = await client.request<{ items: V1Pod[] }>('GET', `/api/v1/namespaces/${namespace}/pods`, {
    query: { labelSelector },
  });
  for (const { metadata } of items) {
    if (metadata?.name !== undefined && metadata.name !== pod)
      await labelLeader(client, namespace, metadata.name, false);
  }
  await labelLeader(client, namespace, pod, true);
}

async function labelLeader(
  client: KubeClient,
  namespace: string,
  pod: string,
  leads: boolean,
): Promise<void> {
  const body = { metadata: { labels: { [LABEL.leader]: leads ? 'true' : null } } };
  try {
    await client.request('PATCH', `/api/v1/namespaces/${namespace}/pods/${pod}`, {
      body,
      contentType: MERGE_PATCH,
    });
  } catch (error) {
    // A pod that does not exist needs no label; outside of a cluster there is none.
    if (!hasStatus(error, 404)) throw error;
  }
}
