import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { concerns, MultinicError } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import type { HostTree } from '../../api/observation.ts';
import { httpFor } from '../host/node-http.ts';
import { workingSeconds } from '../run/deadline.ts';
import type { Branch } from '../run/run.ts';
import { nodeRef } from '../../network/node-ref.ts';
import type { Checkout } from './checkout.ts';
import { sendHostTree } from './host-tree-request.ts';
import type { Oid } from '../../api/oid.ts';

const CHECKOUT_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 3_000;
const PAUSE_MS = 500;
/**
 * Seconds that a run waits for the store, longer than a failover of the controller: a new pod waits until the killed
 * pod's Lease expires, half a minute in all.
 */
const STORE_WAIT_SECONDS = 40;

/** The node's branch as the store serves it. */
export function httpBranch(job: AgentJob): Branch {
  return { checkout: () => fetchCommit(job), probe: () => probe(job) };
}

/** The commit of an observation, and the address to which the host's files are sent. */
export interface ObservedBranch {
  /** Fetches the job's commit, which may be older than the tip. */
  checkout(): Promise<Checkout>;
  send(tree: HostTree): Promise<void>;
}

export function observedBranch(job: AgentJob): ObservedBranch {
  return {
    checkout: () => fetchCommit(job, job.commit),
    send: (tree) => sendHostTree({ job, token: readToken(job), ca: readCa(job) }, tree),
  };
}

async function fetchCommit(job: AgentJob, commit?: Oid): Promise<Checkout> {
  const { checkout } = await import('./checkout.ts');
  const ca = readCa(job);
  return patiently(job, () =>
    checkout({
      url: job.url,
      token: readToken(job),
      ...(ca !== undefined && { ca }),
      ...(job.serverName !== undefined && { serverName: job.serverName }),
      ref: nodeRef(job.node),
      ...(commit !== undefined && { commit }),
      timeoutMs: Math.min(CHECKOUT_TIMEOUT_MS, workingSeconds(job.deadlineSeconds) * 1000),
    }),
  );
}

/** Asks the store for an answer of any kind, because any answer shows that the changed network reaches the store. */
async function probe(job: AgentJob): Promise<void> {
  const url = new URL(`${job.url.replace(/\/$/, '')}/info/refs?service=git-upload-pack`);
  const [token, ca] = [readToken(job), readCa(job)];
  try {
    await patiently(job, () => anyAnswer(url, token, { ca, servername: job.serverName }));
  } catch (cause) {
    throw new MultinicError(
      'StoreLost',
      `after the change the store at ${job.url} no longer answers; look at the node’s routes, and whether the controller runs`,
      { cause },
    );
  }
}

/**
 * Repeats a request for a while, because a restart of the controller must neither fail a run nor restore a host.
 * @throws the last error
 */
async function patiently<T>(job: AgentJob, ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + (job.storeWaitSeconds ?? STORE_WAIT_SECONDS) * 1_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const final = error instanceof MultinicError && !concerns(error, 'access');
      if (final || performance.now() >= until) throw error;
      await setTimeout(PAUSE_MS);
    }
  }
}

function anyAnswer(
  url: URL,
  token: string,
  tls: { readonly ca: string | undefined; readonly servername: string | undefined },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Opens a new connection, because a connection from before the change proves nothing.
  const options = {
    agent: false,
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(PROBE_TIMEOUT_MS),
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.servername !== undefined && { servername: tls.servername }),
  };
  const onAnswer = (response: IncomingMessage): void => {
    response.destroy();
    resolve();
  };
  httpFor(url.href).get(url, options, onAnswer).on('error', reject);
  return promise;
}

function readCa({ caFile }: AgentJob): string | undefined {
  try {
    return caFile === undefined ? undefined : readFileSync(caFile, 'utf8');
  } catch (error) {
    throw new MultinicError(
      'CaUnreadable',
      `${caFile}: ${(error as Error).message}; mount the store’s CA there`,
    );
  }
}

function readToken({ tokenFile }: AgentJob): string {
  try {
    return readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    throw new MultinicError(
      'TokenUnreadable',
      `${tokenFile}: ${(error as Error).message}; mount the node’s token there`,
    );
  }
}
