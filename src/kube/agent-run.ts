// Projections of an agent's Job, of its pod, and of the Events that say why the Job has no pod.

import type { CoreV1Event, V1ContainerState, V1Job, V1Pod } from '@kubernetes/client-node';
import * as z from 'zod';
import { Observation } from '../api/observation.ts';
import { Outcome } from '../api/outcome.ts';
import { ANNOTATION, LABEL, OBSERVER_COMPONENT } from './cluster-names.ts';
import { JOB_ANNOTATIONS, readAnnotation } from '../api/annotations.ts';

/** The fields of a Job that the runner uses. */
export interface AgentJobObject {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  /** Commit in the annotation, which may be no id. */
  readonly commit: string;
  readonly attempt: number;
  /** Absent: a run. */
  readonly mode?: 'observe';
  /** Milliseconds since 1970, by the API server's clock. */
  readonly created: number;
  /** Creation of the first Job of the name, if it was made again: milliseconds since 1970. */
  readonly waitingSince?: number;
  /** A queue such as Kueue lets the Job wait. */
  readonly suspended?: true;
  /** The Job has ended and never had a pod. */
  readonly podless?: boolean;
  readonly deleting: boolean;
  readonly recorded: boolean;
  /** The condition Failed or Complete, or the condition that announces Failed while a pod has not ended. */
  readonly ended?: {
    readonly reason: string;
    readonly message: string;
    /** Milliseconds since 1970, by the API server's clock. */
    readonly at: number;
  };
}

/** The fields of a Job's pod that the runner uses. */
export interface AgentPod {
  readonly name: string;
  readonly uid: string;
  readonly job: string;
  /** UID of the pod's Job, because another Job of the same name may exist by now. */
  readonly jobUid: string;
  readonly node: string;
  /** Commit in the annotation, which may be no id. */
  readonly commit: string;
  readonly attempt: number;
  /** Absent: a run. */
  readonly mode?: 'observe';
  readonly deleting: boolean;
  /** The Job was withdrawn before the agent began. */
  readonly withdrawn?: true;
  /** started: the container has begun. */
  readonly phase: 'waiting' | 'started' | 'ended';
  /** True if the pod ended and its container never began. */
  readonly unstarted?: true;
  /** The reason why the pod does not start, or how it ended. */
  readonly reason?: string;
  readonly message?: string;
  /** The termination message. */
  readonly report?: string;
}

/** The fields of a warning Event that the runner uses. */
export interface AgentWarning {
  /** UID of the Job or the pod that the Event is about. */
  readonly uid: string;
  readonly reason: string;
  readonly message: string;
}

export function projectJob({ metadata, spec, status }: V1Job): AgentJobObject {
  const annotations = metadata?.annotations ?? {};
  const holds = (status?.conditions ?? []).filter((each) => each.status === 'True');
  const ended =
    holds.find(({ type }) => type === 'Failed' || type === 'Complete') ??
    holds.find(({ type }) => type === 'FailureTarget');
  const waitingSince = readAnnotation(annotations, JOB_ANNOTATIONS.waitingSince);
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    node: annotations[ANNOTATION.node] ?? '',
    commit: annotations[ANNOTATION.commit] ?? '',
    attempt: readAnnotation(annotations, JOB_ANNOTATIONS.attempt) ?? 0,
    ...modeOf(metadata?.labels),
    created: timeOf(metadata?.creationTimestamp),
    ...(waitingSince !== undefined && { waitingSince }),
    ...(spec?.suspend === true && { suspended: true }),
    ...(ended !== undefined && podsOf(status) === 0 && { podless: true }),
    deleting: metadata?.deletionTimestamp !== undefined,
    recorded: readAnnotation(annotations, JOB_ANNOTATIONS.recorded) ?? false,
    ...(ended !== undefined && {
      ended: {
        reason: ended.reason ?? ended.type,
        message: ended.message ?? '',
        at: timeOf(ended.lastTransitionTime),
      },
    }),
  };
}

