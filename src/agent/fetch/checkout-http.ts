import type { Agent, IncomingMessage } from 'node:http';
import type { HttpClient } from 'isomorphic-git';
import { MultinicError } from '../../api/errors.ts';
import { httpFor } from '../host/node-http.ts';

export interface StoreClientOptions {
  readonly url: string;
  readonly token: string;
  readonly signal: AbortSignal;
  /** PEM of the authority that signed the store's certificate; absent: the authorities that Node trusts. */
  readonly ca?: string;
  /** Name in the store's certificate; absent: the host of the URL. */
  readonly serverName?: string;
  /** Limit on the bytes of all answers together. */
  readonly maxBytes: number;
}

/**
 * The HTTP client for isomorphic-git: it sends the token with the first request to save a round trip, trusts the given
 * CA, limits the bytes that it reads, and uses one connection for both requests. Its errors name the remedy.
 */
export function storeClient(
  options: StoreClientOptions,
): HttpClient & { readonly bytes: () => number; close(): void } {
  const http = httpFor(options.url);
  const request: (typeof import('node:http'))['request'] = http.request;
  const agent = connection(options);
  let received = 0;

  async function* limited(response: IncomingMessage): AsyncIterableIterator<Uint8Array> {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (received > options.maxBytes)
        throw new MultinicError(
          'TreeTooLarge',
          `the store sent more than ${options.maxBytes} bytes for one node: its branch has files that are not ours, revert them`,
        );
      yield chunk;
    }
  }

  return {
    bytes: () => received,
    close: () => agent.destroy(),
    async request({ url, method = 'GET', headers = {}, body }) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body ?? []) chunks.push(chunk);
      const content = Buffer.concat(chunks);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request(
          url,
          {
            method,
            headers: {
              ...headers,
              authorization: `Bearer ${options.token}`,
              ...(content.length > 0 ? { 'content-length': content.length } : {}),
            },
            agent,
            signal: options.signal,
          },
          resolve,
        )
          .on('error', reject)
          .end(content);
      });
      const statusCode = response.statusCode ?? 0;
      if (statusCode !== 200) throw await refusal(url, response);
      return {
        url,
        method,
        statusCode,
        statusMessage: response.statusMessage ?? '',
        headers: Object.fromEntries(
          Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
        ),
        body: limited(response),
      };
    },
  };
}

/** One connection, which trusts the CA of the store and asks for its name. */
function connection({ url, ca, serverName }: StoreClientOptions): Agent {
  return new (httpFor(url).Agent)({
    keepAlive: true,
    maxSockets: 1,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
}

const REASON_KEPT = 500;

async function refusal(url: string, response: IncomingMessage): Promise<MultinicError> {
  let reason = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    reason += chunk.toString();
    if (reason.length > REASON_KEPT) break;
  }
  const status = response.statusCode ?? 0;
  const said = reason.slice(0, REASON_KEPT).trim() || (response.statusMessage ?? '');
  const data = { url, status };
  if (status === 401 || status === 403)
    return new MultinicError(
      'Unauthorized',
      `the store refuses this node's token (${status}: ${said}): the next Job brings a new one`,
      { data },
    );
  if (status === 404)
    return new MultinicError('NotFound', `there is no store at ${url} (${said}): check the Job's url`, {
      data,
    });
  return new MultinicError(
    'StoreUnreachable',
    `the store answers ${status} (${said}): look at the controller's log; the run is repeated`,
    { data },
  );
}
