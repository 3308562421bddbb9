// Runs agents as Kubernetes Jobs. The runner reads a Job's state from its annotations and its pod each time, because a
// call may come twice and anybody may change any object.

import type { V1Job, V1Pod } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import { MultinicError } from '../api/errors.ts';
import { jobStamp } from '../scheduler/job-name.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/job-port.ts';
import {
  describeEnd,
  describeWait,
  hasRun,
  observationOf,
  outcomeOf,
  projectJob,
  projectPod,
  type AgentJobObject,
  type AgentPod,
  type AgentWarning,
} from './agent-run.ts';
import { hasStatus, MERGE_PATCH, type KubeClient } from './client.ts';
import {
  agentJob,
  GRACE_SECONDS,
  MAX_WAIT_SECONDS,
  type JobOptions,
  type StoreAccess,
} from './job-manifest.ts';
import { ANNOTATION } from './cluster-names.ts';

/** The part of an Informer that is read. */
export interface Lookup<T> {
  list(): readonly T[];
}

export interface KubeJobRunnerOptions extends Omit<JobOptions, keyof StoreAccess | 'peers' | 'waitingSince'> {
  readonly client: KubeClient;
  readonly jobs: Lookup<AgentJobObject>;
  readonly pods: Lookup<AgentPod>;
  /** Events of the Jobs and of their pods, oldest first. */
  readonly warnings: Lookup<AgentWarning>;
  readonly store: () => StoreAccess;
  readonly peers: () => Promise<readonly string[]>;
  /** Seconds after which a Job that has not started gives way to other nodes. */
  readonly startLimit: number;
  /** Seconds that a Job stays after its outcome is recorded. */
  readonly jobTtl: number;
  /** Called when something may be due without an event of an object. */
  readonly changed: () => void;
  readonly log: Logger;
  readonly now?: () => number;
}

/** Time after which a created object that no informer shows counts as deleted; informers need moments. */
const UNSEEN_MS = 30_000;
/** Time after which a pod that must end and does not counts as lost, because its node does not answer. */
const LINGER_MS = (GRACE_SECONDS + 60) * 1000;
/** Shortest time before a Job that does not start is made again: its pod waits, or its pod has ended. */
const WAITING_MS = 300_000;
const ENDED_MS = 60_000;
/** Limit of the stamp of a pod without a Job: every later Job of the node gets a later stamp. */
const AHEAD_MS = 24 * 3_600_000;

/** Time after which a name that was not used again is forgotten. */
const FORGET_MS = 3_600_000;
/** Time that the API server gets to delete a Job before the runner uses its name again. */
const DELETING_MS = 1_000;

/** A Job that was deleted because its agent did not begin. */
interface Postponed {
  /** Creation of the first Job of the name, and deletion of the newest: milliseconds since 1970. */
  readonly since: number;
  readonly at: number;
  /** Status in the list until the Job is started again. */
  readonly status?: JobStatus;
}

/** The fields that a JobStatus has in any phase. */
type Known = Omit<JobStatus, 'phase' | 'outcome' | 'observation' | 'message'>;

