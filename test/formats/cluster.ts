// Formats that users of a cluster see: Jobs, annotations, labels, metrics, paths, and the chart's values.

import { oid } from '../support/oid.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { crd } from '../../src/api/crd.ts';
import { ANNOTATIONS } from '../../src/api/annotations.ts';
import { GROUPS } from '../../src/api/api-groups.ts';
import { apiRoutes } from '../../src/controller/api.ts';
import type { Route } from '../../src/store/http/routes.ts';
import type { ControllerContext } from '../../src/controller/controller-context.ts';
import { healthOf } from '../../src/controller/health.ts';
import type { Snapshot } from '../../src/controller/config-status.ts';
import { agentJob, shellPod } from '../../src/kube/job-manifest.ts';
import { Metrics } from '../../src/kube/metrics.ts';
import * as names from '../../src/kube/cluster-names.ts';
import { jobName } from '../../src/scheduler/job-name.ts';
import { keysOfValue } from './keys.ts';
import { inSources } from './sources.ts';

const OPTIONS = {
  namespace: 'multinic-system',
  image: 'IMAGE',
  imagePullPolicy: 'IfNotPresent',
  serverVersion: { major: 1, minor: 30 },
  imagePullSecrets: [],
  settings: {},
};

function job() {
  return agentJob(
    {
      name: jobName('i-0123', 1_737_455_520),
      node: 'worker-1',
      nodeId: 'i-0123',
      commit: oid('COMMIT'),
      expectedRecord: null,
      attempt: 2,
      apply: 'live',
      deadlineSeconds: 120,
    },
    { ...OPTIONS, storeUrl: 'https://10.96.0.7:8443/git', ca: 'CA', serverName: 'NAME', peers: [] },
  );
}

/** Name, labels and annotations of a Job and its pod, and the names that a person passes to `kubectl exec` and `logs`. */
export function jobs(): string[] {
  const { metadata, spec } = job();
  const { metadata: pod, spec: podSpec } = spec!.template;
  const [container] = podSpec!.containers;
  const shell = shellPod('worker-1', OPTIONS).metadata;
  return [
    `name ${metadata!.name}`,
    `name ${jobName('4c4c4544-0043-4a10-8056-b4c04f4e4d33', 1_737_455_520)}`,
    ...pairs('label', metadata!.labels),
    ...Object.keys(metadata!.annotations!).map((key) => `annotation ${key}`),
    ...pairs('pod label', pod!.labels),
    ...Object.keys(pod!.annotations!).map((key) => `pod annotation ${key}`),
    `container ${container!.name}`,
    `args ${container!.args!.join(' ')}`,
    ...container!.volumeMounts!.map(({ name, mountPath }) => `mount ${name} ${mountPath}`),
    `service account ${podSpec!.serviceAccountName}`,
    `priority class ${podSpec!.priorityClassName}`,
    `shell name ${shell!.generateName}`,
    ...pairs('shell label', shell!.labels),
  ];
}

function pairs(what: string, map: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(map).map(([key, value]) => `${what} ${key}=${value}`);
}

/** Names of objects, labels and annotations in a cluster. */
export function objects(): string[] {
  return Object.values(names).flatMap((value) =>
    typeof value === 'object' ? Object.values(value) : [String(value)],
  );
}

export function annotations(): string[] {
  return [...Object.values(ANNOTATIONS).map(({ key }) => key), ...inSources(/'(multinic\.io\/[a-z-]{3,})'/g)];
}

export function definitions(): string[] {
  return GROUPS.flatMap((group) => {
    const { metadata, spec } = crd(group) as {
      metadata: { name: string };
      spec: { names: object; versions: { additionalPrinterColumns: { name: string }[]; schema: Schema }[] };
    };
    const { additionalPrinterColumns: columns, schema } = spec.versions[0]!;
    return [
      metadata.name,
      ...Object.entries(spec.names).flatMap(([key, value]) =>
        [value].flat().map((name) => `${group} ${key} ${name as string}`),
      ),
      ...columns.map(({ name }) => `column ${name}`),
      ...properties(schema.openAPIV3Schema, ''),
    ];
  });
}

interface Schema {
  readonly openAPIV3Schema: Property;
}
interface Property {
  readonly properties?: Readonly<Record<string, Property>>;
  readonly items?: Property;
}

function properties(schema: Property, path: string): string[] {
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([key, value]) => [
      `${path}.${key}`,
      ...properties(value, `${path}.${key}`),
    ]),
    ...(schema.items === undefined ? [] : properties(schema.items, `${path}[]`)),
  ];
}

/** `METHOD /api/v1/PATH role`, and the other paths of the servers. */
/** The routes of the API; their handlers do nothing. */
export function routes(): Route[] {
  return apiRoutes({ commands: {}, store: {} } as unknown as ControllerContext, {
    generations: async () => new Map(),
  });
}

export function paths(): string[] {
  return [
    ...routes().map(({ method, pattern, role }) => `${method} /api/v1${pattern} ${role}`),
    ...inSources(/'(\/(?:livez|readyz|healthz|metrics))'/g),
  ];
}

export function healthKeys(): string[] {
  const snapshot = { report: { main: { configs: new Map() } }, jobs: [], mainTime: 1 } as unknown as Snapshot;
  return keysOfValue(healthOf(snapshot, 'failure', 0));
}

/** `NAME TYPE`, and `NAME{LABEL}` for each label of ours, as a scrape reads them. */
/** What `/metrics` answers. */
export async function metricsText(): Promise<string> {
  const registry = new Metrics({
    staleness: () => ({ nodes: 1 }),
    depths: () => ({ status: 1 }),
    leading: () => true,
    answers: new Map([['GET 200', 1]]),
    store: async () => ({ bytes: 1, freeBytes: 1 }),
    certificateEnd: () => 1,
    lastBackup: async () => 1,
  });
  const snapshot = {
    report: {
      main: { configs: new Map() },
      branches: new Map(),
      stopped: new Set(),
      claims: { byEntry: new Map() },
    },
    jobs: [],
    decisions: new Map(),
    facts: new Map(),
  } as unknown as Snapshot;
  registry.ran({ result: 'Applied', reason: 'X', seconds: 1 });
  registry.passed(snapshot, 1, []);
  registry.failed();
  return registry.text();
}

export async function metrics(): Promise<string[]> {
  const text = await metricsText();
  return [
    ...[...text.matchAll(/^# TYPE (\S+ \S+)$/gm)].map((match) => match[1]!),
    ...[...text.matchAll(/^(?!nodejs_|process_)([a-z_]+)\{(.*)\} /gm)].flatMap(([, name, labels]) =>
      [...labels!.matchAll(/(?:^|,)([a-z_]+)=/g)].map((label) => `${name}{${label[1]}}`),
    ),
  ];
}

/** Keys that people set in values of the chart. */
export function chartValues(): string[] {
  const file = join(import.meta.dirname, '../../deploy/helm/values.yaml');
  return keysOfValue(parse(readFileSync(file, 'utf8')));
}
