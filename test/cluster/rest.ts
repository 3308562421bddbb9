// A client of the API server for tests and the test kubelet: JSON in and out, watches, any
// credentials. No library in between, so that what is tested is not tested with itself.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { LabError } from '../support/lab-error.ts';

const TIMEOUT_MS = 15_000;

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export type WatchType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Meaning of the body of a PATCH. */
export const PATCH = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

interface Kubeconfig {
  clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }];
  users: [{ user: { 'client-certificate-data': string; 'client-key-data': string } }];
}

export class Rest {
  readonly server: string;
  readonly #tls: RequestOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #token: string | undefined;

  private constructor(server: string, tls: RequestOptions, token?: string) {
    this.server = server;
    this.#tls = tls;
    this.#token = token;
  }

  /** A client with the credentials of a kubeconfig, which has all certificates inside. */
  static of(kubeconfig: string): Rest {
    const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
    const [{ cluster }, { user }] = [clusters[0], users[0]];
    return new Rest(cluster.server, {
      ca: decoded(cluster['certificate-authority-data']),
      cert: decoded(user['client-certificate-data']),
      key: decoded(user['client-key-data']),
    });
  }

  /** A client of the same server with only this token. */
  as(token: string): Rest {
    return new Rest(this.server, { ca: this.#tls.ca }, token);
  }

  /** @returns whatever it answered @throws when it did not answer */
  async ask(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
    const response = await this.#send(method, path, body, contentType, AbortSignal.timeout(TIMEOUT_MS));
    const text = (await response.toArray()).map(String).join('');
    return { status: response.statusCode ?? 0, body: parseJson(text) };
  }

  /** @throws MultinicError `ApiRefused` with `status` and `body` as data */
  async call<T>(method: string, path: string, body?: unknown, contentType?: string): Promise<T> {
    const answer = await this.ask(method, path, body, contentType);
    if (answer.status < 400) return answer.body as T;
    const said = JSON.stringify(answer.body).slice(0, 500);
    throw new LabError('ApiRefused', `${method} ${path}: ${answer.status}; see what it said: ${said}`, {
      data: { status: answer.status, body: answer.body },
    });
  }

  /**
   * Reports every existing object and every change, until the signal; also objects that were deleted while the API server
   * did not answer.
   */
  async follow<T extends KubeObject>(
    path: string,
    heard: (type: WatchType, object: T) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const known = new Map<string, T>();
    const hear = (type: WatchType, object: T): void => {
      if (type === 'DELETED') known.delete(object.metadata.uid);
      else known.set(object.metadata.uid, object);
      heard(type, object);
    };
    while (!signal.aborted) {
      try {
        const list = await this.call<{ metadata: { resourceVersion: string }; items: T[] }>('GET', path);
        const uids = new Set(list.items.map(({ metadata }) => metadata.uid));
        for (const [uid, object] of known) if (!uids.has(uid)) hear('DELETED', object);
        for (const object of list.items) hear(known.has(object.metadata.uid) ? 'MODIFIED' : 'ADDED', object);
        await this.#watch(path, list.metadata.resourceVersion, hear, signal);
      } catch {
        // The API server is down, or no longer has that version: list again.
        await sleep(200);
      }
    }
  }

  async #watch<T>(
    path: string,
    resourceVersion: string,
    hear: (type: WatchType, object: T) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const query = `${path.includes('?') ? '&' : '?'}watch=1&resourceVersion=${resourceVersion}`;
    const response = await this.#send('GET', path + query, undefined, 'application/json', signal);
    for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
      const event = parseJson(line) as { type: WatchType | 'ERROR'; object: T };
      if (event.type === 'ERROR') return;
      hear(event.type, event.object);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    contentType: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const call = request(new URL(path, this.server), {
      ...this.#tls,
      method,
      signal,
      agent: this.#agent,
      headers: {
        accept: 'application/json',
        ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
        // Node.js sets Content-Length by itself, but not for a DELETE.
        ...(text !== undefined && { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }),
      },
    });
    call.end(text);
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return response.setEncoding('utf8');
  }
}

function decoded(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
