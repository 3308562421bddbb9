// Serves /livez, /readyz, /healthz and /metrics on every replica, over plain HTTP, for kubelets, operators and
// Prometheus.

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { hasCode } from '../api/errors.ts';
import type { Health } from '../controller/health.ts';
import { MAIN } from '../history/refs.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from './metrics.ts';

export interface ProbesOptions {
  readonly port: number;
  readonly metrics: Metrics;
  readonly health: () => Health;
  /** The reasons why this replica is not ready; empty if it is ready. */
  readonly unready: () => Promise<readonly string[]>;
  readonly log: Logger;
}

export interface Probes {
  readonly port: number;
  close(): Promise<void>;
}

export async function serveProbes(options: ProbesOptions): Promise<Probes> {
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(options, request.url ?? '/', response).catch((error: unknown) => {
      options.log.error({ err: error, path: request.url }, 'probe failed');
      response.destroy();
    });
  });
  server.maxConnections = 256;
  server.listen(options.port);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const UNREADABLE = 'the store cannot be read: see the log; if its volume is gone, restore a backup';

/** The reason why the leader cannot serve its store. */
export async function storeProblems(store: Store): Promise<readonly string[]> {
  const look = async (): Promise<string[]> => {
    // Only this check notices a restored store between two passes; without it agents get answers from both stores.
    await store.expectFence();
    await store.reader.ref(MAIN);
    return [];
  };
  return Promise.race([
    look().catch((error: unknown) => [hasCode(error, 'Fenced') ? error.message : UNREADABLE]),
    pause(2_000, [UNREADABLE], { ref: false }),
  ]);
}

async function answer(
  { metrics, health, unready }: ProbesOptions,
  url: string,
  response: ServerResponse,
): Promise<void> {
  switch (url.split('?', 1)[0]) {
    // An answer proves that the process is alive, and a restart mends nothing else.
    case '/livez':
      return send(response, 200, 'text/plain; charset=utf-8', 'ok\n');
    case '/readyz': {
      const reasons = await unready();
      const text = reasons.length === 0 ? 'ok\n' : reasons.map((reason) => `${reason}\n`).join('');
      return send(response, reasons.length === 0 ? 200 : 503, 'text/plain; charset=utf-8', text);
    }
    case '/healthz': {
      const report = health();
      const status = report.status === 'healthy' ? 200 : 503;
      return send(response, status, 'application/json', `${JSON.stringify(report)}\n`);
    }
    case '/metrics':
      return send(response, 200, metrics.contentType, await metrics.text());
    default:
      return send(
        response,
        404,
        'text/plain; charset=utf-8',
        'there are /livez, /readyz, /healthz and /metrics\n',
      );
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
}
