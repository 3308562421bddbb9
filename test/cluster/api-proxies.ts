// Ways to an API server that are not its own address: a proxy that opens tunnels, as HTTPS_PROXY names it, and a front with
// an address, a path and tokens of its own, as Rancher has it.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, request } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { parse, stringify } from 'yaml';
import { selfSigned } from '../support/certificate.ts';

interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** What was asked for: places of tunnels, or methods and paths. */
  readonly asked: readonly string[];
}

/** A proxy that connects to any place by the method CONNECT. */
export async function startTunnels(): Promise<Proxy> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const server = createHttpServer((_, response) => response.writeHead(405).end());
  server.on('connect', ({ url = '' }, socket) => {
    asked.push(url);
    const { hostname, port } = new URL(`http://${url}`);
    const through = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    connectBoth(socket, through, sockets);
  });
  await listen(server, '127.0.0.1');
  return { url: `http://127.0.0.1:${portOf(server)}`, asked, ...ending(server, sockets) };
}

export interface Front extends Proxy {
  /** Text of a kubeconfig that knows this front alone. */
  readonly kubeconfig: string;
}

export interface FrontOptions {
  /** The administrator's, with which the front asks the API server. */
  readonly kubeconfig: string;
  /** Address of this machine. */
  readonly host: string;
  readonly prefix: string;
  /** The only token that the front knows. The API server does not know it. */
  readonly token: string;
  /** Paths that the front forwards to nobody. */
  readonly refuses?: RegExp;
}

/** A front that knows its callers by tokens of its own, and asks the API server with another account. */
export async function startFront({ kubeconfig, host, prefix, token, refuses }: FrontOptions): Promise<Front> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const behind = targetOf(kubeconfig);
  const own = await selfSigned(host);
  /** The path at the API server; undefined: it is refused. */
  const pathOf = ({ method, url = '', headers }: IncomingMessage): string | undefined => {
    asked.push(`${method} ${url}`);
    if (headers.authorization !== `Bearer ${token}` || !url.startsWith(`${prefix}/`)) return undefined;
    return refuses?.test(url) === true ? undefined : url.slice(prefix.length);
  };
  const server = createHttpsServer(own, (incoming, response) => {
    const path = pathOf(incoming);
    if (path === undefined) response.writeHead(401).end('Unauthorized');
    else forward(behind, path, incoming, response);
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
    const path = pathOf(incoming);
    if (path === undefined) socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
    else connectBoth(socket, upgrade(behind, path, incoming), sockets);
  });
  await listen(server, host);
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${portOf(server)}${prefix}`;
  return { url, asked, kubeconfig: kubeconfigOf(url, own.cert, token), ...ending(server, sockets) };
}

function kubeconfigOf(server: string, ca: string, token: string): string {
  const cluster = { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'front', cluster }],
    users: [{ name: 'person', user: { token } }],
    contexts: [{ name: 'front', context: { cluster: 'front', user: 'person' } }],
    'current-context': 'front',
  });
}

function forward(
  { hostname, port, tls }: Target,
  path: string,
  incoming: IncomingMessage,
  response: ServerResponse,
): void {
  const { authorization: _, host: __, ...headers } = incoming.headers;
  const options = { hostname, port, path, method: incoming.method, headers, agent: false, ...tls };
  const outgoing = request(options, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  outgoing.on('error', (error) => response.destroy(error));
  response.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}

/** Sends the request for another protocol. @returns the connection, whose answer belongs to the caller */
function upgrade({ hostname, port, tls }: Target, path: string, { headers }: IncomingMessage): Duplex {
  const lines = Object.entries(headers)
    .filter(([name]) => name !== 'authorization')
    .map(([name, value]) => `${name}: ${String(value)}`);
  const through = connectTls({ host: hostname, port: Number(port), ...tls }, () => {
    through.write([`GET ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
  });
  return through;
}

interface Target {
  readonly hostname: string;
  readonly port: string;
  readonly tls: ConnectionOptions;
}

function targetOf(kubeconfig: string): Target {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as {
    clusters: [{ cluster: Record<string, string> }];
    users: [{ user: Record<string, string> }];
  };
  const [{ cluster }, { user }] = [clusters[0], users[0]];
  const { hostname, port } = new URL(cluster['server']!);
  const tls = {
    ca: decoded(cluster['certificate-authority-data']),
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
    ALPNProtocols: ['http/1.1'],
  };
  return { hostname, port, tls };
}

function decoded(text = ''): string {
  return Buffer.from(text, 'base64').toString();
}

/** Passes bytes on both ways until either side ends. */
function connectBoth(one: Duplex, other: Duplex, sockets: Set<Duplex>): void {
  for (const socket of [one, other]) {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
  }
  one.on('close', () => other.destroy()).pipe(other);
  other.on('close', () => one.destroy()).pipe(one);
}

async function listen(server: Server, host: string): Promise<void> {
  server.listen(0, host);
  await once(server, 'listening');
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function ending(server: Server & { closeAllConnections(): void }, sockets: Set<Duplex>): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
