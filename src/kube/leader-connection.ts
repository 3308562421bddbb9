// From a person's machine to the leader's API: a forwarded port of its pod, the store's own CA, the person's token.

import {
  PortForward,
  RequestContext,
  HttpMethod,
  type V1ConfigMap,
  type V1Pod,
} from '@kubernetes/client-node';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Agent, fetch } from 'undici';
import { MultinicError } from '../api/errors.ts';
import { found, hasStatus, type KubeClient } from './client.ts';
import { AUDIENCE, CA_CONFIG_MAP, LABEL, NAME, OPERATOR_ACCOUNT, STORE_PORT } from './cluster-names.ts';

import { storeName } from './store-name.ts';

export interface StoreConnection {
  /** URL on this machine's loopback. */
  readonly url: string;
  readonly token: string;
  /** The token belongs to the operators' account, so the controller does not learn the person's name. */
  readonly borrowed: boolean;
  /** Trusts the store's CA. */
  readonly fetch: typeof globalThis.fetch;
  close(): Promise<void>;
}

/** @throws MultinicError `NoController`, `NoToken`, KubeError; from `fetch`, `NoPortForward` */
export async function connectToStore(client: KubeClient, namespace: string): Promise<StoreConnection> {
  const pod = await leaderOf(client, namespace);
  const ca = await caOf(client, namespace);
  const { token, borrowed, refusal } = await tokenFor(client, namespace);
  const forward = new PortForward(client.config);
  const sockets = new Set<Socket>();
  let trouble: string | undefined;
  const tunnel = async (socket: Socket): Promise<void> => {
    try {
      const opened = await forward.portForward(namespace, pod, [STORE_PORT], socket, null, socket);
      const webSocket = typeof opened === 'function' ? opened() : opened;
      // A destroyed socket does not end the WebSocket, which would keep this process until the server closes it.
      if (socket.destroyed) webSocket?.terminate();
      else socket.once('close', () => webSocket?.terminate());
    } catch (error) {
      trouble = (error as { readonly message?: string }).message ?? String(error);
      socket.destroy();
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    void tunnel(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const dispatcher = new Agent({ connect: { ca, servername: storeName(namespace) } });
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    borrowed,
    fetch: (async (url: string, init: object) => {
      try {
        const answer = await fetch(url, { ...init, dispatcher });
        if (refusal === undefined || answer.status !== 401) return answer;
        await answer.body?.cancel();
      } catch (cause) {
        if (trouble === undefined) throw cause;
        throw new MultinicError(
          'NoPortForward',
          `the API server forwards no port of ${pod} in ${namespace} (${trouble}): it takes get and create on pods/portforward, which the Role multinic-agent-cli gives`,
          { cause },
        );
      }
      throw new MultinicError(
        'NoToken',
        `the store does not know the token of your kubeconfig, and ${refusal}`,
      );
    }) as typeof globalThis.fetch,
    close: async () => {
      await dispatcher.destroy();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export async function leaderOf(client: KubeClient, namespace: string): Promise<string> {
  const labelSelector = `${LABEL.name}=${NAME},${LABEL.leader}=true`;
  const { items } = await client.request<{ items: V1Pod[] }>('GET', `/api/v1/namespaces/${namespace}/pods`, {
    query: { labelSelector },
  });
  const name = items.find(({ status }) => status?.phase === 'Running')?.metadata?.name;
  if (name !== undefined) return name;
  throw new MultinicError(
    'NoController',
    `no controller leads in namespace ${namespace}: install the chart, name another namespace with -n, or see kubectl get pods -n ${namespace}`,
  );
}

async function caOf(client: KubeClient, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/configmaps/${CA_CONFIG_MAP}`;
  const ca = (await found(client.request<V1ConfigMap>('GET', path)))?.data?.['ca.crt'];
  if (ca !== undefined) return ca;
  throw new MultinicError(
    'NoCa',
    `ConfigMap ${CA_CONFIG_MAP} in ${namespace} has no ca.crt: wait until a controller has led once`,
  );
}

/**
 * Returns a token for the store alone, because the person's own token also opens the API server and must not reach a
 * pod. A person who may not create such a token uses their own.
 * @returns `refusal`: the reason why the person's own token is used
 * @throws MultinicError `NoToken`, KubeError
 */
export async function tokenFor(
  client: KubeClient,
  namespace: string,
): Promise<Pick<StoreConnection, 'token' | 'borrowed'> & { readonly refusal?: string }> {
  try {
    return { token: await storeToken(client, namespace), borrowed: true };
  } catch (cause) {
    // A proxy in front of the API server may answer with any of these statuses for a path that it does not forward.
    if (!hasStatus(cause, 400, 401, 403, 404, 405)) throw cause;
    const refusal =
      cause.status === 404
        ? `there is no ServiceAccount ${OPERATOR_ACCOUNT} in ${namespace}: install the chart with operatorAccount.create=true`
        : `you may not create serviceaccounts/token of ${OPERATOR_ACCOUNT} in ${namespace}: ask for the Role multinic-agent-operator-token, or for a token`;
    const own = await ownToken(client);
    if (own !== undefined) return { token: own, borrowed: false, refusal };
    throw new MultinicError('NoToken', `your kubeconfig has no token, and ${refusal}`, { cause });
  }
}

async function storeToken(client: KubeClient, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${OPERATOR_ACCOUNT}/token`;
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [AUDIENCE], expirationSeconds: 600 },
  };
  const { status } = await client.request<{ status: { token: string } }>('POST', path, { body });
  return status.token;
}

/** The bearer token of the kubeconfig's user; undefined: the user has a client certificate. */
async function ownToken(client: KubeClient): Promise<string | undefined> {
  const context = new RequestContext(client.config.getCurrentCluster()!.server, HttpMethod.GET);
  await client.authenticate(context);
  return /^Bearer (\S+)$/.exec(context.getHeaders()['Authorization'] ?? '')?.[1];
}
