// The store's HTTP server, one for git clients, agents and the CLI: `/git` (smart HTTP), `/api/v1`, `/healthz`.
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { Logger } from 'pino';
import { MultinicError } from '../../api/errors.ts';
import { tokenOf } from '../http/auth.ts';
import { ByteBudget } from '../http/byte-budget.ts';
import { Callers } from '../http/callers.ts';
import type { Authenticate } from '../http/auth.ts';
import { GitService } from './serve-git.ts';
import { expectSameOrigin } from '../http/origin.ts';
import { sendPage, type Page } from '../http/page.ts';
import { callRoute, errorJson, statusOf } from '../http/routes.ts';
import type { Route } from '../http/routes.ts';
import { StreamAnswer } from '../http/stream-answer.ts';
import type { Principal, Push, PushPolicy, Reader } from '../model/store-port.ts';
import { PushReceiver } from '../push/receiver.ts';
import type { Store } from '../store.ts';
import { Streams } from './streams.ts';

export interface ServeOptions {
  readonly store: Store;
  readonly reader: Reader;
  readonly policy: PushPolicy;
  readonly authenticate: Authenticate;
  /** Below `/api/v1`. */
  readonly routes?: readonly Route[];
  /** Static pages that need no token, by path. */
  readonly pages?: ReadonlyMap<string, Page>;
  /** Called for every branch that a push moved, after the move is durable and before the client has its answer. */
  readonly onPush: (push: Push) => void;
  /** Absent: all addresses, of both families where the kernel knows IPv6. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** PEM. Without it the server speaks plain HTTP. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly log: Logger;
  /** The answer of `/healthz`; a `status` other than "healthy" makes it a 503. */
  readonly health: () => object;
}

export interface StoreServer {
  /** `http://127.0.0.1:8080`: the repository is `<url>/git`. */
  readonly url: string;
  /** Replaces the certificate for new connections; only for a server with TLS. */
  renew(tls: NonNullable<ServeOptions['tls']>): void;
  /** Takes no new requests, waits a while for running ones, then cuts them; pushes always run to their end. */
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 120_000;
/** Time limit for a request's headers, and for the TLS handshake before them. */
const HEADERS_TIMEOUT_MS = 5_000;
const CHECKED_EVERY_MS = 1_000;
const CLOSE_GRACE_MS = 10_000;

/** Starts the server and resolves when it listens. */
export async function serve(options: ServeOptions): Promise<StoreServer> {
  const { store, reader, policy, onPush, log } = options;
  const receiver = new PushReceiver({ store, reader, policy, onPush, log });
  const git = new GitService(store.dir, reader, receiver);
  const streams = new Streams(log);
  const service = { git, streams, callers: new Callers(), budget: new ByteBudget() };
  const listener: RequestListener = (request, response) => {
    void answer(options, service, request, response);
  };
  const limits = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECKED_EVERY_MS,
  };
  const server =
    options.tls === undefined
      ? createServer(limits, listener)
      : createTlsServer({ ...limits, ...options.tls, handshakeTimeout: HEADERS_TIMEOUT_MS }, listener);
  server.on('connection', (socket) => service.callers.connected(socket));
  server.listen({ port: options.port, ...(options.host !== undefined && { host: options.host }) });
  await once(server, 'listening');
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${authority(server)}`,
    renew: (tls) => {
      if ('setSecureContext' in server) server.setSecureContext(tls);
    },
    close: () => {
      streams.close();
      return close(server, git);
    },
  };
}

interface Service {
  readonly git: GitService;
  readonly streams: Streams;
  readonly callers: Callers;
  readonly budget: ByteBudget;
}

/** Handles one request from its first line to its last byte. */
async function answer(
  options: ServeOptions,
  { git, streams, callers, budget }: Service,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = parseUrl(request.url ?? '/');
    if (url.pathname === '/healthz') {
      requireMethod(request, 'GET', 'HEAD');
      const health = options.health();
      const healthy = !('status' in health) || health.status === 'healthy';
      return sendJson(response, healthy ? 200 : 503, health);
    }
    const page = options.pages?.get(url.pathname);
    if (page !== undefined) {
      requireMethod(request, 'GET', 'HEAD');
      return sendPage(request, response, page);
    }
    const forGit = /^\/git(\/|$)/.test(url.pathname);
    if (!forGit && !url.pathname.startsWith('/api/v1/'))
      throw new MultinicError(
        'NotFound',
        `there is no ${url.pathname}: the paths are /git, /api/v1/…, /ui/ and /healthz`,
      );
    const principal = await authenticate(options, request);
    const answered = callers.request(request, principal);
    const account = budget.account(principal.name);
    try {
      if (forGit) return await git.handle(request, response, url, principal, account);
      expectSameOrigin(request);
      const result = await callRoute(options.routes ?? [], request, url, principal, account);
      if (result instanceof StreamAnswer)
        streams.open(request, response, result, () => authenticate(options, request));
      else if (result === undefined) response.writeHead(204).end();
      else sendJson(response, 200, result);
    } finally {
      account.close();
      answered();
    }
  } catch (error) {
    sendError(options.log, request, response, error);
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(`http://store${text}`);
  if (url === null) throw new MultinicError('BadRequest', 'this is no URL: check it for stray characters');
  return url;
}

async function authenticate(options: ServeOptions, request: IncomingMessage): Promise<Principal> {
  const token = tokenOf(request.headers.authorization);
  const principal =
    token === undefined ? undefined : await options.authenticate(token, request.socket.remoteAddress ?? '');
  if (principal !== undefined) return principal;
  throw new MultinicError(
    'Unauthorized',
    token === undefined
      ? 'a token is needed: send it as Authorization: Bearer, or to git as the password'
      : 'this token is not known: ask the operator of the controller for a new one',
  );
}

function requireMethod(request: IncomingMessage, ...allow: readonly string[]): void {
  if (allow.includes(request.method ?? '')) return;
  throw new MultinicError('MethodNotAllowed', `use ${allow.join(' or ')}`, { data: { allow } });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    .end(`${JSON.stringify(value)}\n`);
}

function sendError(log: Logger, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  // The client is gone, or the answer has begun and cannot be taken back: the error goes to the log alone.
  if (response.destroyed || response.headersSent) {
    log.info({ err: error, method: request.method, path: request.url }, 'request broken off');
    response.destroy();
    return;
  }
  const status = statusOf(error);
  if (status === 500) log.error({ err: error, method: request.method, path: request.url }, 'request failed');
  else log.debug({ err: error, method: request.method, path: request.url }, 'request refused');
  const body = errorJson(error);
  const git = request.url?.startsWith('/git') === true;
  if (status === 401) response.setHeader('WWW-Authenticate', `${git ? 'Basic' : 'Bearer'} realm="multinic"`);
  if (status === 405 && 'allow' in body.data) response.setHeader('Allow', String(body.data.allow));
  if (status === 503) response.setHeader('Retry-After', '2');
  // Close the connection: the unread rest of the body would be taken for the next request.
  if (!request.complete) response.setHeader('Connection', 'close');
  // git shows its user a text/plain body, and no other.
  if (git)
    response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${body.message}\n`);
  else sendJson(response, status, body);
}

function authority(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  if (address === '::' || address === '0.0.0.0') return `127.0.0.1:${port}`;
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

async function close(server: Server, git: GitService): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearTimeout(cut);
  await git.idle();
}
