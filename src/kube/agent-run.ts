// Projections of an agent's Job, of its pod, and of the Events that say why the Job has no pod.

import type { CoreV1Event, V1ContainerState, V1Job, V1Pod } from '@kubernetes/client-node';
import * as z from 'zod';
import { Outcome } from '../api/outcome.ts';
import { ANNOTATION } from './cluster-names.ts';
import { JOB_ANNOTATIONS, readAnnotation } from '../api/annotations.ts';

/** The fields of a Job that the runner uses. */
export interface AgentJobObject {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly commit: string;
  readonly attempt: number;
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
  readonly node: string;
  readonly commit: string;
  readonly attempt: number;
  readonly deleting: boolean;
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

/** The fields of a Job's warning Event that the runner uses. */
export interface AgentWarning {
  /** UID of the Job. */
  readonly uid: string;
  readonly reason: string;
  readonly message: string;
}

export function projectJob({ metadata, status }: V1Job): AgentJobObject {
  const annotations = metadata?.annotations ?? {};
  const holds = (status?.conditions ?? []).filter((each) => each.status === 'True');
  const ended =
    holds.find(({ type }) => type === 'Failed' || type === 'Complete') ??
    holds.find(({ type }) => type === 'FailureTarget');
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    node: annotations[ANNOTATION.node] ?? '',
    commit: annotations[ANNOTATION.commit] ?? '',
    attempt: readAnnotation(annotations, JOB_ANNOTATIONS.attempt) ?? 0,
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

export function projectPod({ metadata, spec, status }: V1Pod): AgentPod {
  const container = status?.containerStatuses?.find(({ name }) => name === 'agent');
  const terminated = container?.state?.terminated ?? container?.lastState?.terminated;
  const over = status?.phase === 'Succeeded' || status?.phase === 'Failed' || terminated !== undefined;
  const why = over ? endOf(terminated, status) : waitOf(container?.state, status);
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    job: metadata?.labels?.['job-name'] ?? '',
    node: metadata?.annotations?.[ANNOTATION.node] ?? spec?.nodeName ?? '',
    commit: metadata?.annotations?.[ANNOTATION.commit] ?? '',
    attempt: readAnnotation(metadata?.annotations, JOB_ANNOTATIONS.attempt) ?? 0,
    deleting: metadata?.deletionTimestamp !== undefined,
    phase: over ? 'ended' : container?.state?.running === undefined ? 'waiting' : 'started',
    ...(over && terminated === undefined && { unstarted: true }),
    ...why,
    ...(terminated?.message !== undefined && { report: terminated.message }),
  };
}

export function projectWarning({ involvedObject, reason, message }: CoreV1Event): AgentWarning {
  return { uid: involvedObject.uid ?? '', reason: reason ?? '', message: message ?? '' };
}

/** The report of the pod's agent; undefined if the agent made none. */
export function outcomeOf({ report }: AgentPod): Outcome | undefined {
  return Outcome.safeParse(parsed(report)).data;
}

/** The reason why a pod does not start, in words; undefined for a pod that is merely starting. */
export function describeWait({ reason, message }: AgentPod): string | undefined {
  if (reason === undefined || reason === 'ContainerCreating' || reason === 'PodInitializing')
    return undefined;
  return `its pod does not start: ${reason}${message === undefined ? '' : `, ${message}`}`;
}

/** The end of a run without a report, with the last step that its agent named. */
export function describeEnd(pod: AgentPod | undefined, job: AgentJobObject | undefined): string {
  const { step, error } = LastWords.safeParse(parsed(pod?.report)).data ?? {};
  const reason = pod?.reason ?? job?.ended?.reason ?? 'its Job was deleted';
  const message = pod?.reason === undefined ? job?.ended?.message : pod.message;
  const where = step === undefined ? '' : ` in step ${step}`;
  const why = error === undefined ? '' : `: ${error}`;
  return `the agent ended without a report (${[reason, message].filter(Boolean).join(': ')})${where}${why}`;
}

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
  const message = status?.message ?? (terminated && `exit code ${terminated.exitCode}`);
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

function waitOf(state: V1ContainerState | undefined, status: V1Pod['status']): Why {
  const unscheduled = status?.conditions?.find(
    ({ type, status: holds }) => type === 'PodScheduled' && holds === 'False',
  );
  const { reason, message } = state?.waiting ?? unscheduled ?? {};
  return { ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

/** Milliseconds since 1970; JSON has a text where the library's types have a Date. */
function timeOf(time: Date | string | undefined): number {
  return time === undefined ? 0 : new Date(time).getTime();
}
