import pino from 'pino';
import { expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import { Peers } from './peers.ts';

const SLICES = 'GET /apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const POD = 'GET /api/v1/namespaces/ns/pods/multinic-agent-0';

const slice = (...addresses: string[]): object => ({ items: [{ endpoints: [{ addresses }] }, {}] });

test('API servers and this pod, read again after a minute; what was known stays where they cannot be read', async () => {
  let now = 0;
  const api = new FakeClient()
    .on(SLICES, slice('10.0.0.5', '10.0.0.6'))
    .on(POD, { status: { podIPs: [{ ip: '10.244.0.7' }, { ip: 'fd00::7' }] } });
  const peers = new Peers({
    client: api.client,
    namespace: 'ns',
    pod: 'multinic-agent-0',
    log: pino({ level: 'silent' }),
    now: () => now,
  });
  const all = ['10.0.0.5', '10.0.0.6', '10.244.0.7', 'fd00::7'];
  // Simultaneous calls share one question.
  expect(await Promise.all([peers.list(), peers.list()])).toEqual([all, all]);
  expect(api.asked).toHaveLength(2);
  expect(api.asked[0]?.query).toEqual({ labelSelector: 'kubernetes.io/service-name=kubernetes' });
  api.on(SLICES, slice('10.0.0.8'));
  expect(await peers.list()).toEqual(all);
  now += 60_000;
  expect((await peers.list())[0]).toBe('10.0.0.8');
  api.on(SLICES, 403);
  now += 60_000;
  expect((await peers.list())[0]).toBe('10.0.0.8');
});

const peersOf = (api: FakeClient): Peers =>
  new Peers({ client: api.client, namespace: 'ns', pod: 'multinic-agent-0', log: pino({ level: 'silent' }) });

test('without the right to read them, the store alone', async () => {
  const api = new FakeClient().on(SLICES, 403).on(POD, { status: { podIPs: [{ ip: '10.244.0.7' }] } });
  expect(await peersOf(api).list()).toEqual(['10.244.0.7']);
});

test('Kubernetes before 1.21 has Endpoints', async () => {
  const api = new FakeClient()
    .on(SLICES, 404)
    .on('GET /api/v1/namespaces/default/endpoints/kubernetes', {
      subsets: [{ addresses: [{ ip: '10.0.0.5' }] }, {}],
    })
    .on(POD, { status: { podIPs: [{ ip: '10.244.0.7' }] } });
  expect(await peersOf(api).list()).toEqual(['10.0.0.5', '10.244.0.7']);
});
