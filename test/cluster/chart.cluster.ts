// The chart without a cluster: helm lints it, and kubeconform compares what each set of values renders with the API of the
// oldest and the newest Kubernetes.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { run } from '../nodes/command.ts';
import { SCHEMA_LOCATION, writeSchemas } from './api-schemas.ts';
import { helmProgram, kubeconformProgram, KUBERNETES, openApiOf } from './programs.ts';

const CHART = resolve(import.meta.dirname, '../../deploy/helm');
const BUILD_MS = 1_800_000;
const VERSIONS = [KUBERNETES.newest, KUBERNETES.oldest];

/** Sets of values; a text is a file of the chart. */
const VALUES: Readonly<Record<string, string | object>> = {
  defaults: {},
  development: 'values-dev.yaml',
  staging: 'values-staging.yaml',
  production: 'values-production.yaml',
  'CRDs as objects': { crds: { install: 'template' } },
  'one group, CRDs as objects': { crds: { install: 'template' }, groups: ['multinic.okestro.io'] },
  'earlier values': { crds: { install: false }, imagePullSecrets: ['a'], operatorAccount: { create: false } },
  OpenShift: { openshift: 'always' },
  everything: {
    commonLabels: { team: 'net' },
    controller: {
      image: { registry: 'registry.example.org/infra', digest: `sha256:${'0'.repeat(64)}` },
      replicas: 2,
      labels: { a: 'b' },
      annotations: { a: 'b' },
      podLabels: { a: 'b' },
      podAnnotations: { a: 'b' },
      nodeSelector: { a: 'b' },
      tolerations: [{ operator: 'Exists' }],
      affinity: { podAntiAffinity: {} },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
      ],
      priorityClassName: 'system-cluster-critical',
      extraArgs: ['--health-port=8080'],
      extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }],
      extraVolumes: [{ name: 'x', emptyDir: {} }],
      extraVolumeMounts: [{ name: 'x', mountPath: '/x' }],
      securityContext: { runAsUser: null },
      lease: { duration: 120, renewDeadline: 90, retryPeriod: 15 },
    },
    agent: {
      image: { tag: 'v2' },
      resources: { limits: { cpu: 1 } },
      podLabels: { a: 'b' },
      podAnnotations: { why: 'a: "b" # c' },
      jobTtl: 31_536_000,
      probes: ['192.168.100.1', '192.168.101.1:22'],
    },
    priorityClass: { preempt: true },
    storage: { storageClass: '-', accessModes: ['ReadWriteMany'], annotations: { a: 'b' }, size: '1.5Ti' },
    backup: { enabled: true, interval: 6, keep: 28, storageClass: '-', annotations: { a: 'b' } },
    tls: { existingSecret: 'own' },
    service: { annotations: { a: 'b' }, ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] },
    serviceAccount: { annotations: { a: 'b' } },
    rbac: { aggregate: 'edit' },
    networkPolicy: { from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] },
    serviceMonitor: { enabled: true, labels: { a: 'b' }, namespace: 'monitoring', interval: '30s' },
    prometheusRule: { enabled: true, labels: { a: 'b' }, namespace: 'monitoring' },
    grafanaDashboard: { enabled: true, annotations: { grafana_folder: 'a' }, namespace: 'monitoring' },
    imagePullSecrets: ['a', { name: 'b' }],
  },
};

let dir: string;
let helm: string;
let kubeconform: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-chart-'));
  helm = join(await helmProgram(console.log), 'helm');
  kubeconform = join(await kubeconformProgram(console.log), 'kubeconform');
}, BUILD_MS);

afterAll(() => rm(dir, { recursive: true, force: true }));

async function valuesFile(name: string): Promise<string> {
  const values = VALUES[name]!;
  if (typeof values === 'string') return join(CHART, values);
  const file = join(dir, 'values.yaml');
  await writeFile(file, stringify(values));
  return file;
}

async function render(name: string, version: string, ...more: readonly string[]): Promise<string> {
  const policies = Number(version.split('.')[1]) >= 30;
  const args = ['template', 'multinic-agent', CHART, '--namespace', 'multinic-system'];
  args.push('--values', await valuesFile(name), '--kube-version', version);
  if (policies) args.push('--api-versions', 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy');
  return run(helm, [...args, ...more]);
}

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
}

async function objectsOf(name: string, ...more: readonly string[]): Promise<Rendered[]> {
  const text = await render(name, KUBERNETES.newest, ...more);
  return parseAllDocuments(text).flatMap((document) => (document.toJS() as Rendered | null) ?? []);
}

test.each(Object.keys(VALUES))('helm lint --strict: %s', async (name) => {
  expect(await run(helm, ['lint', '--strict', CHART, '--values', await valuesFile(name)])).toContain(
    '0 chart(s) failed',
  );
});

describe.each(VERSIONS)('the API of Kubernetes %s takes', (version) => {
  let schemas: string;

  beforeAll(async () => {
    schemas = await mkdtemp(join(dir, 'schemas-'));
    await writeSchemas(await openApiOf(version, console.log), schemas);
  }, BUILD_MS);

  function validate(manifests: string): Promise<string> {
    const location = join(schemas, SCHEMA_LOCATION);
    const ofOthers = 'ServiceMonitor,PrometheusRule';
    const options = ['-summary', '-strict', '-schema-location', location, '-skip', ofOthers];
    return run(kubeconform, [...options, '-'], { input: manifests });
  }

  test.each(Object.keys(VALUES))('%s', async (name) => {
    expect(await validate(await render(name, version))).toMatch(/Invalid: 0, Errors: 0/);
  });

  test('and no field that it does not have', async () => {
    const wrong = (await render('defaults', version)).replace('replicas:', 'replica:');
    await expect(validate(wrong)).rejects.toThrow(/replica/);
  });
});

