import { oid } from '../../test/support/oid.ts';
import { expect, test } from 'vitest';
import { AgentJob } from '../api/job.ts';
import type { JobRequest } from '../scheduler/job-port.ts';
import { readPodSettings } from './pod-settings.ts';
import { MAX_WAIT_SECONDS, agentJob, shellPod, type JobOptions } from './job-manifest.ts';

const request: JobRequest = {
  name: 'multinic-agent-i-0123456789abcdef0-20260101000000',
  node: 'worker-1',
  nodeId: 'i-0123456789abcdef0',
  commit: oid('c'.repeat(40)),
  expectedRecord: null,
  attempt: 2,
  apply: 'live',
  deadlineSeconds: 120,
};
const options: JobOptions = {
  namespace: 'multinic-system',
  image: 'multinic-agent:1',
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: [],
  settings: {},
  serverVersion: { major: 1, minor: 35 },
  storeUrl: 'https://10.96.0.7:8443/git',
  ca: 'PEM',
  serverName: 'multinic-agent-store.multinic-system.svc',
  peers: ['10.0.0.5'],
};
const templateOf = (job: ReturnType<typeof agentJob>) => job.spec!.template;

test('the agent finds its job, the CA and a token of its own as files', () => {
  const { metadata, spec } = templateOf(agentJob(request, options));
  const job = AgentJob.parse(JSON.parse(metadata!.annotations!['multinic.io/job']!));
  expect(job).toMatchObject({
    node: 'worker-1',
    commit: request.commit,
    url: options.storeUrl,
    serverName: 'multinic-agent-store.multinic-system.svc',
    peers: ['10.0.0.5'],
  });
  const mounts = spec!.containers[0]!.volumeMounts!.map(({ mountPath }) => mountPath);
  for (const file of [job.tokenFile, job.caFile!])
    expect(mounts.some((mount) => file.startsWith(`${mount}/`))).toBe(true);
  expect(metadata!.annotations!['multinic.io/ca']).toBe('PEM');
});

test('the Job of an observation runs another mode, under labels that no search for runs finds', () => {
  const name = 'multinic-observe-i-0123456789abcdef0-20260101000000';
  const job = agentJob({ ...request, name, mode: 'observe' }, options);
  const labels = {
    'app.kubernetes.io/name': 'multinic-observer',
    'app.kubernetes.io/part-of': 'multinic-agent',
    'app.kubernetes.io/component': 'observer',
  };
  expect(job.metadata).toMatchObject({ name, labels });
  expect(Object.keys(job.metadata!.labels!)).toEqual(Object.keys(labels));
  const { metadata, spec } = templateOf(job);
  expect(metadata!.labels).toMatchObject(labels);
  expect(metadata!.labels).not.toHaveProperty('instance');
  expect(spec!.containers[0]!.args!.slice(0, 2)).toEqual(['agent', 'observe']);
  expect(AgentJob.parse(JSON.parse(metadata!.annotations!['multinic.io/job']!))).toMatchObject({
    mode: 'observe',
  });
});

test('the pod starts on a node whose network or CNI waits for the NICs', () => {
  for (const mode of ['run', 'observe'] as const) {
    const { spec } = templateOf(agentJob({ ...request, ...(mode === 'observe' && { mode }) }, options));
    // The node has the taints not-ready and network-unavailable, no network of pods, and no name server of the cluster.
    expect(spec).toMatchObject({
      tolerations: [{ operator: 'Exists' }],
      hostNetwork: true,
      dnsPolicy: 'Default',
      volumes: expect.not.arrayContaining([
        expect.objectContaining({ persistentVolumeClaim: expect.anything() }),
      ]),
    });
    expect(spec!.initContainers).toBeUndefined();
  }
});

test('no mesh puts a sidecar into the pod, which would never end', () => {
  const { metadata } = templateOf(agentJob(request, { ...options, settings: { labels: { team: 'net' } } }));
  expect(metadata).toMatchObject({
    labels: { 'sidecar.istio.io/inject': 'false', 'app.kubernetes.io/name': 'multinic-agent', team: 'net' },
    annotations: { 'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled' },
  });
});

