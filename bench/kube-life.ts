// Times a Job's life on a real node, from its creation to the CR's status: our own part and the part of Kubernetes.
import type { KubernetesObject, V1Pod } from '@kubernetes/client-node';
import pino from 'pino';
import type { ConfigStatus } from '../src/api/status.ts';
import { KubeClient } from '../src/kube/client.ts';
import { Informer } from '../src/kube/informer.ts';
import { attach, config, entry, NAMESPACE, setUp } from '../test/support/kube-cluster.ts';
import { measured, median, type Bench } from './report.ts';

const ROUNDS = 10;
const NODE = 'worker-1';
const MAC = '02:00:00:00:01:01';
const NAME = 'life';
const LIMIT_MS = 120_000;
const log = pino({ level: 'silent' });

export const benches: Bench[] = [
  { name: 'kube-life: a Job from its creation to the status of its CR, on a real node', run: measure },
];

async function measure(): Promise<void> {
  const { cluster, multinic } = await setUp([{ name: NODE }]);
  try {
    await attach(cluster, NODE, MAC);
    const client = KubeClient.load({ kubeconfig: cluster.kubeconfig });
    await using life = await Life.watch(client);
    const { systemUUID } = cluster.machine(NODE);
    const phases: Phases[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const phase = life.next(round + 1);
      await multinic.applyConfig(config(NAME, [entry(systemUUID, NODE, [MAC], { mtu: 1500 - round })]));
      phases.push(await phase);
    }
    // The first pod on a node unpacks the image.
    const warm = phases.slice(1);
    const tell = (what: string, of: (phases: Phases) => number): void =>
      measured(what, median(warm.map(of)), 'ms');
    tell("Job created to agent's container running (Kubernetes)", ({ start }) => start);
    tell("that to its end seen at the API server (the agent, and the kubelet's report)", ({ run }) => run);
    tell('of it the agent, by its own clock (ours)', ({ agent }) => agent);
    tell("that to the node's state in the CR's status (ours)", ({ status }) => status);
  } finally {
    await cluster.stop();
  }
}

/** Milliseconds. */
interface Phases {
  readonly start: number;
  readonly run: number;
  readonly agent: number;
  readonly status: number;
}

/** Notes the time at which each phase is first seen, through watches of one process. */
class Life implements AsyncDisposable {
  readonly #informers: Informer<void>[];
  readonly #seen = new Map<string, number>();
  readonly #jobs = new Set<string>();
  readonly #finished = new Set<string>();
  #agent = 0;
  #wanted = 0;
  #done = Promise.withResolvers<void>();

  private constructor(client: KubeClient) {
    const namespaced = `/namespaces/${NAMESPACE}`;
    const informer = (path: string, note: (object: KubernetesObject) => void): Informer<void> =>
      new Informer({ client, path, project: note, changed: () => undefined, log });
    this.#informers = [
      informer(`/apis/batch/v1${namespaced}/jobs`, ({ metadata }) => {
        const name = metadata?.name ?? '';
        if (!name.startsWith('multinic-agent-') || this.#jobs.has(name)) return;
        this.#jobs.add(name);
        this.#note('job');
      }),
      informer(`/api/v1${namespaced}/pods`, (pod) => this.#pod(pod as V1Pod)),
      informer(`/apis/multinic.okestro.io/v1${namespaced}/multinicbizconfigs`, (object) => {
        const { status, metadata } = object as KubernetesObject & { status?: ConfigStatus };
        const current = metadata?.generation === status?.observedGeneration;
        const configured = status?.nodeStatuses.every(({ state }) => state === 'Configured') === true;
        if (current && metadata?.generation === this.#wanted && configured && this.#seen.has('ended')) {
          this.#note('status');
          this.#done.resolve();
        }
      }),
    ];
  }

  static async watch(client: KubeClient): Promise<Life> {
    const life = new Life(client);
    for (const informer of life.#informers) {
      informer.start();
      await informer.synced(AbortSignal.timeout(30_000));
    }
    return life;
  }

  /** Notes the phases from now until that generation of the CR is applied. */
  async next(generation: number): Promise<Phases> {
    this.#seen.clear();
    this.#wanted = generation;
    this.#done = Promise.withResolvers();
    const timer = setTimeout(() => this.#done.reject(new Error('a Job took two minutes')), LIMIT_MS);
    await this.#done.promise;
    clearTimeout(timer);
    const [job, running, ended, status] = ['job', 'running', 'ended', 'status'].map(
      (what) => this.#seen.get(what) ?? Number.NaN,
    ) as [number, number, number, number];
    return { start: running - job, run: ended - running, agent: this.#agent, status: status - ended };
  }

  #pod({ metadata, status }: V1Pod): void {
    const name = metadata?.labels?.['job-name'];
    if (name === undefined || this.#seen.get('job') === undefined) return;
    const state = status?.containerStatuses?.[0]?.state;
    if (state?.running !== undefined) this.#note('running');
    if (state?.terminated === undefined || this.#finished.has(name)) return;
    this.#finished.add(name);
    this.#agent = (JSON.parse(state.terminated.message ?? '{}') as { durationMs?: number }).durationMs ?? 0;
    // A short run may begin and end between two looks of the kubelet, so its start may not have been seen.
    this.#note('running');
    this.#note('ended');
  }

  #note(what: string): void {
    if (!this.#seen.has(what)) this.#seen.set(what, performance.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#informers.map((informer) => informer.stop()));
  }
}
