// Writes the status of CRs by server-side apply, beside the passes; the newest status of each CR wins.

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { KIND, PLURAL, VERSION, type Group } from '../api/api-groups.ts';
import type { ConfigStatus } from '../api/status.ts';
import type { ControllerEvent, StatusSink } from '../controller/sink-port.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import type { ConfigRef } from '../network/node.ts';
import { APPLY_PATCH, hasStatus, type KubeClient } from './client.ts';
import type { ConfigLookup } from './config-source.ts';
import { clusterRemedy } from './cluster-remedy.ts';
import { EventRecorder } from './event-recorder.ts';
import { FIELD_MANAGER } from './cluster-names.ts';
import { WorkQueue } from './queue.ts';
import { fitStatus } from './status-budget.ts';

export interface KubeStatusSinkOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly pod: string;
  readonly configs: ReadonlyMap<Group, ConfigLookup>;
  readonly log: Logger;
}

interface Wanted {
  readonly ref: ConfigRef;
  readonly status: ConfigStatus;
}

/**
 * Number of nodes that makes a status large. Large statuses are written less often, because each write sends the whole
 * object to etcd and to every watcher.
 */
const LARGE_NODES = 200;
const LARGE_PAUSE_MS = 5_000;

export class KubeStatusSink implements StatusSink {
  readonly #options: KubeStatusSinkOptions;
  readonly #wanted = new Map<string, Wanted>();
  readonly #writtenAt = new Map<string, number>();
  readonly #queue: WorkQueue;
  readonly #events: EventRecorder;

  constructor(options: KubeStatusSinkOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({ name: 'status', work: (key) => this.#apply(key), log: options.log });
    this.#events = new EventRecorder({ ...options, uidOf: (ref) => this.#config(ref)?.object.uid });
  }

  async read(ref: ConfigRef): Promise<ConfigStatus | undefined> {
    const status = this.#config(ref)?.status;
    // An earlier agent's status lacks our fields, so none of it is kept.
    return status?.conditions === undefined || status.nodeStatuses === undefined ? undefined : status;
  }

  async write(ref: ConfigRef, status: ConfigStatus): Promise<void> {
    const key = formatConfigRef(ref);
    this.#wanted.set(key, { ref, status });
    const large = status.nodeStatuses.length > LARGE_NODES;
    const wait = (this.#writtenAt.get(key) ?? -Infinity) + LARGE_PAUSE_MS - performance.now();
    if (large && wait > 0) this.#queue.addAfter(key, wait);
    else this.#queue.add(key);
  }

  async remove(ref: ConfigRef): Promise<void> {
    this.#wanted.delete(formatConfigRef(ref));
    this.#writtenAt.delete(formatConfigRef(ref));
  }

  async emit(event: ControllerEvent): Promise<void> {
    this.#events.emit({ ...event, message: clusterRemedy(event.message, this.#options.namespace) });
  }

  depths(): Record<string, number> {
    return { status: this.#queue.depth, events: this.#events.depth };
  }

  /** @param options.write whether waiting statuses are written first */
  async close({ write }: { readonly write: boolean }): Promise<void> {
    await Promise.all([write ? this.#queue.drain() : this.#queue.close(), this.#events.close()]);
  }

  async #apply(key: string): Promise<void> {
    const wanted = this.#wanted.get(key);
    if (wanted === undefined) return;
    const { ref, status } = wanted;
    const config = this.#config(ref);
    const { group, namespace, name } = ref;
    const fitted = fitStatus(
      this.#remedied(status),
      Buffer.byteLength(JSON.stringify(config?.object.spec ?? {})),
    );
    if (isDeepStrictEqual(config?.status, fitted)) return;
    this.#writtenAt.set(key, performance.now());
    const path = `/apis/${group}/${VERSION}/namespaces/${namespace}/${PLURAL}/${name}/status`;
    const body = {
      apiVersion: `${group}/${VERSION}`,
      kind: KIND,
      metadata: { name, namespace, ...(config !== undefined && { uid: config.object.uid }) },
      status: fitted,
    };
    try {
      await this.#options.client.request('PATCH', path, {
        query: { fieldManager: FIELD_MANAGER, force: 'true' },
        body,
        contentType: APPLY_PATCH,
      });
    } catch (error) {
      // The CR is gone, or another CR has its name by now. The next pass writes that one's status.
      if (hasStatus(error, 404, 409)) return;
      throw error;
    }
  }

  #remedied(status: ConfigStatus): ConfigStatus {
    const { namespace } = this.#options;
    const remedied = <T extends { readonly message?: string }>(item: T): T =>
      item.message === undefined ? item : { ...item, message: clusterRemedy(item.message, namespace) };
    return {
      ...status,
      conditions: status.conditions.map(remedied),
      nodeStatuses: status.nodeStatuses.map(remedied),
    };
  }

  #config(ref: ConfigRef): ReturnType<ConfigLookup['get']> {
    return this.#options.configs.get(ref.group as Group)?.get(`${ref.namespace}/${ref.name}`);
  }
}
