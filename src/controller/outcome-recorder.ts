// Records how jobs ended: one commit on the outcome branch of the node. The runner forgets a job only after that.

import { checkpoint } from '../api/checkpoint.ts';
import { hasCode } from '../api/errors.ts';
import { parseOid } from '../api/oid.ts';
import type { Outcome } from '../api/outcome.ts';
import { Outcomes, recordOutcome, recordRequest } from '../history/outcome-branch.ts';
import { outcomeRef } from '../history/refs.ts';
import { jobStamp } from '../scheduler/job-name.ts';
import type { JobRunner, JobStatus } from '../scheduler/job-port.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Oid } from '../store/model/store-port.ts';
import { retryOnLostRace } from '../store/race.ts';
import type { ControllerContext } from './controller-context.ts';
import type { NodeErrors } from './node-errors.ts';
import { nodeRef } from '../network/node-ref.ts';

export class OutcomeRecorder {
  readonly #context: ControllerContext;
  readonly #runner: JobRunner;
  readonly #outcomes: Outcomes;

  constructor(context: ControllerContext, runner: JobRunner, outcomes: Outcomes) {
    this.#context = context;
    this.#runner = runner;
    this.#outcomes = outcomes;
  }

  async record(jobs: readonly JobStatus[], nodeErrors: NodeErrors): Promise<void> {
    for (const job of jobs) {
      if (job.phase !== 'finished') continue;
      checkpoint('controller.ended');
      await nodeErrors.of(job.node, async () => {
        await retryOnLostRace(() => this.#record(job));
        checkpoint('controller.recorded');
        await this.#runner.forget(job.name);
        checkpoint('controller.forgotten');
      });
    }
  }

  async #record(job: JobStatus): Promise<void> {
    const { store, now } = this.#context;
    const outcome = await this.#trustedOutcome(job);
    if (outcome?.result === 'Superseded') return;
    const tip = await store.reader.ref(outcomeRef(job.node));
    const history = await this.#outcomes.recent(job.node, tip);
    const stamp = jobStamp(job.name) ?? Math.floor(now() / 1000);
    // Stamps of a node rise, so a job with an older stamp than the newest record was recorded before.
    if (history.some((record) => record.job === job.name || (record.stamp ?? 0) > stamp)) return;
    const commit = await this.#findCommit(job.commit);
    if (commit !== undefined) await this.#commitOutcome(job, commit, outcome, tip, stamp);
    else await this.#askAgain(job, tip, stamp);
  }

  async #commitOutcome(
    job: JobStatus,
    commit: Oid,
    outcome: Outcome | undefined,
    tip: Oid | undefined,
    stamp: number,
  ): Promise<void> {
    const { store, log } = this.#context;
    const batch = new Batch();
    await recordOutcome(store.reader, batch, tip, {
      node: job.node,
      job: job.name,
      stamp,
      commit,
      attempt: job.attempt,
      ...(outcome === undefined ? await this.#machineOf(job.node) : { outcome }),
      ...(job.message !== undefined && { message: job.message }),
    });
    await store.write(batch);
    const { result = 'Unknown', reason } = outcome ?? {};
    log.info({ node: job.node, commit: job.commit, job: job.name, result, reason }, 'outcome recorded');
    this.#context.onRun({
      result,
      ...(reason !== undefined && { reason }),
      ...(outcome !== undefined && { seconds: outcome.durationMs / 1000 }),
    });
  }

  /** The commit that a job names, if the store has it; anybody may have edited the job. */
  async #findCommit(text: string): Promise<Oid | undefined> {
    const commit = parseOid(text);
    if (commit === undefined) return undefined;
    try {
      await this.#context.store.reader.commit(commit);
      return commit;
    } catch (error) {
      if (hasCode(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  /**
   * Requests a run in place of an outcome whose commit the store lacks, because the store was restored from an older
   * backup. The host may have that commit all the same, and only a run can tell.
   */
  async #askAgain({ node, commit, name }: JobStatus, tip: Oid | undefined, stamp: number): Promise<void> {
    const { store, log } = this.#context;
    log.warn({ node, commit, job: name }, 'the store lacks the commit of this job');
    // A node without a branch has no outcomes; it gets a run as soon as it has a branch.
    if ((await store.reader.ref(nodeRef(node))) === undefined) return;
    const batch = new Batch();
    recordRequest(batch, tip, {
      node,
      request: 'retry',
      by: CONTROLLER,
      principal: CONTROLLER.name,
      job: name,
      stamp,
      message: `${name} was of a commit that the store does not have: the host may have it`,
    });
    await store.write(batch);
  }

  /**
   * The job's report, if it is about this job. `Superseded` counts only if the tip moved in git too: Superseded is no
   * attempt, so a wrong one would make the same job again without end.
   */
  async #trustedOutcome({ outcome, commit, node }: JobStatus): Promise<Outcome | undefined> {
    const { store } = this.#context;
    if (outcome?.commit !== commit || outcome.node !== node) return undefined;
    if (outcome.result !== 'Superseded') return outcome;
    store.refs.forget();
    return (await store.reader.ref(nodeRef(node))) === commit ? undefined : outcome;
  }

  /** Machine and boot of a run that ended without a report, as far as the home knows. */
  async #machineOf(name: string): Promise<{ machineId?: string; bootId?: string }> {
    const nodes = await this.#context.inventory.list().catch(() => []);
    const node = nodes.find((each) => each.name === name);
    return {
      ...(node?.machineId && { machineId: node.machineId }),
      ...(node?.bootID && { bootId: node.bootID }),
    };
  }
}
