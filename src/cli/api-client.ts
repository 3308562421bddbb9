// Calls the controller's API.

import { MultinicError } from '../api/errors.ts';
import type { KubeClient } from '../kube/client.ts';
import { readReason } from '../api/reasons/reasons.ts';

/** Time-out of a command, which may be for thousands of nodes. */
const TIMEOUT_MS = 600_000;

interface ApiWay {
  readonly fetch?: typeof fetch;
  readonly close?: () => Promise<void>;
  readonly client?: KubeClient;
  readonly borrowed?: boolean;
}

/** The controller's API. */
export class Api {
  /** The API server of the controller's cluster, with the person's own rights; undefined outside of a cluster. */
  readonly client: KubeClient | undefined;
  /** The token is not the person's own, so the controller knows only the account. */
  readonly borrowed: boolean;
  readonly #url: string;
  readonly #token: string;
  readonly #fetch: typeof fetch;
  readonly #close: () => Promise<void>;

  constructor(url: string, token: string, way: ApiWay = {}) {
    this.client = way.client;
    this.borrowed = way.borrowed ?? false;
    this.#url = url.replace(/\/+$/, '');
    this.#token = token;
    this.#fetch = way.fetch ?? fetch;
    this.#close = way.close ?? (async () => undefined);
  }

  /** Closes the connection to a cluster. */
  close(): Promise<void> {
    return this.#close();
  }

  /**
   * Sends a request unchanged except for the token, and returns the answer unchanged.
   * @param path whole path on the server: `/api/v1/status`
   * @throws MultinicError `ControllerUnreachable`
   */
  async forward(path: string, init: RequestInit): Promise<Response> {
    const ask = this.#fetch;
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${this.#token}`);
    return ask(`${this.#url}${path}`, { ...init, headers: Object.fromEntries(headers) }).catch(
      (cause: unknown) => {
        if (cause instanceof MultinicError || init.signal?.aborted === true) throw cause;
        throw unreachable(this.#url, cause);
      },
    );
  }

  /** @throws MultinicError as the controller answered, or `ControllerUnreachable` */
  async call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    // Call fetch as a plain function: as a method of this object it throws.
    const ask = this.#fetch;
    const response = await ask(`${this.#url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause: unknown) => {
      if (cause instanceof MultinicError) throw cause;
      throw unreachable(this.#url, cause);
    });
    if (response.status === 204) return undefined as T;
    const answer = (await response.json().catch((cause: unknown) => {
      throw new MultinicError('NoController', `the server at ${this.#url} is no controller: mend --server`, {
        cause,
      });
    })) as T & { code?: string; message?: string; data?: Record<string, unknown> };
    if (response.ok) return answer;
    throw new MultinicError(
      readReason(answer.code ?? `Http${response.status}`),
      answer.message ?? response.statusText,
      {
        data: answer.data ?? {},
      },
    );
  }
}

function unreachable(url: string, cause: unknown): MultinicError {
  const { code, message } = ((cause as Error).cause ?? cause) as { code?: string; message?: string };
  const untrusted = code !== undefined && /CERT|ISSUER|SELF_SIGNED/.test(code);
  return new MultinicError(
    'ControllerUnreachable',
    untrusted
      ? `the certificate of ${url} is not trusted (${code}): name its CA with NODE_EXTRA_CA_CERTS=ca.crt`
      : `no controller answers at ${url} (${code ?? message}): start it, or name another with --server`,
    { cause },
  );
}
