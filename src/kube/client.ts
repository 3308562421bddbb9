// Requests to the API server: one connection pool, a time-out on every call, errors as MultinicError.

import { KubeConfig, type RequestContext } from '@kubernetes/client-node';
import { statSync } from 'node:fs';
import { request, type Dispatcher } from 'undici';
import { MultinicError } from '../api/errors.ts';
import { readReason } from '../api/reasons/reasons.ts';
import { proxyFor } from './proxy-environment.ts';

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** `application/json` when left out. */
  readonly contentType?: string;
  /** Kind of answer; `application/json` when left out. */
  readonly accept?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export const APPLY_PATCH = 'application/apply-patch+yaml';
export const MERGE_PATCH = 'application/merge-patch+json';

const TIMEOUT_MS = 30_000;

/** An error answer of the API server. Status 0 means no answer; then the code is `KubeUnreachable`. */
export class KubeError extends MultinicError {
  readonly status: number;
  /** Reason in the answer: `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`… */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(
    status: number,
    reason: string,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number } = {},
  ) {
    super(readReason(`Kube${reason}`), message, { ...options, data: { status, reason } });
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export function hasStatus(error: unknown, ...statuses: readonly number[]): error is KubeError {
  return error instanceof KubeError && statuses.includes(error.status);
}

/** undefined: there is no such object. */
export async function found<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/**
 * One dispatcher for all requests: the library would make an agent, and so a pool, for each call. A kubelet that writes
 * another CA into the pod gets a new dispatcher.
 */
class PooledConfig extends KubeConfig {
  #dispatcher: Dispatcher | undefined;
  #caWritten: number | undefined;

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context);
    const made = context.getDispatcher();
    if (made === undefined) return;
    const caWritten = this.#caTime();
    if (caWritten !== this.#caWritten) {
      // Watches that run end by themselves.
      void this.#dispatcher?.close();
      this.#dispatcher = undefined;
      this.#caWritten = caWritten;
    }
    this.#dispatcher ??= made;
    context.setDispatcher(this.#dispatcher);
  }

  #caTime(): number | undefined {
    const file = this.getCurrentCluster()?.caFile;
    return file === undefined ? undefined : statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  }
}

export class KubeClient {
  readonly config: KubeConfig;
  /** Number of answers by `<method> <status>`; status 0: no answer came. */
  readonly answers = new Map<string, number>();
  #version: Promise<{ readonly major: number; readonly minor: number }> | undefined;

  constructor(config: KubeConfig) {
    this.config = config;
  }

  /**
   * Uses the pod's service account in a pod, otherwise KUBECONFIG or ~/.kube/config.
   * @throws MultinicError `InvalidKubeconfig`
   */
  static load(options: { readonly kubeconfig?: string; readonly context?: string } = {}): KubeClient {
    const config = new PooledConfig();
    try {
      if (options.kubeconfig === undefined) config.loadFromDefault();
      else config.loadFromFile(options.kubeconfig);
      if (options.context !== undefined) config.setCurrentContext(options.context);
    } catch (cause) {
      throw new MultinicError(
        'InvalidKubeconfig',
        `the kubeconfig cannot be read (${(cause as Error).message}): name another with --kubeconfig`,
        { cause },
      );
    }
    if (!config.getCurrentCluster()) {
      const known = config.getContexts().map(({ name }) => name);
      throw new MultinicError(
        'InvalidKubeconfig',
        known.length === 0
          ? 'the kubeconfig has no contexts: name another file with --kubeconfig'
          : `the kubeconfig has no context ${options.context ?? 'in use'}: choose one with --context (${known.join(', ')})`,
      );
    }
    // The library makes this cluster up where it finds neither a kubeconfig nor the account of a pod.
    if (config.getCurrentContext() === 'loaded-context' && config.getCurrentCluster()!.name === 'cluster') {
      throw new MultinicError(
        'InvalidKubeconfig',
        'there is no kubeconfig: neither $KUBECONFIG nor ~/.kube/config names one, and this is no pod; name it with --kubeconfig',
      );
    }
    useProxy(config);
    return new KubeClient(config);
  }