test('an operator sets resources, priority, labels and annotations of the pod, and none of ours', () => {
  const resources = { limits: { memory: '1Gi' } };
  const settings = readPodSettings(
    JSON.stringify({
      resources,
      priorityClassName: 'system-node-critical',
      labels: { 'app.kubernetes.io/name': 'mine' },
      annotations: { [`multinic.io/commit`]: 'mine', owner: 'net' },
    }),
  );
  const { metadata, spec } = templateOf(agentJob(request, { ...options, settings }));
  expect(spec!.containers[0]!.resources).toEqual(resources);
  expect(spec!.priorityClassName).toBe('system-node-critical');
  expect(metadata!.labels!['app.kubernetes.io/name']).toBe('multinic-agent');
  expect(metadata!.annotations).toMatchObject({ 'multinic.io/commit': request.commit, owner: 'net' });
  expect(() => readPodSettings('{"resource":{}}')).toThrow(/resource/);
});

test('a LimitRange gives the agent no tenth of a CPU', () => {
  const { spec } = templateOf(agentJob(request, options));
  expect(spec!.containers[0]!.resources!.limits).toEqual({ cpu: '1', memory: '256Mi' });
  expect(spec!.priorityClassName).toBe('multinic-agent');
});

test('the agent ends before its Job, which counts the time that the pod takes to start', () => {
  const { spec } = agentJob(request, options);
  expect(spec!.activeDeadlineSeconds).toBeGreaterThan(request.deadlineSeconds + MAX_WAIT_SECONDS);
  expect(spec).toMatchObject({ backoffLimit: 0 });
  // On only when the outcome is recorded: a TTL deletes Jobs that nobody has read.
  expect(spec!.ttlSecondsAfterFinished).toBeUndefined();
  expect(spec!.template.spec!.terminationGracePeriodSeconds).toBeGreaterThan(30);
});

function appArmorOn(minor: number): { readonly annotated: boolean; readonly field: string | undefined } {
  const { metadata, spec } = templateOf(
    agentJob(request, { ...options, serverVersion: { major: 1, minor } }),
  );
  const annotated = Object.keys(metadata!.annotations!).some((key) => key.startsWith('container.apparmor'));
  return { annotated, field: spec!.containers[0]!.securityContext!.appArmorProfile?.type };
}

test('AppArmor is asked off by the field where it is known, else by the annotation, never by both', () => {
  expect(appArmorOn(29)).toEqual({ annotated: true, field: undefined });
  expect(appArmorOn(30)).toEqual({ annotated: false, field: 'Unconfined' });
});

test.each([
  ['i-0123456789abcdef0', 'i-0123456789abcdef0'],
  ['5B6C7D8E-0F1A-4B2C-8D3E-4F5A6B7C8D9E', '5B6C7D8E-0F1A-4B2C-8D3E-4F5A6B7C8D9E'],
])('operators select the Jobs of %s by the ID as they wrote it', (nodeId, instance) => {
  expect(agentJob({ ...request, nodeId }, options).metadata!.labels).toMatchObject({
    'app.kubernetes.io/name': 'multinic-agent',
    instance,
  });
});

test('an ID that no label can hold is one in its Job name', () => {
  const { labels } = agentJob({ ...request, nodeId: 'a/b' }, options).metadata!;
  expect(labels!['instance']).toMatch(/^a-b-[0-9a-f]{8}$/);
});

test('a shell has the same rights on the host, no token, and an end', () => {
  const pod = shellPod('worker-1', options);
  expect(pod.spec).toMatchObject({
    activeDeadlineSeconds: 3600,
    automountServiceAccountToken: false,
    hostNetwork: true,
  });
  expect(pod.spec!.volumes!.map(({ name }) => name)).toEqual(['host', 'tmp']);
  expect(pod.spec!.containers[0]!.securityContext).toEqual(
    templateOf(agentJob(request, options)).spec!.containers[0]!.securityContext,
  );
});
