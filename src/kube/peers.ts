import type { V1EndpointSliceList, V1Pod } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import type { KubeClient } from './client.ts';

export interface PeersOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of this replica, which serves the store. */
  readonly pod: string;
  readonly log: Logger;
  readonly now?: () => number;
}

const API_SERVERS = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const SERVICE = { labelSelector: 'kubernetes.io/service-name=kubernetes' };
/** They change when a control plane does. */
const FRESH_MS = 60_000;

/**
 * Where API servers and the store are, behind their Services: a Service's own address is rewritten before a packet
 * leaves a node, so it does not tell by which NIC.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #now: () => number;
  #known: Promise<readonly string[]> = Promise.resolve([]);
  #readAt = -Infinity;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** @returns addresses; those of a minute ago are good enough */
  list(): Promise<readonly string[]> {
    if (this.#now() - this.#readAt >= FRESH_MS) {
      this.#readAt = this.#now();
      const before = this.#known;
      this.#known = before.then((known) => this.#read(known));
    }
    return this.#known;
  }

  async #read(before: readonly string[]): Promise<readonly string[]> {
    const { client, namespace, pod, log } = this.#options;
    try {
      const [slices, { status }] = await Promise.all([
        client.request<V1EndpointSliceList>('GET', API_SERVERS, { query: SERVICE }),
        client.request<V1Pod>('GET', `/api/v1/namespaces/${namespace}/pods/${pod}`),
      ]);
      const servers = slices.items.flatMap(({ endpoints }) =>
        (endpoints ?? []).flatMap(({ addresses }) => addresses),
      );
      const store = (status?.podIPs ?? []).flatMap(({ ip }) => ip ?? []);
      return [...new Set([...servers, ...store])];
    } catch (error) {
      log.warn({ err: error }, 'where the API servers are could not be read: what was known stays');
      this.#readAt = -Infinity;
      return before;
    }
  }
}
