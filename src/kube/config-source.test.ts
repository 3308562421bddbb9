import pino from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClient } from '../../test/support/kube.ts';
import type { Group } from '../api/api-groups.ts';
import { formatConfigRef } from '../history/commit-format.ts';
import type { ConfigList } from '../mirror/home-port.ts';
import {
  KubeConfigSource,
  projectConfig,
  type ConfigLookup,
  type Placed,
  type WatchedConfig,
} from './config-source.ts';

const GROUP = 'multinic.io';
const REF = { group: GROUP, namespace: 'ns', name: 'cr' };
const CR = '/apis/multinic.io/v1/namespaces/ns/multinicbizconfigs/cr';
const NAMESPACE = '/api/v1/namespaces/ns';
const CRD = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/multinicbizconfigs.multinic.io';
const origin = { namespace: 'n1', crd: 'd1' };

let api: FakeClient;
let watched: WatchedConfig[];
let known: Placed[];
let state: { complete: boolean; absent: boolean };
let source: KubeConfigSource;

beforeEach(() => {
  api = new FakeClient();
  api.on(`GET ${NAMESPACE}`, { metadata: { uid: 'n1' } }).on(`GET ${CRD}`, { metadata: { uid: 'd1' } });
  watched = [];
  known = [{ ref: REF, origin }];
  state = { complete: true, absent: false };
  const lookup: ConfigLookup = {
    get: () => watched[0],
    list: () => watched,
    get complete() {
      return state.complete;
    },
    get absent() {
      return state.absent;
    },
  };
  source = new KubeConfigSource({
    client: api.client,
    informers: new Map<Group, ConfigLookup>([[GROUP, lookup]]),
    log: pino({ level: 'silent' }),
  });
});

const list = (): Promise<ConfigList> =>
  source.list(new Map(known.map((config) => [formatConfigRef(config.ref), config])));
const doubt = async (): Promise<string | undefined> => (await list()).doubt(REF);

test('gone: the CR is not there, and what it lived in stands as it was', async () => {
  expect(await doubt()).toBeUndefined();
  // Each question came after the CR was missing from the list.
  expect(api.by('GET').map(({ path }) => path)).toEqual([CR, NAMESPACE, CRD]);
});

test.each<[string, () => void, RegExp]>([
  ['it is there, and the watch is late', () => api.on(`GET ${CR}`, { metadata: {} }), /watch is late/],
  ['the API server does not say', () => api.on(`GET ${CR}`, 500), /did not tell whether the CR exists/],
  ['we may not ask', () => api.on(`GET ${NAMESPACE}`, 403), /did not tell whether the CR exists/],
  ['its namespace is gone', () => api.on(`GET ${NAMESPACE}`, 404), /namespace ns is gone too/],
  [
    'its namespace is going',
    () => api.on(`GET ${NAMESPACE}`, { metadata: { uid: 'n1', deletionTimestamp: 'now' } }),
    /being deleted/,
  ],
  ['its namespace is another', () => api.on(`GET ${NAMESPACE}`, { metadata: { uid: 'n2' } }), /made again/],
  ['its CRD is gone', () => api.on(`GET ${CRD}`, 404), /CRD of multinic.io is gone too/],
  ['its CRD is another', () => api.on(`GET ${CRD}`, { metadata: { uid: 'd2' } }), /made again/],
  ['the list failed', () => (state.complete = false), /cannot be listed/],
  [
    'its group is not watched',
    () => (known = [{ ref: { ...REF, group: 'multinic.okestro.io' } }]),
    /not watched/,
  ],
])('in doubt: %s', async (_, arrange, reason) => {
  arrange();
  const ref = known[0]!.ref;
  expect((await list()).doubt(ref)).toMatch(reason);
});

const raw = (extra: object = {}) => ({
  metadata: {
    namespace: 'ns',
    name: 'cr',
    uid: 'u1',
    generation: 3,
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', 'multinic.io/paused': 'true' },
    managedFields: [
      { manager: 'old', time: new Date(1), fieldsV1: { 'f:spec': {} } },
      { manager: 'VIOLA API', time: new Date(3), fieldsV1: { 'f:spec': {} } },
      { manager: 'kubectl', time: new Date(4), fieldsV1: { 'f:metadata': {} } },
      { manager: 'multinic-agent', time: new Date(5), subresource: 'status', fieldsV1: { 'f:status': {} } },
    ],
    ...extra,
  },
  spec: { nodeConfigs: [] },
});

test('a group that cannot be listed is told, and one without a CRD is not', async () => {
  expect((await list()).problems).toEqual([]);
  state = { complete: false, absent: false };
  expect((await list()).problems).toMatchObject([
    { path: 'multinicbizconfigs.multinic.io', code: 'ListFailed' },
  ]);
  state = { complete: false, absent: true };
  expect((await list()).problems).toEqual([]);
});

test('a CR comes with the client that wrote its spec, and with what it lives in', async () => {
  watched = [projectConfig(GROUP, raw() as never, undefined)];
  const [config] = (await list()).configs;
  expect(config).toMatchObject({
    ref: REF,
    generation: 3,
    annotations: { 'multinic.io/paused': 'true' },
    writer: { name: 'VIOLA API', email: 'VIOLA-API@field-manager' },
    origin,
  });
  expect(Object.keys(config!.annotations)).toEqual(['multinic.io/paused']);
  // An unchanged CR stays the same object, so it is not judged again.
  expect((await list()).configs[0]).toBe(config);
});

test('a status alone leaves the CR as it was', () => {
  const before = projectConfig(GROUP, raw() as never, undefined);
  const after = projectConfig(GROUP, { ...raw(), status: { observedGeneration: 3 } } as never, before);
  expect(after.object).toBe(before.object);
  expect(projectConfig(GROUP, raw({ generation: 4 }) as never, before).object).not.toBe(before.object);
});

const header = (name: string, generation: number) => ({ metadata: { namespace: 'ns', name, generation } });

describe('generations', () => {
  const CRS = '/apis/multinic.io/v1/multinicbizconfigs';

  test('are those of the API server, page by page, whatever the watch has heard', async () => {
    watched = [projectConfig(GROUP, raw() as never, undefined)];
    const pages = [
      { items: [header('cr', 4)], metadata: { continue: 'more' } },
      { items: [header('new', 1)], metadata: {} },
    ];
    api.on(`GET ${CRS}`, () => pages.shift());
    expect(await source.generations()).toEqual(
      new Map([
        ['multinic.io/ns/cr', 4],
        ['multinic.io/ns/new', 1],
      ]),
    );
    expect(api.asked.map(({ query }) => query)).toEqual([
      { limit: '500' },
      { limit: '500', continue: 'more' },
    ]);
  });

  test('of a group without a CRD: none', async () => {
    expect(await source.generations()).toEqual(new Map());
  });

  test('are not made up when the API server does not say', async () => {
    api.on(`GET ${CRS}`, 500);
    await expect(source.generations()).rejects.toMatchObject({ code: 'Busy' });
  });
});