export class KubeJobRunner implements JobRunner {
  readonly #options: KubeJobRunnerOptions;
  readonly #now: () => number;
  /** Jobs that were created or found, and that the informer does not show yet. */
  readonly #unseen = new Map<string, { readonly status: JobStatus; readonly at: number }>();
  /** Jobs with a recorded outcome. The informer may lag behind, and a pod may outlive its Job. */
  readonly #recorded = new Set<string>();
  /** Jobs that were deleted because they did not start, by name. */
  readonly #postponed = new Map<string, Postponed>();
  /** Time of the first sight of each object, by this process's clock, because the API server's may differ. */
  readonly #since = new Map<string, number>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: KubeJobRunnerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  async list(): Promise<readonly JobStatus[]> {
    const jobs = new Map(this.#options.jobs.list().map((job) => [job.name, job]));
    const pods = Map.groupBy(
      this.#options.pods.list().filter((pod) => this.#counts(pod, jobs.get(pod.job))),
      (pod) => pod.job,
    );
    const names = new Set([...jobs.keys(), ...pods.keys()]);
    this.#prune(names);
    const statuses: JobStatus[] = [];
    for (const name of names) {
      const status = await this.#status(name, jobs.get(name), pods.get(name) ?? []);
      if (status !== undefined) statuses.push(status);
    }
    for (const { status } of this.#unseen.values()) statuses.push(status);
    const listed = new Set(statuses.map(({ name }) => name));
    for (const [name, { status }] of this.#postponed)
      if (status !== undefined && !listed.has(name)) statuses.push(status);
    return statuses;
  }

  /** @throws MultinicError `JobNameTaken`, KubeError: tried again by a later pass */
  async start(request: JobRequest): Promise<void> {
    const { client } = this.#options;
    const { name, node, commit, attempt, mode } = request;
    try {
      const { store, peers, ...options } = this.#options;
      const waitingSince = this.#postponed.get(name)?.since;
      const body = agentJob(request, {
        ...options,
        ...store(),
        peers: await peers(),
        ...(waitingSince !== undefined && { waitingSince }),
      });
      await client.request('POST', this.#path(), { body });
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      await this.#expectSameRequest(request);
    }
    this.#unseen.set(name, {
      status: { name, node, commit, attempt, ...(mode !== undefined && { mode }), phase: 'waiting' },
      at: this.#now(),
    });
    const { since, at } = this.#postponed.get(name) ?? {};
    if (since !== undefined && at !== undefined) this.#postponed.set(name, { since, at });
    this.#later(UNSEEN_MS);
  }

  async withdraw(name: string, { again = false }: { readonly again?: boolean } = {}): Promise<void> {
    const pods = this.#options.pods.list().filter((pod) => pod.job === name);
    if (pods.some(({ phase }) => phase === 'started')) return;
    const job = this.#options.jobs.list().find((each) => each.name === name);
    await this.#take(name, job?.uid, pods);
    if (!again) this.#postponed.delete(name);
    else if (job !== undefined) {
      const waited = job.created - (job.waitingSince ?? job.created) + this.#seenFor(job.uid);
      this.#postpone(job, pods[0], pauseAfter(waited, ENDED_MS));
      this.#options.log.info(
        { job: name, node: job.node },
        'the job does not start, so other nodes go first',
      );
    }
  }

