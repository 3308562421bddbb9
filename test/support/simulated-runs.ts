// Runs and observations of a simulated fleet: each takes five seconds of a clock that somebody else moves, and finds what
// the test says.

import type { Observation } from '../../src/api/observation.ts';
import type { Outcome } from '../../src/api/outcome.ts';
import type { Oid } from '../../src/api/oid.ts';
import type { InventoryNode } from '../../src/mirror/home-port.ts';
import type { JobRequest, JobRunner, JobStatus } from '../../src/scheduler/job-port.ts';
import { macOf } from './numbered-node.ts';

/** Duration of a run and of an observation. */
export const JOB_MS = 5_000;
/** Number of forgotten Jobs that can come back. */
const KEPT_JOBS = 5_000;

export interface SimulatedRunsOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly node: (name: string) => InventoryNode | undefined;
  /** git tree ID of the files of the node's tip. */
  readonly treeOf: (node: string) => Oid | undefined;
}

interface Started {
  readonly request: JobRequest;
  readonly at: number;
}

/** Start of a Job. */
export interface Start {
  readonly node: string;
  readonly at: number;
}

export class SimulatedRuns implements JobRunner {
  readonly observed: Start[] = [];
  readonly ran: Start[] = [];
  /** Nodes whose host differs from its commit. */
  readonly drifted = new Set<string>();
  /** Nodes whose runs fail until this time. */
  readonly failing = new Map<string, number>();
  readonly #options: SimulatedRunsOptions;
  readonly #jobs = new Map<string, Started>();
  readonly #forgotten: Started[] = [];

  constructor(options: SimulatedRunsOptions) {
    this.#options = options;
  }

  /** Number of runs that have not been recorded. */
  get running(): number {
    return [...this.#jobs.values()].filter(({ request }) => request.mode === undefined).length;
  }

  async list(): Promise<readonly JobStatus[]> {
    return [...this.#jobs.values()].map((started) => {
      const { name, node, commit, attempt, mode } = started.request;
      const known = { name, node, commit, attempt, ...(mode !== undefined && { mode }) };
      if (this.#options.now() < started.at + JOB_MS) return { ...known, phase: 'running' };
      return { ...known, phase: 'finished', ...this.#end(started) };
    });
  }

  async start(request: JobRequest): Promise<void> {
    const { name, node, mode } = request;
    // A run waits for no observation, which drops its report then.
    for (const { request: other } of this.#jobs.values())
      if (other.node === node && (mode === 'observe' || other.mode === mode))
        throw new Error(`${node} has two Jobs: ${other.name}, ${name}`);
    const at = this.#options.now();
    this.#jobs.set(name, { request, at });
    (mode === 'observe' ? this.observed : this.ran).push({ node, at });
  }

  async withdraw(): Promise<void> {}

  async forget(name: string): Promise<void> {
    const started = this.#jobs.get(name);
    if (started !== undefined && this.#forgotten.length < KEPT_JOBS) this.#forgotten.push(started);
    this.#jobs.delete(name);
  }

  /**
   * Lists the oldest forgotten Jobs again, because a pod may outlive its Job.
   * @returns their number
   */
  bringBack(count: number): number {
    const old = this.#forgotten.slice(0, count);
    for (const each of old) this.#jobs.set(each.request.name, each);
    return old.length;
  }

  /** The report of a run that applied a commit. */
  applied(node: InventoryNode, job: string, commit: JobRequest['commit'], tree: Oid | undefined): Outcome {
    return {
      ...this.#report(node, job, commit),
      result: 'Applied',
      step: 'finish',
      ...NOTHING,
      ...(tree !== undefined && { tree }),
    };
  }

  /** A node that left the home meanwhile reports nothing. */
  #end({ request, at }: Started): Partial<JobStatus> {
    const node = this.#options.node(request.node);
    if (node === undefined) return { message: 'the pod is gone with its node' };
    return request.mode === undefined
      ? { outcome: this.#outcome(node, request, at) }
      : { observation: this.#observation(node, request) };
  }

  #outcome(node: InventoryNode, { name, commit }: JobRequest, at: number): Outcome {
    if (at < (this.failing.get(node.name) ?? 0))
      return {
        ...this.#report(node, name, commit),
        result: 'Failed',
        reason: 'VerifyFailed',
        message: 'multinic0 has no link; look at the port',
        step: 'verify',
        ...NOTHING,
      };
    this.drifted.delete(node.name);
    return this.applied(node, name, commit, this.#options.treeOf(node.name));
  }

  #observation(node: InventoryNode, { name, commit }: JobRequest): Observation {
    const report = { ...this.#report(node, name, commit), mode: 'observe', step: 'report' } as const;
    if (!this.drifted.has(node.name)) return { ...report, result: 'Observed', differences: [] };
    const differences = [{ kind: 'LinkDown', name: 'multinic0', mac: macOf(node.name) } as const];
    return { ...report, result: 'Drifted', differences, digest: 'd'.repeat(64) };
  }

  #report({ name, machineId, bootID: bootId }: InventoryNode, job: string, commit: JobRequest['commit']) {
    const startedAt = new Date(this.#options.now()).toISOString();
    return { version: 1, node: name, job, commit, machineId, bootId, startedAt, durationMs: 1 } as const;
  }
}

const NOTHING = { written: [], removed: [], missing: [], found: [] };
