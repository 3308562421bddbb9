// A proxy on this machine's loopback between a browser and a controller. The proxy has the person's token, and the
// browser never sees it.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { MultinicError } from '../api/errors.ts';
import type { Reason } from '../api/reasons/reasons.ts';
import { PAGE_HEADERS } from '../store/http/page.ts';
import { errorJson } from '../store/http/routes.ts';
import type { Api } from './api-client.ts';
import { isSameOrigin, UiSession } from './ui-session.ts';

interface Author {
  readonly name: string;
  readonly email: string;
}

export interface UiProxyOptions {
  /** Connects to the controller; called again when the connection is old or broken. */
  readonly open: () => Promise<Api>;
  /** Milliseconds after which the proxy connects anew, because the token ends. */
  readonly renewAfterMs: number;
  /** Where the controller is, in words, so that the person sees where a command will act. */
  readonly where: string;
  /** Finds the person whom commits will name. */
  readonly author: (api: Api) => Promise<Author | undefined>;
  /** 0: any free port. */
  readonly port: number;
  /** Carries out a command that the controller leaves to the person; undefined: the request is no such command. */
  readonly byPerson?: (api: Api, path: string, body: string) => Promise<object | undefined>;
}

/** A connection to the controller, and the number of requests on it. */
interface Way {
  readonly api: Api;
  readonly until: number;
  used: number;
  old: boolean;
}

const BODY_LIMIT = 64 * 1024;
/** The error of a request that is refused without an answer of the controller. */
type Refusal = 'host' | 'origin' | 'session';
const REFUSALS: Readonly<Record<Refusal, readonly [status: number, code: Reason, message: string]>> = {
  host: [
    421,
    'Forbidden',
    'this proxy answers for its own address alone: open the link that multinic ui printed',
  ],
  origin: [
    403,
    'Forbidden',
    'a page of another site may not use this proxy: open the link that multinic ui printed',
  ],
  session: [
    401,
    'Unauthorized',
    'this browser has not opened the link: run multinic ui again and open what it prints',
  ],
};

export class UiProxy implements AsyncDisposable {
  readonly #options: UiProxyOptions;
  readonly #session = new UiSession();
  readonly #server: Server;
  readonly #over = new AbortController();
  #way: Promise<Way> | undefined;
  #author: Author | undefined;
  #pauses = false;

  private constructor(options: UiProxyOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => this.#fail(response, error));
    });
  }

  static async start(options: UiProxyOptions): Promise<UiProxy> {
    const proxy = new UiProxy(options);
    // Connects before the browser starts, so that an unreachable controller is reported on the terminal.
    await proxy.#use(async (api) => {
      proxy.#author = await options.author(api);
      // In a cluster the person may have the right to pause a node, and the controller has no such right.
      proxy.#pauses = api.client !== undefined;
    });
    proxy.#server.listen(options.port, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Address with the secret of the link behind `#`, which a browser sends to nobody. */
  get link(): string {
    return `http://${this.#host}${this.#session.base}/ui/#key=${this.#session.link ?? ''}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    this.#server.close();
    this.#server.closeAllConnections();
    const way = await this.#way?.catch(() => undefined);
    await way?.api.close();
  }

  get #host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', headers } = request;
    if (headers.host !== this.#host) return refuse(response, 'host');
    const url = URL.parse(`http://proxy${request.url ?? '/'}`);
    const { base } = this.#session;
    if (url === null || !url.pathname.startsWith(`${base}/`)) return refuse(response, 'session');
    const path = url.pathname.slice(base.length);
    const writes = method !== 'GET' && method !== 'HEAD';
    const isPage = path.startsWith('/ui/') && path !== '/ui/session.json';
    // The pages are public, so other sites may link to them.
    if (isPage && !writes) return this.#forward(request, response, path + url.search);
    if (!isSameOrigin(headers, this.#host, writes)) return refuse(response, 'origin');
    if (path === '/ui/session.json') return this.#signIn(request, response);
    if (!path.startsWith('/api/v1/') || !this.#session.isKnown(headers)) return refuse(response, 'session');
    return this.#forward(request, response, path + url.search);
  }

  /** Tells the page whether its browser is known, and exchanges the secret of the link for a cookie. */
  async #signIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { where } = this.#options;
    const author = this.#author;
    const open = { way: 'session', where, pauses: this.#pauses, ...(author !== undefined && { author }) };
    if (request.method === 'POST') {
      const cookie = this.#session.redeem(await textOf(request));
      if (cookie === undefined) return refuse(response, 'session');
      return sendJson(response, 200, open, { 'Set-Cookie': cookie });
    }
    sendJson(response, 200, this.#session.isKnown(request.headers) ? open : { way: 'closed' });
  }

  async #forward(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { method = 'GET' } = request;
    const body = method === 'POST' ? await textOf(request) : undefined;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    await this.#use(async (api) => {
      const own = body === undefined ? undefined : await this.#options.byPerson?.(api, path, body);
      if (own !== undefined) return sendJson(response, 200, own);
      const answer = await api.forward(path, {
        method,
        headers: { ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body }),
        signal: AbortSignal.any([gone.signal, this.#over.signal]),
      });
      response.writeHead(answer.status, {
        ...PAGE_HEADERS,
        'Content-Type': answer.headers.get('content-type') ?? 'application/json',
      });
      response.flushHeaders();
      if (answer.body === null) return void response.end();
      await pipeline(Readable.fromWeb(answer.body as ReadableStream), response).catch(() =>
        response.destroy(),
      );
    });
  }

  /** Uses the connection to the controller. A connection that broke is opened anew for the next request. */
  async #use(work: (api: Api) => Promise<void>): Promise<void> {
    const way = await this.#present();
    way.used += 1;
    try {
      await work(way.api);
    } catch (error) {
      await this.#leave(way);
      throw error;
    } finally {
      way.used -= 1;
      if (way.old && way.used === 0) await way.api.close();
    }
  }

  async #present(): Promise<Way> {
    const known = await this.#way?.catch(() => undefined);
    if (known !== undefined && !known.old && performance.now() < known.until) return known;
    if (known !== undefined) await this.#leave(known);
    this.#way ??= this.#options
      .open()
      .then((api) => ({ api, until: performance.now() + this.#options.renewAfterMs, used: 0, old: false }));
    try {
      return await this.#way;
    } catch (error) {
      this.#way = undefined;
      throw error;
    }
  }

  async #leave(way: Way): Promise<void> {
    if (way.old) return;
    way.old = true;
    this.#way = undefined;
    if (way.used === 0) await way.api.close();
  }

  #fail(response: ServerResponse, error: unknown): void {
    if (response.destroyed || response.headersSent) return void response.destroy();
    const known = error instanceof MultinicError;
    sendJson(response, known ? 502 : 500, errorJson(error));
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw new MultinicError('PayloadTooLarge', 'the body is too large: send less');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function refuse(response: ServerResponse, refusal: Refusal): void {
  const [status, code, message] = REFUSALS[refusal];
  sendJson(response, status, { code, message });
}

function sendJson(response: ServerResponse, status: number, value: object, head: object = {}): void {
  response
    .writeHead(status, {
      ...PAGE_HEADERS,
      'Cache-Control': 'no-store',
      'Content-Type': 'application/json',
      ...head,
    })
    .end(`${JSON.stringify(value)}\n`);
}