  /**
   * Deletes a Job. Its agent may begin at this instant, so the pod is marked first: the mark outlives the Job and this
   * process.
   */
  async #take(name: string, uid: string | undefined, pods: readonly AgentPod[]): Promise<void> {
    for (const pod of pods) if (pod.phase === 'waiting') await this.#markWithdrawn(pod);
    await this.#delete(name, uid);
  }

  /** Lists a deleted Job, so that its node waits and the status names the reason. */
  #postpone(job: AgentJobObject, pod: AgentPod | undefined, pauseMs: number): void {
    const { name, node, commit, attempt, mode, created, waitingSince: since = created } = job;
    const at = this.#now();
    const message = this.#lateWords(job, pod);
    const status = {
      name,
      node,
      commit,
      attempt,
      phase: 'waiting',
      late: true,
      retryAt: at + pauseMs,
      message,
    } as const;
    this.#postponed.set(name, { since, at, ...(mode === undefined && { status }) });
    this.#later(pauseMs);
  }

  /**
   * Marks the Job of a run as recorded. The Job and its pod's log stay for people for a while; that of an observation
   * goes at once, because there may be thousands of observations in an hour.
   */
  async forget(name: string): Promise<void> {
    const job = this.#options.jobs.list().find((each) => each.name === name);
    const pod = this.#options.pods.list().find((each) => each.job === name);
    if ((job ?? pod)?.mode === 'observe') {
      await this.#delete(name, job?.uid);
      this.#recorded.add(name);
      return;
    }
    const body = {
      metadata: { annotations: { [ANNOTATION.recorded]: 'true' } },
      spec: { ttlSecondsAfterFinished: this.#options.jobTtl },
    };
    try {
      await this.#options.client.request('PATCH', this.#path(name), { body, contentType: MERGE_PATCH });
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
    this.#recorded.add(name);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Refuses a found Job that is being deleted, that has another commit, or whose outcome is recorded. */
  async #expectSameRequest({ name, commit, attempt }: JobRequest): Promise<void> {
    const found = projectJob(await this.#options.client.request<V1Job>('GET', this.#path(name)));
    const same = found.commit === commit && found.attempt === attempt;
    if (same && !found.deleting && !found.recorded) return;
    // The store was restored from a backup without this run, so the Job must be made again.
    if (same && found.recorded && !found.deleting) await this.#delete(name, found.uid);
    const why = same ? 'is being deleted' : `is of commit ${found.commit.slice(0, 10)}`;
    throw new MultinicError('JobNameTaken', `Job ${name} exists and ${why}: tried again when it is gone`, {
      data: { job: name },
    });
  }

  /**
   * Whether a pod may report about its Job's node. If the Job is gone, only the pod's own annotations give the Job's
   * name.
   */
  #counts({ job: name, node }: AgentPod, job: AgentJobObject | undefined): boolean {
    if (job !== undefined) return node === job.node;
    return (jobStamp(name) ?? 0) * 1000 <= this.#now() + AHEAD_MS;
  }

  async #status(
    name: string,
    job: AgentJobObject | undefined,
    pods: readonly AgentPod[],
  ): Promise<JobStatus | undefined> {
    const { node, commit, attempt, mode } = job ?? pods[0]!;
    const known: Known = { name, node, commit, attempt, ...(mode !== undefined && { mode }) };
    const living =
      pods.find(({ phase }) => phase === 'started') ?? pods.find(({ phase }) => phase !== 'ended');
    if (job?.recorded === true || this.#recorded.has(name)) {
      if (job !== undefined) await this.#tidy(job);
      if (living === undefined) return undefined;
      return {
        ...known,
        phase: 'running',
        recorded: true,
        message: 'its outcome is recorded, and its pod has not ended yet',
      };
    }
    // A pod of an earlier Job of the name keeps the node busy, and its report says nothing about this Job.
    const own = job === undefined ? pods : pods.filter((pod) => isOf(pod, job));
    const reported = finished(known, own);
    if (reported !== undefined) return reported;
    if (living !== undefined) return await this.#living(known, job, living);
    const ran = own.find(hasRun);
    if (ran !== undefined) return { ...known, phase: 'finished', message: describeEnd(ran, job) };
    // A Job that was withdrawn or deleted before its agent began counts as never created.
    if (job === undefined) return undefined;
    if (job.deleting) return { ...known, phase: 'running', message: 'its Job is being deleted' };
    const [unstarted] = own;
    if (job.ended !== undefined && unstarted === undefined) return await this.#findReport(known, job);
    return await this.#waiting(known, job, unstarted);
  }

  /** Pods that outlive their deleted Job: until such a pod ends, no other agent may start on its node. */
  async #living(known: Known, job: AgentJobObject | undefined, pod: AgentPod): Promise<JobStatus> {
    const ending = job === undefined || job.ended !== undefined || job.deleting || pod.deleting;
    if (!ending && isOf(pod, job)) {
      return pod.phase === 'started' ? { ...known, phase: 'running' } : await this.#waiting(known, job, pod);
    }
    if (this.#age(`${pod.uid}/due`, LINGER_MS) >= LINGER_MS) {
      const message = `${describeEnd(undefined, job)}; its pod ${pod.name} has not ended: its node may be down`;
      return { ...known, phase: 'finished', message };
    }
    return {
      ...known,
      phase: 'running',
      message: job === undefined ? 'its Job was deleted' : 'its pod ends',
    };
  }

  /** Asks the API server for a report before it counts as lost: the watch of Jobs may be ahead of the watch of pods. */
  async #findReport(known: Known, job: AgentJobObject): Promise<JobStatus> {
    const { client, namespace } = this.#options;
    const { items } = await client.request<{ items: V1Pod[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/pods`,
      {
        query: { labelSelector: `job-name=${job.name}` },
      },
    );
    const pods = items.flatMap((item) => projectPod(item) ?? []).filter((pod) => isOf(pod, job));
    const reported = finished(known, pods);
    if (reported !== undefined) return reported;
    if (pods.some(({ phase }) => phase !== 'ended'))
      return { ...known, phase: 'running', message: 'its pod ends' };
    const unstarted = pods.find((pod) => !hasRun(pod));
    if (unstarted !== undefined || job.podless === true) return await this.#waiting(known, job, unstarted);
    return { ...known, phase: 'finished', message: describeEnd(pods[0], job) };
  }

  /**
   * State of a Job whose agent has not begun. The Job goes on trying, and is made again under its name from time to
   * time.
   */
  async #waiting(known: Known, job: AgentJobObject, pod: AgentPod | undefined): Promise<JobStatus> {
    const limitMs = this.#options.startLimit * 1000;
    const reason = describeWait(job, pod, this.#options.warnings.list());
    const late = this.#age(job.uid, limitMs) >= limitMs;
    const leftMs = this.#leftOf(job);
    if (leftMs <= 0) await this.#deleteToMakeAgain(job, pod);
    if (!late && job.ended === undefined)
      return { ...known, phase: 'waiting', ...(reason !== undefined && { message: reason }) };
    const message = this.#lateWords(job, pod);
    if (job.ended !== undefined) {
      const retryAt = this.#now() + Math.max(leftMs, DELETING_MS);
      return { ...known, phase: 'waiting', late: true, retryAt, message };
    }
    // A queue that suspends a Job keeps the Job's place in its own order.
    const stuck = reason !== undefined && job.suspended !== true;
    return { ...known, phase: 'waiting', late: true, ...(stuck && { stuck }), since: job.created, message };
  }

  /**
   * Remaining time, in milliseconds, of a Job whose agent has not begun. Each further Job of a run lives longer, up to
   * ten minutes.
   */
  #leftOf(job: AgentJobObject): number {
    if (job.suspended === true) return Infinity;
    const waited = job.created - (job.waitingSince ?? job.created);
    const [state, shortest] = job.ended === undefined ? ['waiting', WAITING_MS] : ['ended', ENDED_MS];
    const pause = pauseAfter(waited, shortest);
    return pause - this.#age(`${job.uid}/${state}`, pause);
  }

  async #deleteToMakeAgain(job: AgentJobObject, pod: AgentPod | undefined): Promise<void> {
    await this.#take(job.name, job.uid, pod === undefined ? [] : [pod]);
    this.#postpone(job, pod, DELETING_MS);
    this.#options.log.warn(
      { job: job.name, node: job.node, reason: this.#lateWords(job, pod) },
      'a job that does not start is made again',
    );
  }

  /** The reason why the agent of a late Job has not begun, and since when. */
  #lateWords(job: AgentJobObject, pod: AgentPod | undefined): string {
    const reason = describeWait(job, pod, this.#options.warnings.list()) ?? describeSilence(job, pod);
    return `${reason}; tried again by itself, ${sinceWhen(job)}`;
  }

  async #markWithdrawn(pod: AgentPod): Promise<void> {
    const body = { metadata: { annotations: { [ANNOTATION.withdrawn]: 'true' } } };
    const path = `/api/v1/namespaces/${this.#options.namespace}/pods/${pod.name}`;
    try {
      await this.#options.client.request('PATCH', path, { body, contentType: MERGE_PATCH });
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
  }

  /** An API before 1.21 has no controller that deletes finished Jobs. */
  async #tidy(job: AgentJobObject): Promise<void> {
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
      // The Job is gone, or another Job has its name by now.
      if (!hasStatus(error, 404, 409)) throw error;
    }
    this.#unseen.delete(name);
  }

  #seenFor(key: string): number {
    return this.#now() - (this.#since.get(key) ?? this.#now());
  }

  /** Milliseconds since the first call for `key`; after `limitMs` the controller is woken. */
  #age(key: string, limitMs: number): number {
    const since = this.#since.get(key);
    if (since !== undefined) return this.#now() - since;
    this.#since.set(key, this.#now());
    this.#later(limitMs);
    return 0;
  }

  #prune(names: ReadonlySet<string>): void {
    for (const name of names) this.#unseen.delete(name);
    for (const [name, { at }] of this.#unseen) if (this.#now() - at > UNSEEN_MS) this.#unseen.delete(name);
    for (const [name, { at }] of this.#postponed)
      if (this.#now() - at > FORGET_MS) this.#postponed.delete(name);
    for (const name of this.#recorded) if (!names.has(name)) this.#recorded.delete(name);
    const uids = new Set([...this.#options.jobs.list(), ...this.#options.pods.list()].map(({ uid }) => uid));
    for (const key of this.#since.keys()) if (!uids.has(key.split('/')[0]!)) this.#since.delete(key);
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

/** The report of a run or an observation. A report counts under all conditions of the Job, also if somebody deleted the Job. */
function finished(known: Known, pods: readonly AgentPod[]): JobStatus | undefined {
  if (known.mode === 'observe') {
    const [observation] = pods.flatMap((pod) => observationOf(pod) ?? []);
    return observation && { ...known, phase: 'finished', observation };
  }
  for (const pod of pods) {
    const outcome = outcomeOf(pod);
    if (outcome !== undefined && hasRun(pod)) return { ...known, phase: 'finished', outcome };
  }
  return undefined;
}

/** Whether a pod is of this very Job: pods of an earlier Job of the same name may still exist. */
function isOf({ jobUid }: AgentPod, { uid }: AgentJobObject): boolean {
  return jobUid === uid;
}

/** The longer a run has not begun, the longer is the pause. */
function pauseAfter(waitedMs: number, shortestMs: number): number {
  return Math.min(Math.max(waitedMs, shortestMs), MAX_WAIT_SECONDS * 1000);
}

function describeSilence(job: AgentJobObject, pod: AgentPod | undefined): string {
  const end = job.ended && [job.ended.reason, job.ended.message].filter(Boolean).join(': ');
  const state = pod?.reason ?? end ?? 'no Event says why';
  return `its pod has not started (${state}): see kubectl describe ${pod === undefined ? `job ${job.name}` : `pod ${pod.name}`}`;
}

function sinceWhen({ created, waitingSince = created }: AgentJobObject): string {
  return `since ${new Date(waitingSince).toISOString().replace(/\.\d+Z$/, 'Z')}`;
}
