// The Job that runs the agent on a node, and the pod that lets a person look at one. Pure.

import type { V1Container, V1Job, V1Pod, V1PodSpec, V1PodTemplateSpec } from '@kubernetes/client-node';
import { NODE_ADDRESS_VARIABLE, type AgentJob } from '../api/job.ts';
import type { PodSettings } from './pod-settings.ts';
import type { JobRequest } from '../scheduler/job-port.ts';
import { jobNodeId } from '../scheduler/job-name.ts';
import {
  AGENT_ACCOUNT,
  AGENT_COMPONENT,
  AGENT_PATH,
  ANNOTATION,
  AUDIENCE,
  LABEL,
  NAME,
  OBSERVER_COMPONENT,
  OBSERVER_NAME,
  PRIORITY_CLASS,
} from './cluster-names.ts';

export interface ManifestOptions {
  readonly namespace: string;
  readonly image: string;
  /** `Always`, `IfNotPresent`, `Never`. */
  readonly imagePullPolicy: string;
  readonly serverVersion: { readonly major: number; readonly minor: number };
  readonly imagePullSecrets: readonly string[];
  readonly settings: PodSettings;
}

/** Where an agent finds the store, and how the agent knows it. */
export interface StoreAccess {
  /** `https://10.96.0.7:8443/git` */
  readonly storeUrl: string;
  /** PEM. */
  readonly ca: string;
  /** DNS name in the store's certificate. */
  readonly serverName: string;
}

export interface JobOptions extends ManifestOptions, StoreAccess {
  /** Addresses of API servers and of the store. */
  readonly peers: readonly string[];
  /** Creation of the first Job of the name, if it was made again: milliseconds since 1970. */
  readonly waitingSince?: number;
}

/** Longest time that a Job waits for its pod before it is made again. */
export const MAX_WAIT_SECONDS = 600;

/** Restoring a host takes longer than a pod's usual 30 seconds. */
export const GRACE_SECONDS = 90;
const SHELL_SECONDS = 3600;
/** The agent peaks at about 90 MiB. A limit on the CPU keeps a LimitRange from giving it a tenth of one. */
const RESOURCES = { requests: { cpu: '10m', memory: '96Mi' }, limits: { cpu: '1', memory: '256Mi' } };
/** A sidecar of a mesh never ends, so the Job would never end either. */
const NO_SIDECAR = { 'sidecar.istio.io/inject': 'false', 'linkerd.io/inject': 'disabled' };

export function agentJob(request: JobRequest, options: JobOptions): V1Job {
  const { nodeId, attempt, ...rest } = request;
  const job: AgentJob = {
    version: 1,
    ...rest,
    url: options.storeUrl,
    tokenFile: AGENT_PATH.token,
    caFile: AGENT_PATH.ca,
    serverName: options.serverName,
    ...(options.peers.length > 0 && { peers: [...options.peers] }),
  };
  const annotations = {
    [ANNOTATION.node]: request.node,
    [ANNOTATION.commit]: request.commit,
    [ANNOTATION.attempt]: String(attempt),
  };
  const since = options.waitingSince === undefined ? undefined : new Date(options.waitingSince).toISOString();
  const labels = request.mode === 'observe' ? OBSERVER_LABELS : agentLabels(nodeId);
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: request.name,
      namespace: options.namespace,
      labels,
      annotations: { ...annotations, ...(since !== undefined && { [ANNOTATION.waitingSince]: since }) },
    },
    spec: {
      backoffLimit: 0,
      // Counts from the Job's creation, so the time that the pod takes to start is in it; the agent's own deadline
      // comes first, and leaves it time to restore the host.
      activeDeadlineSeconds: MAX_WAIT_SECONDS + request.deadlineSeconds + GRACE_SECONDS,
      template: podTemplate(request.node, labels, options, {
        annotations: { ...annotations, [ANNOTATION.job]: JSON.stringify(job), [ANNOTATION.ca]: options.ca },
        args: [
          'agent',
          request.mode ?? 'apply',
          '--job',
          AGENT_PATH.job,
          '--root',
          AGENT_PATH.host,
          '--outcome',
          AGENT_PATH.outcome,
        ],
        inputs: true,
      }),
    },
  };
}

/** A pod on the node with the same rights and the same view of the host, for `kubectl exec`; it ends by itself. */
export function shellPod(node: string, options: ManifestOptions): V1Pod {
  const labels = { [LABEL.name]: NAME, [LABEL.component]: 'shell' };
  const template = podTemplate(node, labels, options, {
    annotations: { [ANNOTATION.node]: node },
    command: ['sleep', String(SHELL_SECONDS)],
    inputs: false,
  });
  const { metadata, spec } = template;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, namespace: options.namespace, generateName: 'multinic-shell-' },
    spec: { ...spec!, activeDeadlineSeconds: SHELL_SECONDS },
  };
}

