import { once } from 'node:events';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer as createProxy } from 'node:http';
import { createServer, type Server } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { authority, leaf } from '../../test/support/authority.ts';
import { serverCertificate } from './certificate.ts';
import { FakeClient } from '../../test/support/kube.ts';
import { KubeClient } from './client.ts';

const NAME = 'api.test';
let dir: string;
const cleanups: (() => void)[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-client-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const clean of cleanups.splice(0)) clean();
  await rm(dir, { recursive: true });
});

/** An API server in small. */
async function listening(tls: { key: string; cert: string }, host = '127.0.0.1'): Promise<Server> {
  const server = createServer(tls, (_, response) => response.end('{"ok":true}'));
  server.listen(0, host);
  await once(server, 'listening');
  cleanups.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  return server;
}

async function load(server: string, cluster: object): Promise<KubeClient> {
  const file = join(dir, 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(file, stringify(config));
  return KubeClient.load({ kubeconfig: file });
}

function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port;
}

test('an API server that has an IPv6 address only', async () => {
  const api = new FakeClient().on('POST /api/v1/namespaces/ns/secrets', (body: object) => body);
  const tls = await serverCertificate({
    client: api.client,
    namespace: 'ns',
    serverName: NAME,
    names: [NAME, '::1'],
  });
  const port = portOf(await listening(tls, '::1'));
  await writeFile(join(dir, 'ca.crt'), tls.ca);
  const client = await load(`https://[::1]:${port}`, { 'certificate-authority': join(dir, 'ca.crt') });
  expect(await client.request('GET', '/x')).toEqual({ ok: true });
});

test('a CA that is rotated is used without a restart', async () => {
  const [before, after] = [await authority('before'), await authority('after')];
  const ca = join(dir, 'ca.crt');
  await writeFile(ca, before.pem);
  const server = await listening(await leaf('localhost', before, 1));
  const client = await load(`https://localhost:${portOf(server)}`, { 'certificate-authority': ca });
  expect(await client.request('GET', '/x')).toEqual({ ok: true });

  server.setSecureContext(await leaf('localhost', after, 1));
  server.closeAllConnections();
  await expect(client.request('GET', '/x')).rejects.toMatchObject({ code: 'KubeUnreachable' });
  await writeFile(ca, after.pem);
  await utimes(ca, new Date(), new Date(Date.now() + 5_000));
  expect(await client.request('GET', '/x')).toEqual({ ok: true });
});

test('the proxy of the environment is used, and the one of the kubeconfig comes first', async () => {
  const root = await authority('root');
  const ca = join(dir, 'ca.crt');
  await writeFile(ca, root.pem);
  const port = portOf(await listening(await leaf(NAME, root, 1)));
  const asked: string[] = [];
  const proxy = createProxy().on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const through = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      through.pipe(socket).pipe(through);
    });
    cleanups.push(() => through.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  cleanups.push(() => proxy.close());
  vi.stubEnv('HTTPS_PROXY', `http://127.0.0.1:${portOf(proxy)}`);
  const client = await load(`https://${NAME}:6443`, { 'certificate-authority': ca });
  expect(await client.request('GET', '/x')).toEqual({ ok: true });
  expect(asked).toEqual([`${NAME}:6443`]);

  const named = await load(`https://${NAME}:6443`, { 'proxy-url': 'http://named:3128' });
  expect(named.config.getCurrentCluster()!.proxyUrl).toBe('http://named:3128');
});
