import type { V1ContainerState, V1ContainerStatus, V1ObjectMeta, V1PodStatus } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { projectPod, projectWarning } from './agent-run.ts';

const JOB = 'multinic-agent-i-1-20260101000000';
const OWNER = { apiVersion: 'batch/v1', kind: 'Job', name: JOB, uid: 'u1', controller: true };
const LABELS = { 'job-name': JOB, 'app.kubernetes.io/component': 'agent' };

function podOf(metadata: V1ObjectMeta, nodeName?: string): ReturnType<typeof projectPod> {
  const annotations = { 'multinic.io/node': 'b' };
  return projectPod({
    metadata: { name: 'p', uid: 'p1', labels: LABELS, annotations, ...metadata },
    spec: { containers: [], ...(nodeName !== undefined && { nodeName }) },
  });
}

test('a pod of a Job counts before and after the scheduler has placed it', () => {
  const expected = { job: JOB, jobUid: 'u1', node: 'b' };
  expect(podOf({ ownerReferences: [OWNER] })).toMatchObject(expected);
  expect(podOf({ ownerReferences: [OWNER] }, 'b')).toMatchObject(expected);
});

test('a pod that a node made, or that says it is on another node, is no agent', () => {
  const node = { apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'n1', controller: true };
  expect(podOf({ ownerReferences: [node] }, 'b')).toBeUndefined();
  expect(podOf({}, 'b')).toBeUndefined();
  expect(podOf({ ownerReferences: [{ ...OWNER, controller: false }] }, 'b')).toBeUndefined();
  expect(podOf({ ownerReferences: [{ ...OWNER, apiVersion: 'example.org/v1' }] }, 'b')).toBeUndefined();
  expect(podOf({ ownerReferences: [OWNER] }, 'a')).toBeUndefined();
});

test("a kubelet may change the labels of its pods, so the pod's Job is the one that its owner names", () => {
  const labels = { ...LABELS, 'job-name': 'multinic-agent-i-2-20260101000000' };
  expect(podOf({ labels, ownerReferences: [OWNER] }, 'b')?.job).toBe(JOB);
});

function podWith(status: V1PodStatus): ReturnType<typeof projectPod> {
  const annotations = { 'multinic.io/node': 'b' };
  return projectPod({
    metadata: { name: 'p', uid: 'p1', labels: LABELS, annotations, ownerReferences: [OWNER] },
    spec: { containers: [] },
    status,
  });
}

function container(name: string, state: V1ContainerState): V1ContainerStatus {
  return { name, state, image: '', imageID: '', ready: true, restartCount: 0 };
}

const warning = (message: string): string =>
  projectWarning({
    metadata: {},
    involvedObject: { uid: 'u', namespace: 'net' },
    reason: 'FailedCreate',
    message,
  }).message;

test('a refusal by Pod Security ends with the command that helps', () => {
  const refusal =
    'pods "multinic-agent-x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true), hostPath volumes (volume "host"), runAsUser=0';
  expect(warning(refusal)).toBe(
    'PodSecurity "restricted:latest" forbids the host\'s root, which agents need: kubectl label namespace net pod-security.kubernetes.io/enforce=privileged --overwrite',
  );
});

test('any other warning is told as it is', () => {
  expect(warning('exceeded quota: pods')).toBe('exceeded quota: pods');
});

function injected(proxy: V1ContainerState, agent: V1ContainerState): ReturnType<typeof projectPod> {
  return podWith({
    phase: 'Running',
    containerStatuses: [container('proxy', proxy), container('agent', agent)],
  });
}

describe('a pod with the container of an injector, which never ends,', () => {
  const running = { running: {} };
  const noImage = { waiting: { reason: 'ImagePullBackOff', message: 'no such proxy' } };
  const ended = { terminated: { exitCode: 0, reason: 'Completed', message: '{"result":"Applied"}' } };
  test.each<[string, V1ContainerState, V1ContainerState, object]>([
    ['has ended when its agent has', running, ended, { phase: 'ended', report: '{"result":"Applied"}' }],
    ['runs while its agent runs', ended, running, { phase: 'started' }],
    ['runs, whatever the other container lacks', noImage, running, { phase: 'started' }],
    [
      'has not begun before its agent',
      running,
      { waiting: { reason: 'ContainerCreating' } },
      { phase: 'waiting' },
    ],
  ])('%s', (_, proxy, agent, expected) => {
    expect(injected(proxy, agent)).toMatchObject(expected);
    expect(injected(proxy, agent)).not.toHaveProperty('message', 'no such proxy');
  });
});
