// Metrics for Prometheus: controller-runtime's names where they exist, our own names for the rest.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { BUILD } from '../api/build-info.ts';
import { nodeViews, type NodeView, type Snapshot } from '../controller/config-status.ts';
import { OBSERVE_CAUSES } from '../scheduler/observe-due.ts';
import { NODE_STATES, type ConfigStatus } from '../api/status.ts';
import type { RecordedRun } from '../controller/controller-context.ts';

const CONTROLLER = 'multinicbizconfig';

/** Values that are read at each scrape. */
export interface Gauges {
  /** Milliseconds since the API server was last heard of, by resource. */
  readonly staleness: () => Readonly<Record<string, number>>;
  /** Keys that wait, by queue. */
  readonly depths: () => Readonly<Record<string, number>>;
  readonly leading: () => boolean;
  /** Bytes of the store and of its disk; undefined: this replica does not lead. */
  readonly store: () => Promise<{ readonly bytes: number; readonly freeBytes: number } | undefined>;
  /** End of the certificate of the store's server, milliseconds since 1970. */
  readonly certificateEnd: () => number | undefined;
  /**
   * Start of the newest scheduled backup, in milliseconds since 1970; 0: there is no backup; undefined: backups are
   * off.
   */
  readonly lastBackup: () => Promise<number | undefined>;
  /** Number of the API server's answers, by `<method> <status>`. */
  readonly answers: ReadonlyMap<string, number>;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #passes: Counter<'controller' | 'result'>;
  readonly #errors: Counter<'controller'>;
  readonly #seconds: Histogram<'controller'>;
  readonly #nodes: Gauge<'state'>;
  readonly #held: Gauge;
  readonly #stopped: Gauge;
  readonly #configs: Gauge;
  readonly #stalled: Gauge;
  readonly #jobs: Gauge<'phase'>;
  readonly #drift: DriftMetrics;
  readonly #lastPass: Gauge;
  readonly #changesStopped: Gauge;
  readonly #runs: Counter<'result' | 'reason'>;
  readonly #runSeconds: Histogram<'result'>;

  constructor(gauges: Gauges) {
    const { staleness, depths, leading, answers } = gauges;
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#passes = new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Passes, by result.',
      labelNames: ['controller', 'result'],
      registers,
    });
    this.#errors = new Counter({
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Passes that failed.',
      labelNames: ['controller'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Duration of a pass.',
      labelNames: ['controller'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    });
    this.#nodes = new Gauge({
      name: 'multinic_nodes',
      help: 'Nodes, by state.',
      labelNames: ['state'],
      registers,
    });
    this.#held = plainGauge(registers, 'multinic_nodes_held', 'Nodes that are held.');
    this.#stopped = plainGauge(
      registers,
      'multinic_removals_stopped',
      'Nodes whose removal waits for a confirmation.',
    );
    this.#configs = plainGauge(registers, 'multinic_configs', 'MultiNicBizConfigs in the store.');
    this.#stalled = plainGauge(
      registers,
      'multinic_configs_stalled',
      'MultiNicBizConfigs that need a person.',
    );
    this.#jobs = new Gauge({
      name: 'multinic_jobs',
      help: 'Jobs that have not ended, by phase.',
      labelNames: ['phase'],
      registers,
    });
    this.#drift = new DriftMetrics(registers);
    this.#lastPass = plainGauge(
      registers,
      'multinic_last_pass_timestamp_seconds',
      'End of the newest pass that succeeded.',
    );
    this.#changesStopped = plainGauge(
      registers,
      'multinic_changes_stopped',
      'Changes that stopped because nodes failed.',
    );
    this.#runs = runCounter(registers);
    this.#runSeconds = runHistogram(registers);
    registerOperating(this.#registry, gauges);
    this.#registry.registerMetric(requestCounter(answers));
    gaugeOf(this.#registry, 'workqueue_depth', 'Keys that wait.', 'name', depths);
    gaugeOf(
      this.#registry,
      'multinic_watch_staleness_seconds',
      'Since the API server was last heard of.',
      'resource',
      () => Object.fromEntries(Object.entries(staleness()).map(([resource, ms]) => [resource, ms / 1000])),
    );
    gaugeOf(this.#registry, 'leader_election_master_status', '1: this process leads.', 'name', () => ({
      'multinic-agent-controller': Number(leading()),
    }));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** @param statuses of the CRs, as the pass reported them */
  passed(snapshot: Snapshot, seconds: number, statuses: Iterable<ConfigStatus>): void {
    this.#passes.inc({ controller: CONTROLLER, result: 'success' });
    this.#seconds.observe({ controller: CONTROLLER }, seconds);
    const views = nodeViews(snapshot);
    for (const state of NODE_STATES)
      this.#nodes.set({ state }, views.filter((view) => view.state === state).length);
    this.#held.set(views.filter(({ held }) => held).length);
    this.#stopped.set(snapshot.report.stopped.size);
    this.#drift.passed(snapshot, views);
    this.#configs.set(snapshot.report.main.configs.size);
    this.#stalled.set([...statuses].filter(isStalled).length);
    this.#lastPass.set(Date.now() / 1000);
    this.#changesStopped.set(stoppedChanges(snapshot).size);
    for (const phase of ['waiting', 'running'] as const)
      this.#jobs.set({ phase }, snapshot.jobs.filter((job) => job.phase === phase).length);
  }

  /** Counts a run whose outcome was recorded. */
  ran({ result, reason = '', seconds }: RecordedRun): void {
    this.#runs.inc({ result, reason });
    if (seconds !== undefined) this.#runSeconds.observe({ result }, seconds);
  }

  failed(): void {
    this.#passes.inc({ controller: CONTROLLER, result: 'error' });
    this.#errors.inc({ controller: CONTROLLER });
  }
}

