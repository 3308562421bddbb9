import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { beforeEach, describe, expect, test } from 'vitest';
import { authority, leaf } from '../../test/support/authority.ts';
import { FakeClient } from '../../test/support/kube.ts';
import { serverCertificate, type ServerCertificate } from './certificate.ts';

const SECRETS = '/api/v1/namespaces/ns/secrets';
const MAPS = '/api/v1/namespaces/ns/configmaps';
const NAMES = ['multinic-agent-store.ns.svc', '127.0.0.1', '10.96.0.7'];

let api: FakeClient;
const made = (names = NAMES, given?: string): Promise<ServerCertificate> =>
  serverCertificate({
    client: api.client,
    namespace: 'ns',
    serverName: NAMES[0]!,
    names,
    ...(given !== undefined && { given }),
  });

beforeEach(() => {
  api = new FakeClient();
  // The next read returns the written object.
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

test('a damaged Secret is made anew', async () => {
  const first = await made();
  for (const key of ['tls.crt', 'tls.key', 'ca.crt', 'ca.key']) {
    const secret = structuredClone(api.answers.get(`GET ${SECRETS}/multinic-agent-store-tls`)) as {
      data: Record<string, string>;
    };
    secret.data[key] = base64('-----BEGIN NONSENSE-----');
    api.on(`GET ${SECRETS}/multinic-agent-store-tls`, secret);
    expect((await made()).cert).not.toBe(first.cert);
  }
});

/** A Secret as cert-manager writes one: the certificate with its intermediate, the key, and the root. */
async function asCertManager(name: string, days = 90): Promise<Record<string, string>> {
  const root = await authority('root');
  const intermediate = await authority('intermediate', root);
  const { cert, key } = await leaf(name, intermediate, days);
  return { 'tls.crt': base64(cert + intermediate.pem), 'tls.key': base64(key), 'ca.crt': base64(root.pem) };
}

const written = (): string[] => api.asked.filter(({ method }) => method !== 'GET').map(({ path }) => path);

describe('a Secret that is given', () => {
  test('is only read, may come with a chain and without any address, and its CA is published', async () => {
    const data = await asCertManager('multinic-agent-store.ns.svc');
    api.on(`GET ${SECRETS}/own`, { data });
    const { ca } = await made(NAMES, 'own');
    expect(base64(ca)).toBe(data['ca.crt']);
    expect(written()).toEqual([MAPS]);
    expect(api.by('POST')[0]!.body).toMatchObject({ data: { 'ca.crt': ca } });
  });

  test.each<[string, () => Promise<object | number>, RegExp]>([
    ['is not there', async () => 404, /there is no Secret own/],
    ['lacks a key', async () => ({ data: { 'tls.crt': base64('C') } }), /own has no tls.key/],
    ['has another name', async () => ({ data: await asCertManager('elsewhere.svc') }), /elsewhere\.svc/],
    ['has expired', async () => ({ data: await asCertManager(NAMES[0]!, -1) }), /expired/],
    [
      'has the key of another certificate',
      async () => ({
        data: {
          ...(await asCertManager(NAMES[0]!)),
          'tls.key': (await asCertManager(NAMES[0]!))['tls.key'],
        },
      }),
      /key values mismatch/,
    ],
    [
      'has the CA of another certificate',
      async () => ({
        data: { ...(await asCertManager(NAMES[0]!)), 'ca.crt': (await asCertManager(NAMES[0]!))['ca.crt'] },
      }),
      /unable to|certificate/,
    ],
    [
      'has no certificate in it',
      async () => ({ data: { 'tls.crt': base64('C'), 'tls.key': base64('K'), 'ca.crt': base64('A') } }),
      /issue a certificate/,
    ],
  ])('%s: the start says so', async (_, secret, message) => {
    api.on(`GET ${SECRETS}/own`, await secret());
    await expect(made(NAMES, 'own')).rejects.toMatchObject({ code: 'InvalidTlsSecret' });
    await expect(made(NAMES, 'own')).rejects.toThrow(message);
    expect(written()).toEqual([]);
  });
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
