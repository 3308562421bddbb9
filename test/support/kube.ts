// A small API server for unit tests, which answers over HTTP and records its requests.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, KubeError } from '../../src/kube/client.ts';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Record<string, string> | undefined;
  readonly body: unknown;
}

/** Answers requests from a table by `METHOD path`. A number is a refusal with that status; a missing entry is a 404. */
export class FakeClient {
  readonly asked: Asked[] = [];
  readonly answers = new Map<string, unknown>();

  on(request: string, answer: unknown): this {
    this.answers.set(request, answer);
    return this;
  }

  get client(): KubeClient {
    return this as unknown as KubeClient;
  }

  async request(
    method: string,
    path: string,
    options: { query?: Record<string, string>; body?: unknown } = {},
  ): Promise<unknown> {
    this.asked.push({ method, path, query: options.query, body: structuredClone(options.body) });
    const answer = this.answers.get(`${method} ${path}`) ?? (method === 'GET' ? 404 : {});
    const value: unknown =
      typeof answer === 'function' ? (answer as (body: unknown) => unknown)(options.body) : answer;
    if (typeof value === 'number') throw new KubeError(value, `Http${value}`, `${method} ${path}: ${value}`);
    return value;
  }

  /** Requests with one method. */
  by(method: string): Asked[] {
    return this.asked.filter((each) => each.method === method);
  }
}

/** An HTTP server that stands in for an API server, and a client for it. */
export async function apiServer(
  answer: (request: IncomingMessage, response: ServerResponse, url: URL) => void,
): Promise<AsyncDisposable & { readonly client: KubeClient; readonly port: number }> {
  const server = createServer((request, response) =>
    answer(request, response, new URL(request.url ?? '/', 'http://api')),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'u' },
  );
  return {
    client: new KubeClient(config),
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
