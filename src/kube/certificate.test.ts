import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { beforeEach, expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import { serverCertificate, type ServerCertificate } from './certificate.ts';

const SECRETS = '/api/v1/namespaces/ns/secrets';
const MAPS = '/api/v1/namespaces/ns/configmaps';
const NAMES = ['multinic-agent-store.ns.svc', '127.0.0.1', '10.96.0.7'];

let api: FakeClient;
const made = (names = NAMES, given?: string): Promise<ServerCertificate> =>
  serverCertificate({ client: api.client, namespace: 'ns', names, ...(given !== undefined && { given }) });

beforeEach(() => {
  api = new FakeClient();
  // What is written is what is read next.
  const keep = (path: string, name: string) => {
    const store = (body: object): object => {
      api.on(`GET ${path}/${name}`, { ...body, metadata: { name, resourceVersion: '1' } });
      return body;
    };
    api.on(`POST ${path}`, store).on(`PUT ${path}/${name}`, store);
  };
  keep(SECRETS, 'multinic-agent-store-tls');
  keep(MAPS, 'multinic-agent-ca');
});

test('clients that know the CA connect by name and by address, others do not', async () => {
  const { key, cert, ca } = await made();
  const server = createServer({ key, cert }, (_, response) => response.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const handshake = async (options: object): Promise<boolean> => {
    const socket = connect({ port, host: '127.0.0.1', ...options });
    try {
      await once(socket, 'secureConnect');
      return socket.authorized;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  };
  expect(await handshake({ ca })).toBe(true);
  expect(await handshake({ ca, servername: 'multinic-agent-store.ns.svc' })).toBe(true);
  expect(await handshake({ ca, servername: 'elsewhere' })).toBe(false);
  expect(await handshake({})).toBe(false);
  server.close();
});

test('what is good stays; another name is a new certificate by the same CA', async () => {
  const first = await made();
  expect(await made()).toEqual(first);
  const second = await made([...NAMES, '10.96.0.8']);
  expect(second.ca).toBe(first.ca);
  expect(second.cert).not.toBe(first.cert);
  expect(api.by('POST').map(({ path }) => path)).toEqual([SECRETS, MAPS]);
  expect(api.by('PUT').map(({ path }) => path)).toEqual([`${SECRETS}/multinic-agent-store-tls`]);
});

test('of two replicas the one that comes second takes what the first made', async () => {
  const first = await made();
  const secret = api.answers.get(`GET ${SECRETS}/multinic-agent-store-tls`);
  let reads = 0;
  api.on(`GET ${SECRETS}/multinic-agent-store-tls`, () => ((reads += 1) === 1 ? 404 : secret));
  api.on(`POST ${SECRETS}`, 409);
  expect((await made()).cert).toBe(first.cert);
});

test('a Secret that is given is only read, and says what it lacks', async () => {
  api.on(`GET ${SECRETS}/own`, {
    data: { 'tls.crt': base64('C'), 'tls.key': base64('K'), 'ca.crt': base64('A') },
  });
  expect(await made(NAMES, 'own')).toEqual({ key: 'K', cert: 'C', ca: 'A' });
  api.on(`GET ${SECRETS}/own`, { data: { 'tls.crt': base64('C') } });
  await expect(made(NAMES, 'own')).rejects.toThrow(/own has no tls.key/);
  expect(api.asked.every(({ method }) => method === 'GET')).toBe(true);
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
