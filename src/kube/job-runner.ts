// Agents as Kubernetes Jobs. What a Job stands for is read from its annotations and its pod each time it is asked;
// every call may come twice, and every object may be changed by somebody else.

import type { V1ContainerState, V1Job, V1Pod } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import { z } from 'zod';
import { MultinicError } from '../api/errors.ts';
import { Outcome } from '../api/outcome.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/port.ts';
import { hasStatus, MERGE_PATCH, type KubeClient } from './client.ts';
import { agentJob, type JobOptions } from './job-manifest.ts';
import { ANNOTATION } from './names.ts';

/** What is kept of a Job. */
export interface AgentJobObject {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly commit: string;
  readonly attempt: number;
  readonly deleting: boolean;
  readonly recorded: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Of its condition Failed, or Complete. */
  readonly ended?: { readonly reason: string; readonly message: string; readonly at: number };
}

/** What is kept of a Job's pod. */
export interface AgentPod {
  readonly name: string;
  readonly uid: string;
  readonly job: string;
  readonly node: string;
  readonly commit: string;
  readonly attempt: number;
  readonly deleting: boolean;
  /** started: its container has begun. */
  readonly phase: 'waiting' | 'started' | 'ended';
  /** Why it does not start, or how it ended. */
  readonly reason?: string;
  readonly message?: string;
  /** The termination message. */
  readonly report?: string;
}

/** As an Informer is read. */
export interface Lookup<T> {
  list(): readonly T[];
}

export interface KubeJobRunnerOptions extends Omit<JobOptions, 'ca'> {
  readonly client: KubeClient;
  readonly jobs: Lookup<AgentJobObject>;
  readonly pods: Lookup<AgentPod>;
  readonly ca: () => string;
  /** Seconds that a Job stays after its outcome is recorded. */
  readonly jobTtl: number;
  /** Something may be due that no object tells of. */
  readonly changed: () => void;
  readonly log: Logger;
  readonly now?: () => number;
}

/** A Job without a pod for so long has been refused one. */
const PODLESS_MS = 5_000;
/** Informers show what was created within moments; after so long it was deleted before they could. */
const UNSEEN_MS = 30_000;

