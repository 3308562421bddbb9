import type { IncomingMessage } from 'node:http';
import { MultinicError } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import { HOST_TREE_BODY_MAX_BYTES, type HostTree } from '../../api/observation.ts';
import { httpFor } from '../host/node-http.ts';

const TIMEOUT_MS = 15_000;
const REASON_KEPT = 500;

interface StoreAccess {
  readonly job: Pick<AgentJob, 'url' | 'node' | 'serverName'>;
  readonly token: string;
  /** PEM of the authority that signed the store's certificate. */
  readonly ca: string | undefined;
}

/**
 * Sends the files of a drifted host to the store once, without retries, because the next observation sends them again.
 * @throws MultinicError `StoreUnreachable`, `TreeTooLarge`
 */
export async function sendHostTree({ job, token, ca }: StoreAccess, tree: HostTree): Promise<void> {
  const body = Buffer.from(JSON.stringify(tree));
  if (body.length > HOST_TREE_BODY_MAX_BYTES)
    throw new MultinicError('TreeTooLarge', `the files of the host make ${body.length} bytes; shorten them`);
  const url = new URL(job.url);
  // The store has its repository at /git and its API beside it.
  url.pathname = `${url.pathname.replace(/\/git\/?$/, '')}/api/v1/nodes/${encodeURIComponent(job.node)}/host-tree`;
  const response = await answerOf(url, { job, token, ca }, body).catch((cause: unknown) => {
    throw new MultinicError(
      'StoreUnreachable',
      `the store at ${url.origin} did not take the files of the host: ${(cause as Error).message}; look at the controller`,
      { cause },
    );
  });
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) {
    response.resume();
    return;
  }
  throw new MultinicError(
    'StoreUnreachable',
    `the store answers ${status} to the files of the host (${await beginOf(response)}); look at the controller’s log`,
    { data: { status } },
  );
}

function answerOf(url: URL, { job, token, ca }: StoreAccess, body: Buffer): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': body.length,
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(ca !== undefined && { ca }),
    ...(job.serverName !== undefined && { servername: job.serverName }),
  };
  httpFor(url.href).request(url, options, resolve).on('error', reject).end(body);
  return promise;
}

async function beginOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.length > REASON_KEPT) break;
  }
  return text.slice(0, REASON_KEPT).trim();
}