function modeOf(labels: Readonly<Record<string, string>> = {}): { readonly mode?: 'observe' } {
  return labels[LABEL.component] === OBSERVER_COMPONENT ? { mode: 'observe' } : {};
}

/** Number of pods that a Job had or has. */
function podsOf(status: V1Job['status']): number {
  return (status?.active ?? 0) + (status?.failed ?? 0) + (status?.succeeded ?? 0);
}

/** Reasons of a container runtime that could not start a container. */
const NOT_STARTED: ReadonlySet<string> = new Set(['StartError', 'ContainerCannotRun']);

/**
 * The pod of an agent; undefined: no Job owns the pod, or the pod is on another node than its annotation says. A
 * kubelet may forge labels and annotations of its pods, but not their owner and node.
 */
export function projectPod({ metadata, spec, status }: V1Pod): AgentPod | undefined {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  const isOfJob = owner?.kind === 'Job' && owner.apiVersion.startsWith('batch/');
  const node = metadata?.annotations?.[ANNOTATION.node] ?? spec?.nodeName ?? '';
  // The scheduler sets the field a moment after the pod was made.
  if (!isOfJob || (spec?.nodeName ?? node) !== node) return undefined;
  const container = status?.containerStatuses?.find(({ name }) => name === 'agent');
  const terminated = container?.state?.terminated ?? container?.lastState?.terminated;
  const began = terminated !== undefined && !NOT_STARTED.has(terminated.reason ?? '');
  const over = status?.phase === 'Succeeded' || status?.phase === 'Failed' || terminated !== undefined;
  const why = over ? endOf(terminated, status) : waitOf(container?.state, status);
  const withdrawn = readAnnotation(metadata?.annotations, JOB_ANNOTATIONS.withdrawn);
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    job: owner.name,
    jobUid: owner.uid,
    node,
    commit: metadata?.annotations?.[ANNOTATION.commit] ?? '',
    attempt: readAnnotation(metadata?.annotations, JOB_ANNOTATIONS.attempt) ?? 0,
    ...modeOf(metadata?.labels),
    deleting: metadata?.deletionTimestamp !== undefined,
    ...(withdrawn === true && { withdrawn }),
    phase: over ? 'ended' : container?.state?.running === undefined ? 'waiting' : 'started',
    ...(over && !began && { unstarted: true }),
    ...why,
    ...(began && terminated.message !== undefined && { report: terminated.message }),
  };
}

/** Name of a pod's Job. Kubernetes before 1.27 has the second label only. */
export function jobOf(labels: Readonly<Record<string, string>> | undefined): string {
  return labels?.['batch.kubernetes.io/job-name'] ?? labels?.['job-name'] ?? '';
}

export function projectWarning({ involvedObject, reason, message }: CoreV1Event): AgentWarning {
  const { uid = '', namespace = '' } = involvedObject;
  return { uid, reason: reason ?? '', message: withRemedy(message ?? '', namespace) };
}

/** Pod Security lists every rule that a pod breaks, in 600 characters, and names no remedy. */
function withRemedy(message: string, namespace: string): string {
  const [, level] = /violates PodSecurity "([^"]+)"/.exec(message) ?? [];
  if (level === undefined) return message;
  const command = `kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=privileged --overwrite`;
  return `PodSecurity "${level}" forbids the host's root, which agents need: ${command}`;
}

/** The report of the pod's agent; undefined if the agent made none. */
export function outcomeOf({ report }: AgentPod): Outcome | undefined {
  return Outcome.safeParse(parsed(report)).data;
}

/** The report of the pod's observation; undefined if the agent made none. */
export function observationOf({ report }: AgentPod): Observation | undefined {
  return Observation.safeParse(parsed(report)).data;
}

/** Steps of the agent that change nothing on the host. */
const EARLY: ReadonlySet<string> = new Set([
  'lock',
  'checkout',
  'tree',
  'detect',
  'plan',
  'preflight',
  'validate',
]);

/**
 * Whether a pod that ended was a run of the agent. A pod is no run if its container never started, or if its Job was
 * withdrawn before the agent did anything on the host.
 */
