// Metrics for Prometheus: controller-runtime's names where they exist, our own names for the rest.

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { nodeViews, type NodeView, type Snapshot } from '../controller/config-status.ts';
import { OBSERVE_CAUSES } from '../scheduler/observe-due.ts';
import { NODE_STATES } from '../api/status.ts';

const CONTROLLER = 'multinicbizconfig';

/** Values that are read at each scrape. */
export interface Gauges {
  /** Milliseconds since the API server was last heard of, by resource. */
  readonly staleness: () => Readonly<Record<string, number>>;
  /** Keys that wait, by queue. */
  readonly depths: () => Readonly<Record<string, number>>;
  readonly leading: () => boolean;
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
  readonly #jobs: Gauge<'phase'>;
  readonly #drift: DriftMetrics;

  constructor({ staleness, depths, leading, answers }: Gauges) {
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
    this.#held = new Gauge({ name: 'multinic_nodes_held', help: 'Nodes that are held.', registers });
    this.#stopped = new Gauge({
      name: 'multinic_removals_stopped',
      help: 'Nodes whose removal waits for a confirmation.',
      registers,
    });
    this.#configs = new Gauge({
      name: 'multinic_configs',
      help: 'MultiNicBizConfigs in the store.',
      registers,
    });
    this.#jobs = new Gauge({
      name: 'multinic_jobs',
      help: 'Jobs on their way, by phase.',
      labelNames: ['phase'],
      registers,
    });
    this.#drift = new DriftMetrics(registers);
    this.#registry.registerMetric(
      new Counter({
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
      }),
    );
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

  passed(snapshot: Snapshot, seconds: number): void {
    this.#passes.inc({ controller: CONTROLLER, result: 'success' });
    this.#seconds.observe({ controller: CONTROLLER }, seconds);
    const views = nodeViews(snapshot);
    for (const state of NODE_STATES)
      this.#nodes.set({ state }, views.filter((view) => view.state === state).length);
    this.#held.set(views.filter(({ held }) => held).length);
    this.#stopped.set(snapshot.report.stopped.size);
    this.#drift.passed(snapshot, views);
    this.#configs.set(snapshot.report.main.configs.size);
    for (const phase of ['waiting', 'running'] as const)
      this.#jobs.set({ phase }, snapshot.jobs.filter((job) => job.phase === phase).length);
  }

  failed(): void {
    this.#passes.inc({ controller: CONTROLLER, result: 'error' });
    this.#errors.inc({ controller: CONTROLLER });
  }
}

/** Hosts that no longer have what was applied, and what is done about them. */
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
      help: 'When the host was looked at or changed that waits longest for its observation.',
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
    // A decision that is due has its Job in this pass.
    this.#repairs.inc(all.filter((each) => each.due && each.repair === true).length);
    if (observing?.oldest !== undefined) this.#oldest.set(observing.oldest.at / 1000);
    for (const cause of OBSERVE_CAUSES) this.#waiting.set({ cause }, observing?.waiting.get(cause) ?? 0);
  }
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
