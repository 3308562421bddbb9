// Records the controller's events as Kubernetes Events, where people look for them: on the CR, otherwise on the Node.

import type { Logger } from 'pino';
import { KIND, VERSION } from '../api/api-groups.ts';
import type { ControllerEvent } from '../controller/sink-port.ts';
import type { ConfigRef } from '../network/node.ts';
import { MERGE_PATCH, hasStatus, type KubeClient } from './client.ts';
import { NAME } from './cluster-names.ts';
import { WorkQueue } from './queue.ts';

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** The controller's namespace. */
  readonly namespace: string;
  /** Name of the controller's pod. */
  readonly pod: string;
  readonly uidOf: (ref: ConfigRef) => string | undefined;
  readonly log: Logger;
}

interface Recorded {
  readonly event: ControllerEvent;
  count: number;
  readonly firstAt: string;
  lastAt: string;
  /** Name of the Event object, once it is made. */
  name?: string;
}

/** Time within which a repeated event raises the count of the earlier one. */
const SAME_MS = 600_000;
const MAX_PENDING = 1_000;
const MESSAGE_MAX = 1_024;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #recorded = new Map<string, Recorded>();
  readonly #queue: WorkQueue;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#queue = new WorkQueue({ name: 'events', work: (key) => this.#write(key), log: options.log });
  }

  get depth(): number {
    return this.#queue.depth;
  }

  emit(event: ControllerEvent): void {
    const now = new Date();
    for (const [key, { lastAt }] of this.#recorded) {
      if (now.getTime() - Date.parse(lastAt) < SAME_MS) break;
      this.#recorded.delete(key);
    }
    const key = JSON.stringify([event.config, event.node, event.type, event.reason, event.message]);
    const before = this.#recorded.get(key);
    const at = now.toISOString().replace(/\.\d+Z$/, 'Z');
    if (before === undefined && this.#queue.depth >= MAX_PENDING) {
      this.#options.log.warn({ event }, 'too many events: this event goes to the log only');
      return;
    }
    // Keep events in the order of their last time, so that the oldest come first.
    this.#recorded.delete(key);
    if (before === undefined) this.#recorded.set(key, { event, count: 1, firstAt: at, lastAt: at });
    else this.#recorded.set(key, Object.assign(before, { count: before.count + 1, lastAt: at }));
    this.#queue.add(key);
  }

  async close(): Promise<void> {
    await this.#queue.drain();
  }

  async #write(key: string): Promise<void> {
    const recorded = this.#recorded.get(key);
    if (recorded === undefined) return;
    const { client } = this.#options;
    const { involved, namespace } = this.#subject(recorded.event);
    const path = `/api/v1/namespaces/${namespace}/events`;
    try {
      if (recorded.name !== undefined) {
        const body = { count: recorded.count, lastTimestamp: recorded.lastAt };
        await client.request('PATCH', `${path}/${recorded.name}`, { body, contentType: MERGE_PATCH });
        return;
      }
      const body = this.#body(recorded, involved, namespace);
      const made = await client.request<{ metadata: { name: string } }>('POST', path, { body });
      recorded.name = made.metadata.name;
    } catch (error) {
      // Creates a new Event, because the earlier one no longer exists.
      if (hasStatus(error, 404)) return;
      if (!hasStatus(error, 403)) throw error;
      // The namespace is being deleted, or the right is missing: the log has the event instead.
      this.#options.log.warn({ event: recorded.event, err: error }, 'an event may not be written');
    }
  }

  #body({ event, count, firstAt, lastAt }: Recorded, involved: object, namespace: string): object {
    const message =
      event.config !== undefined && event.node !== undefined
        ? `${event.node}: ${event.message}`
        : event.message;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${NAME}-`, namespace },
      involvedObject: involved,
      type: event.type,
      reason: event.reason,
      message: message.length <= MESSAGE_MAX ? message : `${message.slice(0, MESSAGE_MAX - 2)} …`,
      source: { component: NAME },
      reportingComponent: NAME,
      reportingInstance: this.#options.pod,
      count,
      firstTimestamp: firstAt,
      lastTimestamp: lastAt,
    };
  }

  #subject({ config, node }: ControllerEvent): { readonly involved: object; readonly namespace: string } {
    const uid = config && this.#options.uidOf(config);
    // Nobody looks at a CR that is gone, so an event of one of its nodes goes to the Node.
    if (config !== undefined && (uid !== undefined || node === undefined)) {
      const { group, namespace, name } = config;
      const involved = {
        apiVersion: `${group}/${VERSION}`,
        kind: KIND,
        namespace,
        name,
        ...(uid !== undefined && { uid }),
      };
      return { involved, namespace };
    }
    // Like a kubelet: an Event of a Node is in `default`, with the Node's name as UID.
    if (node !== undefined)
      return { involved: { apiVersion: 'v1', kind: 'Node', name: node, uid: node }, namespace: 'default' };
    const { namespace, pod } = this.#options;
    return { involved: { apiVersion: 'v1', kind: 'Pod', namespace, name: pod }, namespace };
  }
}
