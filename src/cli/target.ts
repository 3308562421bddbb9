// Where the commands find a controller and a store: a local home, a server by URL, or a cluster by kubeconfig.

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { hasCode, MultinicError } from '../api/errors.ts';
import type { StatusReport } from '../controller/status-report.ts';
import type { DiffQuery, NodeDescription, TimelineEntry } from '../history/timeline.ts';
import { readReason } from '../api/reasons/reasons.ts';

export interface ConnectionFlags {
  readonly dir?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly cluster?: true;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
}

/** Answers of the reading commands: from a controller, or from a local store. */
export interface Source {
  status(): Promise<StatusReport & { readonly stale?: boolean }>;
  log(node: string, limit: number): Promise<readonly TimelineEntry[]>;
  describe(node: string, at?: string): Promise<NodeDescription>;
  diff(node: string, query: DiffQuery): Promise<string>;
  close(): Promise<void>;
}

export function withConnection(command: Command): Command {
  return command
    .option('-C, --dir <dir>', 'home of a local controller (default: $MULTINIC_DIR, else this folder)')
    .option('--server <url>', 'controller elsewhere: https://host:port (default: $MULTINIC_SERVER)')
    .option('--token-file <file>', 'with --server: file that has the token (default: $MULTINIC_TOKEN_FILE)')
    .option('--cluster', 'the controller of a cluster, by kubeconfig (always as kubectl multinic)')
    .option('--kubeconfig <file>', 'with --cluster: default $KUBECONFIG or ~/.kube/config')
    .option('--context <name>', 'with --cluster: of the kubeconfig')
    .option('--namespace <name>', 'with --cluster: where the controller is', 'multinic-system');
}

/** Asks the named server, or reads a local store directly, which needs no controller. */
export async function openSource(flags: ConnectionFlags): Promise<Source> {
  if (isElsewhere(flags)) return new ApiSource(await openApi(flags));
  const dir = homeOf(flags);
  const { openReader } = await import('../store/reader.ts');
  const { describe, diff, timeline } = await import('../history/timeline.ts');
  const store = join(dir, 'store.git');
  await readFile(join(store, 'HEAD')).catch((cause: unknown) => {
    throw new MultinicError(
      'NoStore',
      `${dir} has no store yet: run multinic local ${flags.dir ?? '.'}, or name the home with -C`,
      { cause },
    );
  });
  const reader = openReader(store);
  return {
    status: () => localStatus(flags, dir),
    log: (node, limit) => timeline(reader, node, limit),
    describe: (node, at) => describe(reader, node, at),
    diff: (node, query) => diff(reader, node, query),
    close: () => reader.close(),
  };
}

/** Asks the controller of this home; if none runs, reads the status that it wrote last. */
async function localStatus(flags: ConnectionFlags, dir: string): Promise<StatusReport & { stale?: boolean }> {
  const api = await openApi(flags).catch(() => undefined);
  try {
    if (api !== undefined) return await api.call<StatusReport>('GET', '/status');
  } catch (error) {
    if (!hasCode(error, 'ControllerUnreachable')) throw error;
  }
  const { reportFile } = await import('../local/sink.ts');
  const text = await readFile(reportFile(dir), 'utf8').catch((cause: unknown) => {
    throw new MultinicError(
      'NoStatus',
      `no controller has worked on ${dir} yet: run multinic local ${flags.dir ?? '.'}`,
      { cause },
    );
  });
  return { ...(JSON.parse(text) as StatusReport), stale: true };
}

class ApiSource implements Source {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  status(): Promise<StatusReport> {
    return this.#api.call('GET', '/status');
  }

  log(node: string, limit: number): Promise<TimelineEntry[]> {
    return this.#api.call('GET', `/nodes/${encodeURIComponent(node)}/log?limit=${limit}`);
  }

