// Answers of the reading commands: from a controller, or from the store of a local home.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, MultinicError } from '../api/errors.ts';
import type { StatusReport } from '../controller/status-report.ts';
import type { DriftEntry } from '../history/drifts.ts';
import type { DiffQuery, NodeDescription } from '../history/node-description.ts';
import type { TimelineEntry } from '../history/timeline.ts';
import type { Api } from './api-client.ts';
import { startCommand } from './home-access.ts';
import { openApi, targetOf, type ConnectionFlags } from './target.ts';

interface StatusQuery {
  readonly fresh?: boolean;
}

/** Answers of the reading commands: from a controller, or from a local store. */
export interface Source {
  /** @param fresh the answer also names CRs that no pass has reported in their present state */
  status(query?: StatusQuery): Promise<StatusReport & { readonly stale?: boolean }>;
  log(node: string, limit: number): Promise<readonly TimelineEntry[]>;
  describe(node: string, at?: string): Promise<NodeDescription>;
  diff(node: string, query: DiffQuery): Promise<string>;
  /** @param node undefined: all nodes */
  drift(node: string | undefined): Promise<readonly DriftEntry[]>;
  close(): Promise<void>;
}

/** Asks the named server, or reads a local store directly, which needs no controller. */
export async function openSource(flags: ConnectionFlags): Promise<Source> {
  const target = targetOf(flags);
  if (target.kind !== 'home') return new ApiSource(await openApi(flags));
  const { dir } = target;
  const { openReader } = await import('../store/reader.ts');
  const store = join(dir, 'store.git');
  await readFile(join(store, 'HEAD')).catch((cause: unknown) => {
    throw new MultinicError(
      'NoStore',
      `${dir} has no store yet: run ${startCommand(dir, flags.dir)}, or name the home with -C, or a cluster with --cluster`,
      { cause },
    );
  });
  const reader = openReader(store);
  return {
    status: (query) => localStatus(flags, dir, query),
    log: async (node, limit) => (await import('../history/timeline.ts')).timeline(reader, node, limit),
    describe: async (node, at) => (await import('../history/node-description.ts')).describe(reader, node, at),
    diff: async (node, query) => (await import('../history/node-description.ts')).diff(reader, node, query),
    drift: async (node) => (await import('../history/drifts.ts')).listDrifts(reader, node),
    close: () => reader.close(),
  };
}

/** Asks the controller of this home; if none runs, reads the status that it wrote last. */
async function localStatus(
  flags: ConnectionFlags,
  dir: string,
  query: StatusQuery = {},
): Promise<StatusReport & { stale?: boolean }> {
  // A controller's pod has no report of its own, so the reason why the leader does not answer is all there is.
  const inPod = process.env['POD_NAME'] !== undefined;
  const api = await openApi(flags).catch((error: unknown) => {
    if (inPod) throw error;
    return undefined;
  });
  try {
    if (api !== undefined) return await api.call<StatusReport>('GET', statusPath(query));
  } catch (error) {
    if (inPod || !hasCode(error, 'ControllerUnreachable')) throw error;
  }
  const { reportFile } = await import('../local/sink.ts');
  const text = await readFile(reportFile(dir), 'utf8').catch((cause: unknown) => {
    throw new MultinicError(
      'NoStatus',
      `no controller has worked on ${dir} yet: run ${startCommand(dir, flags.dir)}`,
      { cause },
    );
  });
  return { ...(JSON.parse(text) as StatusReport), stale: true };
}

function statusPath({ fresh = false }: StatusQuery): string {
  return fresh ? '/status?fresh=true' : '/status';
}

class ApiSource implements Source {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  status(query: StatusQuery = {}): Promise<StatusReport> {
    return this.#api.call('GET', statusPath(query));
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

  drift(node: string | undefined): Promise<DriftEntry[]> {
    return this.#api.call('GET', node === undefined ? '/drift' : `/nodes/${encodeURIComponent(node)}/drift`);
  }

  close(): Promise<void> {
    return this.#api.close();
  }
}