/** An observation has no label with its node, because operators take the newest Job with that label for a run. */
const OBSERVER_LABELS = {
  [LABEL.name]: OBSERVER_NAME,
  [LABEL.partOf]: NAME,
  [LABEL.component]: OBSERVER_COMPONENT,
};

/** Operators select by the ID as they wrote it, if a label can hold that. */
function agentLabels(nodeId: string): Record<string, string> {
  const instance = LABEL_VALUE.test(nodeId) ? nodeId : jobNodeId(nodeId);
  return { [LABEL.name]: NAME, [LABEL.component]: AGENT_COMPONENT, [LABEL.instance]: instance };
}

const LABEL_VALUE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

interface Content {
  readonly annotations: Readonly<Record<string, string>>;
  readonly args?: string[];
  readonly command?: string[];
  /** Whether the pod reads a job, a CA and a token. */
  readonly inputs: boolean;
}

function podTemplate(
  node: string,
  labels: Record<string, string>,
  options: ManifestOptions,
  content: Content,
): V1PodTemplateSpec {
  const spec: V1PodSpec = {
    // matchFields instead of nodeName: the scheduler places the pod on exactly this node and sees whether the node is
    // full or tainted. A label, which a kubelet may choose itself, cannot attract the pod.
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
        },
      },
    },
    tolerations: [{ operator: 'Exists' }],
    priorityClassName: options.settings.priorityClassName ?? PRIORITY_CLASS,
    hostNetwork: true,
    dnsPolicy: 'Default',
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: GRACE_SECONDS,
    serviceAccountName: AGENT_ACCOUNT,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    imagePullSecrets: options.imagePullSecrets.map((name) => ({ name })),
    containers: [agentContainer(options, content)],
    volumes: [
      { name: 'host', hostPath: { path: '/' } },
      { name: 'tmp', emptyDir: {} },
      ...(content.inputs ? inputs() : []),
    ],
  };
  return {
    metadata: {
      labels: { ...options.settings.labels, 'sidecar.istio.io/inject': 'false', ...labels },
      annotations: {
        ...NO_SIDECAR,
        ...options.settings.annotations,
        ...content.annotations,
        ...(!hasAppArmorField(options) && {
          'container.apparmor.security.beta.kubernetes.io/agent': 'unconfined',
        }),
      },
    },
    spec,
  };
}

/** The API server refuses the field together with a different annotation, and does not know it before 1.30. */
function hasAppArmorField({ serverVersion: { major, minor } }: ManifestOptions): boolean {
  return major > 1 || minor >= 30;
}

function agentContainer(options: ManifestOptions, content: Content): V1Container {
  return {
    name: 'agent',
    image: options.image,
    imagePullPolicy: options.imagePullPolicy,
    ...(content.args !== undefined && { args: content.args }),
    ...(content.command !== undefined && { command: content.command }),
    terminationMessagePath: AGENT_PATH.outcome,
    terminationMessagePolicy: 'File',
    env: [{ name: NODE_ADDRESS_VARIABLE, valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } }],
    resources: options.settings.resources ?? RESOURCES,
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN', 'SYS_CHROOT'] },
      seLinuxOptions: { type: 'spc_t' },
      ...(hasAppArmorField(options) && { appArmorProfile: { type: 'Unconfined' } }),
    },
    volumeMounts: [
      { name: 'host', mountPath: AGENT_PATH.host, mountPropagation: 'HostToContainer' },
      { name: 'tmp', mountPath: '/tmp' },
      ...(content.inputs
        ? [
            { name: 'job', mountPath: dirOf(AGENT_PATH.job), readOnly: true },
            { name: 'token', mountPath: dirOf(AGENT_PATH.token), readOnly: true },
          ]
        : []),
    ],
  };
}

function inputs(): NonNullable<V1PodSpec['volumes']> {
  return [
    {
      name: 'job',
      downwardAPI: {
        items: [item(ANNOTATION.job, AGENT_PATH.job), item(ANNOTATION.ca, AGENT_PATH.ca)],
      },
    },
    {
      name: 'token',
      projected: {
        sources: [{ serviceAccountToken: { path: 'token', audience: AUDIENCE, expirationSeconds: 600 } }],
      },
    },
  ];
}

/** A file whose content is an annotation of the pod. */
function item(annotation: string, path: string): { path: string; fieldRef: { fieldPath: string } } {
  return {
    path: path.slice(dirOf(path).length + 1),
    fieldRef: { fieldPath: `metadata.annotations['${annotation}']` },
  };
}

function dirOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