describe('what is rendered', () => {
  test('whole numbers stay whole numbers, and JSON stays JSON', async () => {
    const text = await render('everything', KUBERNETES.newest);
    expect(text).toContain('--job-ttl=31536000');
    expect(text).not.toMatch(/e\+\d/);
    const deployment = (await objectsOf('everything')).find(({ kind }) => kind === 'Deployment');
    const { args } = (
      deployment as unknown as {
        spec: { template: { spec: { containers: { args: string[] }[] } } };
      }
    ).spec.template.spec.containers[0]!;
    for (const flag of ['duration=120', 'renew-deadline=90', 'retry-period=15'])
      expect(args).toContain(`--lease-${flag}`);
    const settings = args.find((each) => each.startsWith('--agent-pod='))!.slice('--agent-pod='.length);
    expect(JSON.parse(settings)).toEqual({
      resources: { limits: { cpu: 1 } },
      priorityClassName: 'multinic-agent-preempting',
      labels: { a: 'b', team: 'net' },
      annotations: { why: 'a: "b" # c' },
    });
  });

  test('every object has the labels that operators select by', async () => {
    for (const { kind, metadata } of await objectsOf('everything')) {
      if (kind === 'CustomResourceDefinition') continue;
      expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
        'app.kubernetes.io/name': 'multinic-agent',
        team: 'net',
      });
      for (const value of Object.values(metadata.labels)) expect(value).toMatch(/^[\w.-]{1,63}$/);
    }
  });

  test('a version with build metadata is in labels and in the tag of the image', async () => {
    const built = join(dir, 'built');
    await cp(CHART, built, { recursive: true });
    const meta = await readFile(join(built, 'Chart.yaml'), 'utf8');
    await writeFile(
      join(built, 'Chart.yaml'),
      meta.replaceAll(/^(version|appVersion): .*$/gm, '$1: 1.2.3+build.7'),
    );
    const text = await run(helm, ['template', 'multinic-agent', built]);
    expect(text).toContain('helm.sh/chart: multinic-agent-1.2.3_build.7');
    expect(text).toContain('image: "multinic-agent:1.2.3_build.7"');
    expect(text).not.toContain('+build.7');
  });

  test('OpenShift chooses users and groups itself', async () => {
    expect(await render('defaults', KUBERNETES.newest)).toMatch(/runAsUser: 1000/);
    const auto = await render('defaults', KUBERNETES.newest, '--api-versions', 'security.openshift.io/v1');
    for (const text of [auto, await render('OpenShift', KUBERNETES.newest)]) {
      expect(text).not.toMatch(/runAsUser|runAsGroup|fsGroup:/);
      expect(text).toContain('system:openshift:scc:privileged');
    }
  });

  test('the policy that warns exists where the API has its kind', async () => {
    expect(await render('defaults', KUBERNETES.newest)).toContain('validationActions: [Warn]');
    expect(await render('defaults', KUBERNETES.oldest)).not.toContain('ValidatingAdmissionPolicy');
  });

  test.each([
    [undefined, ['view']],
    ['view', ['view']],
    ['edit', ['edit', 'view']],
    ['true', ['edit', 'view']],
    ['none', []],
    ['false', []],
  ])('rbac.aggregate=%s: the roles %j of ours are added to those of the cluster', async (value, expected) => {
    const settings = value === undefined ? [] : ['--set', `rbac.aggregate=${value}`];
    const roles = (await objectsOf('defaults', ...settings)).filter(
      ({ kind, metadata }) => kind === 'ClusterRole' && /-configs-(view|edit)$/.test(metadata.name),
    );
    expect(roles).toHaveLength(2);
    const added = roles.filter(({ metadata }) =>
      Object.keys(metadata.labels).some((key) => /aggregate-to/.test(key)),
    );
    expect(added.map(({ metadata }) => metadata.name).toSorted()).toEqual(
      expected.map((name) => `multinic-agent-configs-${name}`),
    );
  });

  test.each([
    ['true', 'hook'],
    ['hook', 'hook'],
    ['template', 'objects'],
    ['false', 'nothing'],
    ['none', 'nothing'],
  ])('crds.install=%s: %s', async (install, expected) => {
    const text = await render('defaults', KUBERNETES.newest, '--set', `crds.install=${install}`);
    const made = /kind: CustomResourceDefinition/.test(text) ? 'objects' : 'nothing';
    expect(/pre-install,pre-upgrade/.test(text) ? 'hook' : made).toBe(expected);
  });

  test.each([
    ['controller.replica=1', /replica/],
    ['crds.install=maybe', /install/],
    ['rbac.aggregate=all', /aggregate/],
    ['storage.size=lots', /size/],
    ['controller.image.digest=abc', /digest/],
  ])('%s is refused', async (setting, message) => {
    await expect(render('defaults', KUBERNETES.newest, '--set', setting)).rejects.toThrow(message);
  });
});
