import type { V1Endpoints, V1EndpointSliceList, V1Pod } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import { hasStatus, type KubeClient } from './client.ts';

export interface PeersOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Name of this replica's pod, which serves the store. */
  readonly pod: string;
  readonly log: Logger;
  readonly now?: () => number;
}

const API_SERVERS = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const ENDPOINTS = '/api/v1/namespaces/default/endpoints/kubernetes';
const SERVICE = { labelSelector: 'kubernetes.io/service-name=kubernetes' };
/** Time for which the addresses are remembered; they change only with the control plane. */
const FRESH_MS = 60_000;

/**
 * Addresses of API servers and of the store behind their Services. A Service's own address is rewritten before a packet
 * leaves the node, so it does not tell which NIC the packet takes.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #now: () => number;
  #known: Promise<readonly string[]> = Promise.resolve([]);
  #readAt = -Infinity;
  #told = false;
  #servers: readonly string[] = [];

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** @returns addresses, at most a minute old */
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
      const [servers, { status }] = await Promise.all([
        this.#apiServers(),
        client.request<V1Pod>('GET', `/api/v1/namespaces/${namespace}/pods/${pod}`),
      ]);
      const store = (status?.podIPs ?? []).flatMap(({ ip }) => ip ?? []);
      return [...new Set([...servers, ...store])];
    } catch (error) {
      log.warn(
        { err: error },
        'the addresses of the API servers could not be read: using the last known ones',
      );
      this.#readAt = -Infinity;
      return before;
    }
  }

  /** @returns the last known addresses, possibly none, if the controller may not read the Endpoints */
  async #apiServers(): Promise<readonly string[]> {
    const { client, log } = this.#options;
    try {
      const { items } = await client.request<V1EndpointSliceList>('GET', API_SERVERS, { query: SERVICE });
      this.#servers = items.flatMap(({ endpoints }) =>
        (endpoints ?? []).flatMap(({ addresses }) => addresses),
      );
      return this.#servers;
    } catch (error) {
      // Kubernetes before 1.21 has only Endpoints.
      if (hasStatus(error, 404)) return this.#endpoints();
      if (!hasStatus(error, 403)) throw error;
      if (!this.#told) log.warn({ err: error }, 'the addresses of the API servers may not be read');
      this.#told = true;
      return this.#servers;
    }
  }

  async #endpoints(): Promise<string[]> {
    const { subsets = [] } = await this.#options.client.request<V1Endpoints>('GET', ENDPOINTS);
    return subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));
  }
}
