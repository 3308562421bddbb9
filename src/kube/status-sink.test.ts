import pino from 'pino';
import { beforeEach, expect, test, vi } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import type { Group } from '../api/api-groups.ts';
import type { ConfigStatus } from '../api/status.ts';
import type { ConfigLookup, WatchedConfig } from './config-source.ts';
import { KubeStatusSink } from './status-sink.ts';

const REF = { group: 'multinic.io', namespace: 'ns', name: 'cr' };
const PATH = '/apis/multinic.io/v1/namespaces/ns/multinicbizconfigs/cr/status';

const statusOf = (generation: number, nodes = 0): ConfigStatus => ({
  observedGeneration: generation,
  conditions: [],
  nodeStatuses: Array.from({ length: nodes }, (_, i) => ({
    attachedNodeId: `i-${i}`,
    attachedNodeName: `w-${i}`,
    state: 'Pending' as const,
  })),
  summary: { totalNodes: nodes, configuredNodes: 0, failedNodes: 0, pendingNodes: nodes, heldNodes: 0 },
});

let api: FakeClient;
let watched: WatchedConfig | undefined;
let sink: KubeStatusSink;

beforeEach(() => {
  api = new FakeClient();
  watched = {
    object: {
      ref: REF,
      uid: 'u1',
      generation: 1,
      annotations: {},
      spec: {},
      writer: { name: 'w', email: '' },
    },
    status: undefined,
  };
  const lookup: ConfigLookup = { get: () => watched, list: () => [], complete: true, absent: false };
  sink = new KubeStatusSink({
    client: api.client,
    namespace: 'multinic-system',
    pod: 'controller-1',
    configs: new Map<Group, ConfigLookup>([['multinic.io', lookup]]),
    log: pino({ level: 'silent' }),
  });
});

test('is applied by the server, as ours, to the CR that it is about', async () => {
  await sink.write(REF, statusOf(1));
  await sink.close({ write: true });
  expect(api.by('PATCH')).toEqual([
    {
      method: 'PATCH',
      path: PATH,
      query: { fieldManager: 'multinic-agent', force: 'true' },
      body: {
        apiVersion: 'multinic.io/v1',
        kind: 'MultiNicBizConfig',
        metadata: { name: 'cr', namespace: 'ns', uid: 'u1' },
        status: statusOf(1),
      },
    },
  ]);
});

test('what the API server has already is not written', async () => {
  watched = { ...watched!, status: statusOf(1) };
  await sink.write(REF, statusOf(1));
  await sink.close({ write: true });
  expect(api.asked).toEqual([]);
});

test('of a large CR the newest of many is written, and the last one when the process ends', async () => {
  await sink.write(REF, statusOf(1, 300));
  await vi.waitFor(() => expect(api.by('PATCH')).toHaveLength(1));
  for (let generation = 2; generation <= 9; generation += 1) await sink.write(REF, statusOf(generation, 300));
  expect(api.by('PATCH')).toHaveLength(1);
  await sink.close({ write: true });
  expect(
    api.by('PATCH').map(({ body }) => (body as { status: ConfigStatus }).status.observedGeneration),
  ).toEqual([1, 9]);
});

test('a CR that is gone, or another by now, is nobody’s fault', async () => {
  api.on(`PATCH ${PATH}`, 404);
  await sink.write(REF, statusOf(1));
  await sink.remove(REF);
  await sink.close({ write: true });
  expect(sink.depths()).toEqual({ status: 0, events: 0 });
});

test("an earlier agent's status is none of ours", async () => {
  watched = { ...watched!, status: { observedGeneration: 1 } as ConfigStatus };
  expect(await sink.read(REF)).toBeUndefined();
});

test('events are on the CR, else on the Node, and the same one again counts', async () => {
  const config = { type: 'Warning', reason: 'NodeFailed', message: 'm', node: 'w', config: REF } as const;
  api.on('POST /api/v1/namespaces/ns/events', { metadata: { name: 'e1' } });
  await sink.emit(config);
  await vi.waitFor(() => expect(api.by('POST')).toHaveLength(1));
  await sink.emit(config);
  await sink.emit({ type: 'Normal', reason: 'Recovered', message: 'm', node: 'w' });
  await sink.close({ write: true });
  expect(api.by('POST').map(({ path, body }) => [path, body])).toMatchObject([
    [
      '/api/v1/namespaces/ns/events',
      { involvedObject: { kind: 'MultiNicBizConfig', name: 'cr', uid: 'u1' }, message: 'w: m', count: 1 },
    ],
    ['/api/v1/namespaces/default/events', { involvedObject: { kind: 'Node', name: 'w', uid: 'w' } }],
  ]);
  expect(api.by('PATCH')).toMatchObject([{ path: '/api/v1/namespaces/ns/events/e1', body: { count: 2 } }]);
});

test('events that may not be written are in the log, and asked for once', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  sink = new KubeStatusSink({ client: api.client, namespace: 'n', pod: 'p', configs: new Map(), log });
  api.on('POST /api/v1/namespaces/default/events', 403);
  await sink.emit({ type: 'Warning', reason: 'NodeFailed', message: 'no carrier', node: 'w' });
  await sink.close({ write: true });
  expect(api.by('POST')).toHaveLength(1);
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { event: { reason: 'NodeFailed', message: 'no carrier', node: 'w' }, msg: 'an event may not be written' },
  ]);
});

test('what a deposed leader had still to say is left to the next', async () => {
  await sink.write(REF, statusOf(1, 300));
  await vi.waitFor(() => expect(api.by('PATCH')).toHaveLength(1));
  await sink.write(REF, statusOf(2, 300));
  await sink.close({ write: false });
  expect(api.by('PATCH')).toHaveLength(1);
});

test('events of a node whose CR is gone are written on the Node', async () => {
  watched = undefined;
  await sink.emit({ type: 'Normal', reason: 'Recovered', message: 'm', node: 'w', config: REF });
  await sink.close({ write: true });
  expect(api.by('POST')).toMatchObject([
    { path: '/api/v1/namespaces/default/events', body: { involvedObject: { kind: 'Node', name: 'w' } } },
  ]);
});
