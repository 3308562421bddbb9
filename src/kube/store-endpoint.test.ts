import pino from 'pino';
import { expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import { StoreEndpoint } from './store-endpoint.ts';

const SERVICE = 'GET /api/v1/namespaces/ns/services/multinic-agent-store';
const SECRETS = '/api/v1/namespaces/ns/secrets';

function cluster(...clusterIPs: string[]): FakeClient {
  const api = new FakeClient().on(SERVICE, { spec: { clusterIPs } });
  const keep = (body: object): object => {
    api.on(`GET ${SECRETS}/multinic-agent-store-tls`, { ...body, metadata: { resourceVersion: '1' } });
    return body;
  };
  return api.on(`POST ${SECRETS}`, keep).on(`PUT ${SECRETS}/multinic-agent-store-tls`, keep);
}

const find = (api: FakeClient): Promise<StoreEndpoint> =>
  StoreEndpoint.find({
    client: api.client,
    namespace: 'ns',
    clusterDomain: 'example.internal',
    log: pino({ level: 'silent' }),
  });

test('agents call the Service by its address, and know the store by its name', async () => {
  const { access, certificate } = await find(cluster('fd00::7', '10.96.0.7'));
  expect(access).toEqual({
    storeUrl: 'https://[fd00::7]:8443/git',
    serverName: 'multinic-agent-store.ns.svc',
    ca: certificate.ca,
  });
});

test('a Service that is made again is found, and its new address is in the certificate', async () => {
  const api = cluster('10.96.0.7');
  const endpoint = await find(api);
  const renewed: string[] = [];
  const server = { renew: ({ cert }: { readonly cert: string | Buffer }) => void renewed.push(String(cert)) };
  const published = async (): Promise<void> => void renewed.push('published');
  await endpoint.refresh(server, published);
  expect(renewed).toEqual([]);
  api.on(SERVICE, { spec: { clusterIPs: ['10.96.0.8'] } });
  await endpoint.refresh(server, published);
  expect(endpoint.access.storeUrl).toBe('https://10.96.0.8:8443/git');
  expect(renewed).toEqual([endpoint.certificate.cert, 'published']);
});

test('a certificate whose publication failed is handed over again', async () => {
  const api = cluster('10.96.0.7');
  const endpoint = await find(api);
  const renewed: string[] = [];
  const server = { renew: ({ cert }: { cert: string | Buffer }) => void renewed.push(String(cert)) };
  api.on(SERVICE, { spec: { clusterIPs: ['10.96.0.8'] } });
  await endpoint.refresh(server, () => Promise.reject(new Error('no space left')));
  await endpoint.refresh(server, async () => undefined);
  await endpoint.refresh(server, async () => undefined);
  expect(renewed).toEqual([endpoint.certificate.cert, endpoint.certificate.cert]);
});

test('what is known stays while the API server does not answer', async () => {
  const api = cluster('10.96.0.7');
  const endpoint = await find(api);
  api.on(SERVICE, 503);
  await endpoint.refresh({ renew: () => undefined }, async () => undefined);
  expect(endpoint.access.storeUrl).toBe('https://10.96.0.7:8443/git');
});

test('without an address there is nothing to start', async () => {
  await expect(find(cluster('None'))).rejects.toMatchObject({ code: 'NoService' });
});