export class KubeJobRunner implements JobRunner {
  readonly #options: KubeJobRunnerOptions;
  readonly #now: () => number;
  /** Created or found, and not shown by the informer yet. */
  readonly #unseen = new Map<string, { readonly status: JobStatus; readonly at: number }>();
  /** Recorded, and not shown so by the informer yet. */
  readonly #forgotten = new Set<string>();
  /** Why a Job has no pod, as its Events say. */
  readonly #refusals = new Map<string, string>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: KubeJobRunnerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  async list(): Promise<readonly JobStatus[]> {
    const jobs = this.#options.jobs.list();
    const pods = Map.groupBy(this.#options.pods.list(), (pod) => pod.job);
    const names = new Set(jobs.map(({ name }) => name));
    for (const name of names) this.#unseen.delete(name);
    for (const name of this.#forgotten) if (!names.has(name)) this.#forgotten.delete(name);
    const statuses: JobStatus[] = [];
    for (const job of jobs) {
      if (job.recorded || this.#forgotten.has(job.name)) await this.#tidy(job);
      else statuses.push(...(await this.#status(job, pods.get(job.name) ?? [])));
    }
    for (const [name, left] of pods) if (!names.has(name)) statuses.push(...left.flatMap(orphan));
    for (const [name, { status, at }] of this.#unseen) {
      if (this.#now() - at > UNSEEN_MS) this.#unseen.delete(name);
      else statuses.push(status);
    }
    return statuses;
  }

  /** @throws MultinicError `JobNameTaken`, KubeError: tried again by a later pass */
  async start(request: JobRequest): Promise<void> {
    const { client } = this.#options;
    const status: JobStatus = {
      name: request.name,
      node: request.node,
      commit: request.commit,
      attempt: request.attempt,
      phase: 'waiting',
    };
    const body = agentJob(request, { ...this.#options, ca: this.#options.ca() });
    try {
      await client.request('POST', this.#path(), { body });
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      const found = projectJob(await client.request<V1Job>('GET', this.#path(request.name)));
      // One that is being deleted is not ours, and one of another commit is somebody else's.
      if (found.deleting || found.commit !== request.commit || found.attempt !== request.attempt) {
        const why = found.deleting ? 'is being deleted' : `is of commit ${found.commit.slice(0, 10)}`;
        throw new MultinicError(
          'JobNameTaken',
          `Job ${request.name} exists and ${why}: tried again when it is gone`,
          { data: { job: request.name } },
        );
      }
      if (found.recorded) return;
    }
    this.#unseen.set(request.name, { status, at: this.#now() });
    this.#later(PODLESS_MS);
    this.#later(this.#options.startLimit * 1000);
  }

  async withdraw(name: string): Promise<void> {
    const started = this.#options.pods.list().some((pod) => pod.job === name && pod.phase !== 'waiting');
    // An agent that starts at this very instant finds that the tip moved on, and touches nothing.
    if (!started) await this.#delete(name);
  }

  /** The Job stays for people for a while; its pod's log with it. */
  async forget(name: string): Promise<void> {
    const { client, jobTtl } = this.#options;
    const body = {
      metadata: { annotations: { [ANNOTATION.recorded]: 'true' } },
      spec: { ttlSecondsAfterFinished: jobTtl },
    };
    this.#forgotten.add(name);
    try {
      await client.request('PATCH', this.#path(name), { body, contentType: MERGE_PATCH });
    } catch (error) {
      if (hasStatus(error, 404)) return;
      this.#forgotten.delete(name);
      throw error;
    }
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #status(job: AgentJobObject, pods: readonly AgentPod[]): Promise<JobStatus[]> {
    const { name, node, commit, attempt } = job;
    const known = { name, node, commit, attempt };
    const reported = pods.find((pod) => pod.report !== undefined && outcomeOf(pod.report) !== undefined);
    if (reported !== undefined)
      return [{ ...known, phase: 'finished', outcome: outcomeOf(reported.report!)! }];
    if (pods.some((pod) => pod.phase === 'started')) return [{ ...known, phase: 'running' }];
    const ended = pods.find((pod) => pod.phase === 'ended');
    if (ended !== undefined) return [{ ...known, phase: 'finished', message: describeEnd(ended, job) }];
    if (job.ended !== undefined) {
      return [{ ...known, phase: 'finished', message: describeLost(job.ended.reason, job.ended.message) }];
    }
    // Somebody deletes it, and nothing of it runs: when it is gone, it is as if it had not been.
    if (job.deleting) return [{ ...known, phase: 'running', message: 'its Job is being deleted' }];
    return [await this.#waiting(job, pods[0], known)];
  }

  async #waiting(
    job: AgentJobObject,
    pod: AgentPod | undefined,
    known: Omit<JobStatus, 'phase'>,
  ): Promise<JobStatus> {
    const age = this.#now() - job.createdAt;
    const message = pod === undefined ? await this.#refusal(job, age) : describeWait(pod);
    if (age < this.#options.startLimit * 1000) {
      return { ...known, phase: 'waiting', ...(message !== undefined && { message }) };
    }
    await this.#delete(job.name, job.uid);
    this.#options.log.warn(
      { job: job.name, node: job.node, reason: message },
      'a job that does not start is deleted',
    );
    return {
      ...known,
      phase: 'finished',
      message: `its pod did not start within ${this.#options.startLimit} s: ${message ?? 'see kubectl describe'}`,
    };
  }

  /** Pod Security, quota and admission refuse pods in Events of the Job, and nowhere else. */
  async #refusal(job: AgentJobObject, age: number): Promise<string | undefined> {
    if (age < PODLESS_MS) return undefined;
    const known = this.#refusals.get(job.name);
    if (known !== undefined) return known;
    const { client, namespace } = this.#options;
    const fieldSelector = `involvedObject.uid=${job.uid},type=Warning`;
    const { items } = await client.request<{ items: { reason?: string; message?: string }[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/events`,
      { query: { fieldSelector } },
    );
    const event = items.at(-1);
    if (event === undefined) return undefined;
    const text = `${event.reason}: ${event.message}`;
    this.#refusals.set(job.name, text);
    return text;
  }

  /** An API before 1.21 has no controller that deletes finished Jobs. */
  async #tidy(job: AgentJobObject): Promise<void> {
    this.#refusals.delete(job.name);
    const { serverVersion, jobTtl, log } = this.#options;
    if (serverVersion.major > 1 || serverVersion.minor >= 21 || job.ended === undefined) return;
    if (this.#now() - job.ended.at < jobTtl * 1000) return;
    await this.#delete(job.name, job.uid).catch((error: unknown) =>
      log.warn({ job: job.name, err: error }, 'an old job could not be deleted'),
    );
  }

  async #delete(name: string, uid?: string): Promise<void> {
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      ...(uid !== undefined && { preconditions: { uid } }),
    };
    try {
      await this.#options.client.request('DELETE', this.#path(name), { body });
    } catch (error) {
      // Gone, or another one of that name by now.
      if (!hasStatus(error, 404, 409)) throw error;
    }
    this.#unseen.delete(name);
    this.#refusals.delete(name);
  }

  #later(ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#options.changed();
    }, ms + 50);
    timer.unref();
    this.#timers.add(timer);
  }

  #path(name?: string): string {
    const jobs = `/apis/batch/v1/namespaces/${this.#options.namespace}/jobs`;
    return name === undefined ? jobs : `${jobs}/${name}`;
  }
}

/** A pod outlives its Job when that is deleted: until it has ended, no other agent may start on its node. */
function orphan({ job: name, node, commit, attempt, phase, report }: AgentPod): JobStatus[] {
  const known = { name, node, commit, attempt };
  if (phase !== 'ended') return [{ ...known, phase: 'running', message: 'its Job was deleted' }];
  const outcome = report === undefined ? undefined : outcomeOf(report);
  return outcome === undefined ? [] : [{ ...known, phase: 'finished', outcome }];
}

export function projectJob({ metadata, status }: V1Job): AgentJobObject {
  const annotations = metadata?.annotations ?? {};
  const ended = status?.conditions?.find(
    ({ type, status: holds }) => holds === 'True' && (type === 'Failed' || type === 'Complete'),
  );
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    node: annotations[ANNOTATION.node] ?? '',
    commit: annotations[ANNOTATION.commit] ?? '',
    attempt: Number(annotations[ANNOTATION.attempt] ?? 0),
    deleting: metadata?.deletionTimestamp !== undefined,
    recorded: annotations[ANNOTATION.recorded] === 'true',
    createdAt: timeOf(metadata?.creationTimestamp),
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
    attempt: Number(metadata?.annotations?.[ANNOTATION.attempt] ?? 0),
    deleting: metadata?.deletionTimestamp !== undefined,
    phase: over ? 'ended' : container?.state?.running === undefined ? 'waiting' : 'started',
    ...why,
    ...(terminated?.message !== undefined && { report: terminated.message }),
  };
}

type Why = Pick<AgentPod, 'reason' | 'message'>;

function endOf(terminated: V1ContainerState['terminated'], status: V1Pod['status']): Why {
  // Eviction and deadline are the pod's own words, a kill for memory the container's.
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

function outcomeOf(report: string): Outcome | undefined {
  try {
    return Outcome.safeParse(JSON.parse(report)).data;
  } catch {
    return undefined;
  }
}

/** A pod that is just being made ready needs no words. */
function describeWait({ reason, message }: AgentPod): string | undefined {
  if (reason === undefined || reason === 'ContainerCreating' || reason === 'PodInitializing')
    return undefined;
  return `its pod does not start: ${reason}${message === undefined ? '' : `, ${message}`}`;
}

function describeEnd(pod: AgentPod, job: AgentJobObject): string {
  const { step, error } = lastWords(pod.report);
  const where = step === undefined ? '' : ` in step ${step}`;
  const why = error === undefined ? '' : `: ${error}`;
  return `${describeLost(pod.reason ?? job.ended?.reason ?? 'Ended', pod.message ?? '')}${where}${why}`;
}

/** What an agent leaves in the termination message before it has a report. */
function lastWords(report: string | undefined): { readonly step?: string; readonly error?: string } {
  try {
    return LastWords.parse(JSON.parse(report ?? ''));
  } catch {
    return {};
  }
}

const LastWords = z.object({ step: z.string().exactOptional(), error: z.string().exactOptional() });

function describeLost(reason: string, message: string): string {
  return `the agent ended without a report (${[reason, message].filter(Boolean).join(': ')})`;
}

/** Milliseconds since 1970; JSON has a text where the library's types have a Date. */
function timeOf(time: Date | string | undefined): number {
  return time === undefined ? 0 : new Date(time).getTime();
}