  describe(node: string, at?: string): Promise<NodeDescription> {
    return this.#api.call(
      'GET',
      `/nodes/${encodeURIComponent(node)}${at === undefined ? '' : `?at=${encodeURIComponent(at)}`}`,
    );
  }

  async diff(node: string, { from, to, host = false }: DiffQuery): Promise<string> {
    const query = new URLSearchParams({
      host: String(host),
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
    });
    return (await this.#api.call<{ diff: string }>('GET', `/nodes/${encodeURIComponent(node)}/diff?${query}`))
      .diff;
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}

/** Time-out of a command, which may be for thousands of nodes. */
const TIMEOUT_MS = 600_000;

/** The controller's API. */
export class Api {
  readonly #url: string;
  readonly #token: string;
  readonly #fetch: typeof fetch;
  readonly #close: () => Promise<void>;

  constructor(url: string, token: string, way: { fetch?: typeof fetch; close?: () => Promise<void> } = {}) {
    this.#url = url.replace(/\/+$/, '');
    this.#token = token;
    this.#fetch = way.fetch ?? fetch;
    this.#close = way.close ?? (async () => undefined);
  }

  /** Closes the connection to a cluster. */
  close(): Promise<void> {
    return this.#close();
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
      throw new MultinicError(
        'ControllerUnreachable',
        `no controller answers at ${this.#url}: start it, or name another with --server`,
        { cause },
      );
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

/** @throws MultinicError `NoController` */
export async function openApi(flags: ConnectionFlags): Promise<Api> {
  if (isCluster(flags)) return openCluster(flags);
  const server = serverOf(flags);
  if (server !== undefined) {
    const file = flags.tokenFile ?? process.env['MULTINIC_TOKEN_FILE'];
    if (file === undefined)
      throw new MultinicError(
        'NoToken',
        'a server wants a token: name the file that has it with --token-file',
      );
    const token = await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new MultinicError('NoToken', `${file} cannot be read: name the file that has the token`, {
        cause,
      });
    });
    if (!/^[\x21-\x7e]+$/.test(token.trim()))
      throw new MultinicError(
        'NoToken',
        `${file} has no token: write it there, on one line and nothing else`,
      );
    return new Api(server, token.trim());
  }
  const dir = homeOf(flags);
  const { endpointFile } = await import('../local/endpoint.ts');
  try {
    const { url } = JSON.parse(await readFile(endpointFile(dir), 'utf8')) as { url: string };
    const { operator } = parse(await readFile(join(dir, 'tokens.yaml'), 'utf8')) as { operator: string };
    return new Api(url, operator);
  } catch (cause) {
    throw new MultinicError(
      'NoController',
      `no controller runs on ${dir}: start it with multinic local ${flags.dir ?? '.'}, or name another home with -C`,
      { cause },
    );
  }
}

export function homeOf(flags: Pick<ConnectionFlags, 'dir'>): string {
  return resolve(flags.dir ?? process.env['MULTINIC_DIR'] ?? '.');
}

/** Whether the flags name a server or a cluster, and no local home. */
export function isElsewhere(flags: ConnectionFlags): boolean {
  return isCluster(flags) || serverOf(flags) !== undefined;
}

function serverOf(flags: ConnectionFlags): string | undefined {
  return flags.server ?? (flags.dir === undefined ? process.env['MULTINIC_SERVER'] : undefined);
}

/** True if the program runs as `kubectl multinic`: then kubectl's own cluster is meant. */
function isCluster({ cluster, kubeconfig, context }: ConnectionFlags): boolean {
  const plugin = basename(process.argv[1] ?? '') === 'kubectl-multinic';
  return cluster === true || kubeconfig !== undefined || context !== undefined || plugin;
}

async function openCluster({ kubeconfig, context, namespace }: ConnectionFlags): Promise<Api> {
  const [{ KubeClient }, { connectToStore }] = await Promise.all([
    import('../kube/client.ts'),
    import('../kube/leader-connection.ts'),
  ]);
  const client = KubeClient.load({
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
  });
  const connection = await connectToStore(client, namespace);
  return new Api(connection.url, connection.token, connection);
}