export function hasRun(pod: AgentPod): boolean {
  if (pod.unstarted === true) return false;
  if (pod.withdrawn !== true) return true;
  const outcome = outcomeOf(pod);
  if (outcome !== undefined) return outcome.result !== 'Failed' || !EARLY.has(outcome.step);
  const { step } = LastWords.safeParse(parsed(pod.report)).data ?? {};
  return step !== undefined && !EARLY.has(step);
}

/**
 * The reason why a Job has not started, from the kubelet and the newest Event; undefined while nothing is unusual. Pod
 * Security, quota and admission refuse a pod in Events of its Job; a kubelet reports volumes and images in Events of
 * the pod.
 */
export function describeWait(
  job: AgentJobObject,
  pod: AgentPod | undefined,
  warnings: readonly AgentWarning[],
): string | undefined {
  if (job.suspended === true) return 'its Job is suspended: a queue such as Kueue lets it wait';
  const about = pod?.uid ?? job.uid;
  const warning = warnings.findLast(({ uid }) => uid === about);
  const event = warning && `${warning.reason}: ${warning.message}`;
  if (pod === undefined) return event;
  if (event === undefined && (pod.reason === undefined || STARTING.has(pod.reason))) return undefined;
  const reason = [pod.reason, pod.message].filter(Boolean).join(', ');
  return `its pod does not start: ${[reason, event].filter(Boolean).join('; ')}`;
}

/** Reasons of a pod that is being made ready. */
const STARTING: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing']);

/** The end of a run without a report, with the last step that its agent named. */
export function describeEnd(pod: AgentPod | undefined, job: AgentJobObject | undefined): string {
  const { step, error } = LastWords.safeParse(parsed(pod?.report)).data ?? {};
  // A pod that its Job's deadline ends says no more than that it was killed.
  const words = [
    ...(job?.ended !== undefined && (pod?.reason === undefined || job.ended.reason === DEADLINE)
      ? [job.ended]
      : []),
    ...(pod?.reason === undefined ? [] : [pod]),
  ].map(({ reason, message }) => [reason, message].filter(Boolean).join(': '));
  const where = step === undefined ? '' : ` in step ${step}`;
  const why = error === undefined ? '' : `: ${error}`;
  return `the agent ended without a report (${words.join('; ') || 'its Job was deleted'})${where}${why}`;
}

/** The reason of a Job that lived too long, which Kubernetes ends with its pods. */
const DEADLINE = 'DeadlineExceeded';

/** The termination message of an agent that has no report yet. */
const LastWords = z.object({ step: z.string().exactOptional(), error: z.string().exactOptional() });

function parsed(report: string | undefined): unknown {
  try {
    return JSON.parse(report ?? '');
  } catch {
    return undefined;
  }
}

type Why = Pick<AgentPod, 'reason' | 'message'>;

function endOf(terminated: V1ContainerState['terminated'], status: V1Pod['status']): Why {
  // The pod's status names eviction and deadline; the container's names a kill for memory.
  const reason = status?.reason ?? terminated?.reason;
  const cannot = NOT_STARTED.has(terminated?.reason ?? '') ? terminated?.message : undefined;
  const message = status?.message ?? cannot ?? (terminated && `exit code ${terminated.exitCode}`);
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

function waitOf(state: V1ContainerState | undefined, status: V1Pod['status']): Why {
  const unscheduled = status?.conditions?.find(
    ({ type, status: holds }) => type === 'PodScheduled' && holds === 'False',
  );
  const before = status?.initContainerStatuses?.find(
    ({ state: each }) => each?.waiting !== undefined && !STARTING.has(each.waiting.reason ?? ''),
  );
  const { reason, message } = before?.state?.waiting ?? state?.waiting ?? unscheduled ?? {};
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

/** Milliseconds since 1970; JSON has a text where the library's types have a Date. */
function timeOf(time: Date | string | undefined): number {
  return time === undefined ? 0 : new Date(time).getTime();
}
