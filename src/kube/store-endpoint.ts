// Where clients find the store, and by which certificate they know it. Both may change while the controller runs: the
// Service is made again, or somebody renews the certificate.

import type { V1Service } from '@kubernetes/client-node';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { MultinicError } from '../api/errors.ts';
import type { StoreServer } from '../store/server/serve.ts';
import { serverCertificate, type ServerCertificate } from './certificate.ts';
import { found, type KubeClient } from './client.ts';
import { STORE_PORT, STORE_SERVICE } from './cluster-names.ts';
import { storeName } from './store-name.ts';
import type { StoreAccess } from './job-manifest.ts';

export interface StoreEndpointOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Secret with certificates that the operator maintains. */
  readonly tlsSecret?: string;
  /** DNS domain of the cluster, for the names in our own certificate. */
  readonly clusterDomain: string;
  readonly log: Logger;
}

/** Time between two looks at the Service and the certificate. */
const CHECK_MS = 60_000;

interface Known {
  readonly addresses: readonly string[];
  readonly certificate: ServerCertificate;
}

export class StoreEndpoint {
  readonly #options: StoreEndpointOptions;
  #known: Known;
  /** The certificate that the server and the CLI in this pod have. */
  #handedOver: string;

  private constructor(options: StoreEndpointOptions, known: Known) {
    this.#options = options;
    this.#known = known;
    this.#handedOver = known.certificate.cert;
  }

  /** @throws MultinicError `NoService`, `InvalidTlsSecret` */
  static async find(options: StoreEndpointOptions): Promise<StoreEndpoint> {
    return new StoreEndpoint(options, await look(options));
  }

  get certificate(): ServerCertificate {
    return this.#known.certificate;
  }

  /** Inputs of an agent's Job. */
  get access(): StoreAccess {
    const { addresses, certificate } = this.#known;
    return {
      storeUrl: `https://${authority(addresses[0]!)}:${STORE_PORT}/git`,
      ca: certificate.ca,
      serverName: storeName(this.#options.namespace),
    };
  }

  /**
   * Looks from time to time, and gives the server a new certificate.
   * @param renewed called after that
   * @returns function that ends this
   */
  keepFor(server: Pick<StoreServer, 'renew'>, renewed: () => Promise<void>): () => void {
    const checking = setInterval(() => {
      void this.refresh(server, renewed);
    }, CHECK_MS);
    return () => clearInterval(checking);
  }

  /** Keeps the last known state if the API server does not answer, or if the operator's certificate is invalid. */
  async refresh(server: Pick<StoreServer, 'renew'>, renewed: () => Promise<void>): Promise<void> {
    try {
      this.#known = await look(this.#options);
      const { certificate } = this.#known;
      if (certificate.cert === this.#handedOver) return;
      server.renew(certificate);
      await renewed();
      // Remembered only after the publication, so that a failed one is repeated.
      this.#handedOver = certificate.cert;
    } catch (error) {
      this.#options.log.error(
        { err: error },
        'the Service or the certificate could not be read: trying again',
      );
    }
  }
}

async function look(options: StoreEndpointOptions): Promise<Known> {
  const { client, namespace, tlsSecret, clusterDomain } = options;
  const addresses = await serviceAddresses(client, namespace);
  const name = storeName(namespace);
  const certificate = await serverCertificate({
    client,
    namespace,
    ...(tlsSecret !== undefined && { given: tlsSecret }),
    serverName: name,
    names: [
      STORE_SERVICE,
      `${STORE_SERVICE}.${namespace}`,
      name,
      `${name}.${clusterDomain}`,
      'localhost',
      '127.0.0.1',
      ...addresses,
    ],
  });
  return { addresses, certificate };
}

/** ClusterIPs of the store's Service, because a node's own resolver knows no names of the cluster. */
async function serviceAddresses(client: KubeClient, namespace: string): Promise<string[]> {
  const path = `/api/v1/namespaces/${namespace}/services/${STORE_SERVICE}`;
  const service = await found(client.request<V1Service>('GET', path));
  const addresses = service?.spec?.clusterIPs ?? [service?.spec?.clusterIP ?? 'None'];
  if (addresses.length > 0 && addresses[0] !== 'None') return addresses;
  throw new MultinicError(
    'NoService',
    `Service ${STORE_SERVICE} in ${namespace} has no ClusterIP, which agents need: install the chart's`,
  );
}

function authority(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