function isStalled({ conditions }: ConfigStatus): boolean {
  return conditions.some(({ type, status }) => type === 'Stalled' && status === 'True');
}

/** Hosts that have drifted, and the answer to their drift. */
class DriftMetrics {
  readonly #drifted: Gauge;
  readonly #fights: Gauge;
  readonly #stopped: Gauge;
  readonly #repairs: Counter;
  readonly #oldest: Gauge;
  readonly #waiting: Gauge<'cause'>;

  constructor(registers: Registry[]) {
    this.#drifted = new Gauge({
      name: 'multinic_nodes_drifted',
      help: 'Nodes whose host no longer has what was applied.',
      registers,
    });
    this.#fights = new Gauge({
      name: 'multinic_drift_fights',
      help: 'Nodes with a difference that comes back after each repair.',
      registers,
    });
    this.#stopped = new Gauge({
      name: 'multinic_repairs_stopped',
      help: '1: repairs wait for a confirmation.',
      registers,
    });
    this.#repairs = new Counter({
      name: 'multinic_repairs_total',
      help: 'Repairs that began.',
      registers,
    });
    this.#oldest = new Gauge({
      name: 'multinic_oldest_observation_timestamp_seconds',
      help: 'Time of the last look at, or change of, the host that has waited longest for an observation; 0: none waits.',
      registers,
    });
    this.#waiting = new Gauge({
      name: 'multinic_observations_waiting',
      help: 'Nodes that wait for their observation, by cause.',
      labelNames: ['cause'],
      registers,
    });
  }

  passed({ decisions, repairs, observing }: Snapshot, views: readonly NodeView[]): void {
    const all = [...decisions.values()];
    this.#drifted.set(views.filter(({ drifted }) => drifted).length);
    this.#fights.set(all.filter((each) => !each.due && each.reason === 'DriftFight').length);
    this.#stopped.set(Number(repairs?.stopped ?? false));
    // Counts decisions, because the pass that decides also starts the Job.
    this.#repairs.inc(all.filter((each) => each.due && each.repair === true).length);
    this.#oldest.set((observing?.oldest?.at ?? 0) / 1000);
    for (const cause of OBSERVE_CAUSES) this.#waiting.set({ cause }, observing?.waiting.get(cause) ?? 0);
  }
}

/** Counts requests from a table that the client keeps. */
function requestCounter(answers: Gauges['answers']): Counter<'method' | 'code'> {
  return new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server, by method and status; 0: no answer.',
    labelNames: ['method', 'code'],
    registers: [],
    collect() {
      this.reset();
      for (const [key, count] of answers) {
        const [method = '', code = ''] = key.split(' ');
        this.inc({ method, code }, count);
      }
    },
  });
}

function plainGauge(registers: Registry[], name: string, help: string): Gauge {
  return new Gauge({ name, help, registers });
}

function runCounter(registers: Registry[]): Counter<'result' | 'reason'> {
  return new Counter({
    name: 'multinic_runs_total',
    help: 'Runs whose outcome was recorded, by result and reason.',
    labelNames: ['result', 'reason'],
    registers,
  });
}

function runHistogram(registers: Registry[]): Histogram<'result'> {
  return new Histogram({
    name: 'multinic_run_seconds',
    help: 'Duration of a run as its agent says it.',
    labelNames: ['result'],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160],
    registers,
  });
}

/** Commits of main that are stopped: a node waits because other nodes failed. */
function stoppedChanges({ decisions, facts }: Snapshot): Set<string> {
  const stopped = new Set<string>();
  for (const [node, decision] of decisions) {
    const change = facts.get(node)?.change;
    if (!decision.due && decision.reason === 'ChangeStopped' && change !== undefined) stopped.add(change);
  }
  return stopped;
}

/** Gauges of the program and its store, which are read at each scrape. */
function registerOperating(registry: Registry, { store, certificateEnd, lastBackup }: Gauges): void {
  const build = new Gauge({
    name: 'multinic_build_info',
    help: 'Version and commit of this program; the value is 1.',
    labelNames: ['version', 'commit'],
    registers: [registry],
  });
  build.set({ version: BUILD.version, commit: BUILD.commit }, 1);
  const sizes = {
    bytes: ['multinic_store_bytes', 'Bytes of the objects of the store.'],
    freeBytes: ['multinic_store_free_bytes', 'Free bytes of the disk; below 64 MiB nothing is written.'],
  } as const;
  for (const key of ['bytes', 'freeBytes'] as const) {
    const [name, help] = sizes[key];
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        async collect() {
          const size = await store();
          if (size !== undefined) this.set(size[key]);
        },
      }),
    );
  }
  registry.registerMetric(
    new Gauge({
      name: 'multinic_certificate_expiry_timestamp_seconds',
      help: "End of the certificate of the store's server.",
      registers: [],
      collect() {
        const end = certificateEnd();
        if (end !== undefined) this.set(end / 1000);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'multinic_last_backup_timestamp_seconds',
      help: 'Begin of the newest scheduled backup; 0: there is none.',
      registers: [],
      async collect() {
        const at = await lastBackup();
        if (at !== undefined) this.set(at / 1000);
      },
    }),
  );
}

function gaugeOf(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  values: () => Readonly<Record<string, number>>,
): void {
  const gauge = new Gauge({
    name,
    help,
    labelNames: [label],
    collect() {
      for (const [value, number] of Object.entries(values())) this.set({ [label]: value }, number);
    },
    registers: [],
  });
  registry.registerMetric(gauge);
}
