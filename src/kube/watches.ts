// The informers of a process: CRs of both groups, Nodes, our Jobs, their pods, and the warnings that say why a Job has
// no pod.

import type { CoreV1Event, V1Job, V1Node, V1Pod } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import { PLURAL, VERSION, type Group } from '../api/api-groups.ts';
import type { InventoryNode } from '../mirror/home-port.ts';
import {
  projectJob,
  projectPod,
  projectWarning,
  type AgentJobObject,
  type AgentPod,
  type AgentWarning,
} from './agent-run.ts';
import type { KubeClient } from './client.ts';
import { projectConfig, type WatchedConfig } from './config-source.ts';
import { Informer } from './informer.ts';
import { AGENT_COMPONENT, LABEL, NAME, OBSERVER_COMPONENT, OBSERVER_NAME } from './cluster-names.ts';
import { projectNode } from './node-inventory.ts';

export interface WatchesOptions {
  readonly namespace: string;
  readonly groups: readonly Group[];
  readonly log: Logger;
  /** Called when something may have changed. */
  readonly changed: () => void;
}

/** An informer of any kind of object. */
type Watched = Pick<Informer<unknown>, 'start' | 'stop' | 'synced' | 'complete' | 'absent' | 'staleMs'>;

export class Watches {
  readonly configs: ReadonlyMap<Group, Informer<WatchedConfig>>;
  readonly nodes: Informer<InventoryNode>;
  readonly jobs: Informer<AgentJobObject>;
  readonly pods: Informer<AgentPod>;
  readonly warnings: Informer<AgentWarning>;

  constructor(client: KubeClient, { namespace, groups, log, changed }: WatchesOptions) {
    const common = { client, log, changed };
    const agents = {
      labelSelector: `${LABEL.name} in (${NAME},${OBSERVER_NAME}),${LABEL.component} in (${AGENT_COMPONENT},${OBSERVER_COMPONENT})`,
    };
    this.configs = new Map(
      groups.map((group) => [
        group,
        new Informer({
          ...common,
          path: `/apis/${group}/${VERSION}/${PLURAL}`,
          project: (object, before) => projectConfig(group, object, before),
        }),
      ]),
    );
    this.nodes = new Informer({
      ...common,
      path: '/api/v1/nodes',
      project: (object) => projectNode(object as V1Node),
    });
    this.jobs = new Informer({
      ...common,
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      query: agents,
      project: (object) => projectJob(object as V1Job),
    });
    this.pods = new Informer({
      ...common,
      path: `/api/v1/namespaces/${namespace}/pods`,
      query: agents,
      project: (object) => projectPod(object as V1Pod),
    });
    this.warnings = new Informer({
      ...common,
      path: `/api/v1/namespaces/${namespace}/events`,
      // Events of Jobs and of their pods: a selector cannot name two kinds, but it can leave out our own.
      query: { fieldSelector: 'involvedObject.kind!=MultiNicBizConfig,type=Warning' },
      // The API server sends no bookmarks for Events, so their watch ends by itself before its silence counts as dead.
      timing: { watch: 60_000 },
      project: (object) => projectWarning(object as CoreV1Event),
    });
  }

  start(): void {
    for (const [, informer] of this.#all()) informer.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all().map(([, informer]) => informer.stop()));
  }

  /** Resolves when all have been listed once; a group whose CRD is missing is not waited for. */
  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map(([, informer]) => informer.synced(signal)));
  }

  get complete(): boolean {
    return this.#all().every(([, informer]) => informer.complete || informer.absent);
  }

  /** Milliseconds since the API server was last heard of, by resource. */
  staleness(): Record<string, number> {
    return Object.fromEntries(this.#all().map(([name, informer]) => [name, informer.staleMs]));
  }

  /** Informers that have been silent for too long, in words for people. */
  unready(limitMs: number): string[] {
    return this.#all()
      .filter(([, informer]) => !informer.absent && (informer.staleMs > limitMs || !informer.complete))
      .map(
        ([name, informer]) =>
          `the watch of ${name} is ${informer.complete ? 'silent' : 'not complete'}: the log has the API server's answer`,
      );
  }

  #all(): (readonly [name: string, informer: Watched])[] {
    return [
      ...[...this.configs].map(([group, informer]) => [`${PLURAL}.${group}`, informer] as const),
      ['nodes', this.nodes],
      ['jobs', this.jobs],
      ['pods', this.pods],
      ['events', this.warnings],
    ];
  }
}
