import type { AgentJob } from '../api/job.ts';
import type { Observation } from '../api/observation.ts';
import type { Outcome } from '../api/outcome.ts';

/** A run of the agent as the runner knows it. The runner keeps it until `forget`. */
export interface JobStatus {
  /** `multinic-agent-<node id>-<yyyymmddhhmmss>`, or `multinic-observe-…`. */
  readonly name: string;
  /** Absent: a run. observe: an observation, which is no attempt and holds no run's slot. */
  readonly mode?: 'observe';
  readonly node: string;
  /** The commit in the Job's annotation, which may be no id. */
  readonly commit: string;
  readonly attempt: number;
  /** waiting: the agent has not started; finished: the agent will never run again. */
  readonly phase: 'waiting' | 'running' | 'finished';
  /** The agent's report, with phase `finished`; absent if the run ended without one. */
  readonly outcome?: Outcome;
  /** The report of an observation, as `outcome`. */
  readonly observation?: Observation;
  /** With phase `waiting`: the agent has not started for so long that other nodes' jobs precede. */
  readonly late?: true;
  /** With `late`: the cause of the delay is known, and is no slow start. */
  readonly stuck?: true;
  /** With `late`: start of the present wait, milliseconds since 1970. */
  readonly since?: number;
  /** The agent did not begin in time and cannot begin any more. The same job may start again from this time on. */
  readonly retryAt?: number;
  /** With phase `running`: the outcome is recorded, and the pod has not ended, because its node is down. */
  readonly recorded?: true;
  /** The reason why the job does not start, or how it ended without a report. */
  readonly message?: string;
}

export type JobRequest = Omit<AgentJob, 'version' | 'url' | 'tokenFile'> & {
  readonly nodeId: string;
  readonly attempt: number;
};

/** Runs agents on nodes: child processes, or Kubernetes Jobs. Every call is idempotent by job name. */
export interface JobRunner {
  list(): Promise<readonly JobStatus[]>;
  start(request: JobRequest): Promise<void>;
  /**
   * Stops a job whose agent has not started; a running agent is left alone.
   * @param options `again`: the job is listed with `retryAt`, and starts again later
   */
  withdraw(name: string, options?: { readonly again?: boolean }): Promise<void>;
  /** Allows the runner to drop a job whose outcome is recorded. */
  forget(name: string): Promise<void>;
}