  /** Sends and receives JSON. @param path with the group: `/apis/batch/v1/…` @throws KubeError */
  async request<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    options: RequestOptions = {},
  ): Promise<T> {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    const text = await this.#send(method, path, options, signal, async (answer) => answer.body.text());
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /**
   * Reads the lines of an answer that does not end by itself, such as a watch.
   * @param options `silenceMs` without a byte end the answer; `opened` is called when the answer has begun
   * @throws KubeError, also when the answer breaks off or is silent for too long
   */
  async lines(
    path: string,
    query: Readonly<Record<string, string>>,
    options: { readonly signal: AbortSignal; readonly silenceMs: number; readonly opened?: () => void },
    onLine: (line: string) => void,
  ): Promise<void> {
    await this.#send('GET', path, { query, silenceMs: options.silenceMs }, options.signal, async (answer) => {
      options.opened?.();
      let rest = '';
      answer.body.setEncoding('utf8');
      for await (const chunk of answer.body as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line !== '') onLine(line);
      }
      return '';
    });
  }

  /** Version of the API server, which is requested once. */
  serverVersion(): Promise<{ readonly major: number; readonly minor: number }> {
    this.#version ??= this.request<{ major: string; minor: string }>('GET', '/version').then(
      ({ major, minor }) => ({ major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) }),
      (error: unknown) => {
        this.#version = undefined;
        throw error;
      },
    );
    return this.#version;
  }

  async #send(
    method: string,
    path: string,
    {
      query,
      body,
      contentType,
      accept = 'application/json',
      silenceMs,
    }: RequestOptions & { readonly silenceMs?: number },
    signal: AbortSignal,
    read: (answer: Dispatcher.ResponseData) => Promise<string>,
  ): Promise<string> {
    const url = new URL(this.config.getCurrentCluster()!.server.replace(/\/+$/, '') + path);
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    const context = await this.#context(url);
    try {
      const answer = await request(url, {
        method: method as Dispatcher.HttpMethod,
        headers: {
          ...context.getHeaders(),
          accept,
          ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal,
        ...(silenceMs !== undefined && { bodyTimeout: silenceMs }),
        ...(context.getDispatcher() !== undefined && { dispatcher: context.getDispatcher()! }),
      });
      this.#count(method, answer.statusCode);
      if (answer.statusCode >= 300) throw await refusal(method, path, answer);
      return await read(answer);
    } catch (cause) {
      if (cause instanceof KubeError) throw cause;
      this.#count(method, 0);
      throw new KubeError(
        0,
        'Unreachable',
        `${method} ${path}: the API server at ${url.origin} does not answer (${(cause as Error).message}): see whether it runs and can be reached from here`,
        { cause },
      );
    }
  }

  #count(method: string, status: number): void {
    const key = `${method} ${status}`;
    this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
  }

  /** Adds the credentials of the kubeconfig's user. @throws MultinicError `InvalidKubeconfig` */
  async authenticate(context: RequestContext): Promise<void> {
    try {
      await this.config.applySecurityAuthentication(context);
    } catch (cause) {
      throw new MultinicError(
        'InvalidKubeconfig',
        `the user or the cluster of the kubeconfig cannot be used (${(cause as Error).message}): see kubectl version, or choose another one with --context`,
        { cause },
      );
    }
  }

  async #context(url: URL): Promise<RequestContext> {
    const { HttpMethod, RequestContext: Context } = await import('@kubernetes/client-node');
    const context = new Context(url.toString(), HttpMethod.GET);
    await this.authenticate(context);
    return context;
  }
}

/** Takes the proxy of the environment, unless the kubeconfig names one. */
function useProxy(config: KubeConfig): void {
  const cluster = config.getCurrentCluster();
  if (cluster === null || cluster.proxyUrl !== undefined) return;
  const proxyUrl = proxyFor(cluster.server);
  if (proxyUrl !== undefined) Object.assign(cluster, { proxyUrl });
}

async function refusal(method: string, path: string, answer: Dispatcher.ResponseData): Promise<KubeError> {
  const text = await answer.body.text();
  let status: { reason?: string; message?: string } = {};
  try {
    status = JSON.parse(text) as typeof status;
  } catch {
    // A proxy answered with a page of its own, or the API server crashed.
  }
  const seconds = Number(answer.headers['retry-after']);
  const message = status.message ?? (text.slice(0, 200).trim() || `HTTP ${answer.statusCode}`);
  return new KubeError(
    answer.statusCode,
    /^[A-Za-z]+$/.test(status.reason ?? '') ? status.reason! : `Http${answer.statusCode}`,
    `${method} ${path}: ${message}`,
    seconds > 0 ? { retryAfterMs: seconds * 1000 } : {},
  );
}
