import { execa } from 'execa';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { checkpoint } from '../api/checkpoint.ts';
import { MultinicError } from '../api/errors.ts';
import type { JobRequest, JobRunner, JobStatus } from '../scheduler/job-port.ts';
import { isErrno } from './file.ts';
import { isLocked } from './flock.ts';
import { discard, JobFolder } from './job-folder.ts';
import { FLOCK_HELD } from '../api/exit-codes.ts';

/** Absolute paths that an agent is started with. */
interface AgentPaths {
  readonly job: string;
  /** The node's root folder. */
  readonly root: string;
  readonly outcome: string;
  readonly mode: 'apply' | 'observe';
}

export type AgentCommand = (paths: AgentPaths) => readonly [file: string, ...args: string[]];

export interface ChildRunnerOptions {
  /** The home. */
  readonly dir: string;
  /** Smart-HTTP URL of the store. */
  readonly url: string;
  /** The token that reads a node's branch. */
  readonly token: (node: string) => Promise<string>;
  readonly command: AgentCommand;
  /** Called after a job ended or did not start. */
  readonly changed: () => void;
  readonly log: Logger;
}

/** The command that starts the agent of this program. @param program the bundle */
export function agentOf(program: string): AgentCommand {
  return ({ job, root, outcome, mode }) => [
    process.execPath,
    program,
    'agent',
    mode,
    '--offline',
    '--job',
    job,
    '--root',
    root,
    '--outcome',
    outcome,
  ];
}

/**
 * Script that runs under the job's lock: claims the job, so that a withdrawn or started job does not start again, and
 * checks job.json, which is missing while the folder is being deleted. The exit code is always 0, because any other
 * code is flock's.
 */
const SCRIPT = 'ln -s started claim && [ -e job.json ] || exit 0; "$@"; echo $? > exit';

/**
 * Runs agents as child processes that outlive the controller. A job's lock tells whether its agent is alive, never a
 * process ID; the job's folder has the results.
 */
export class ChildRunner implements JobRunner {
  readonly #options: ChildRunnerOptions;
  readonly #jobs: string;
  /** Jobs whose process is our child and has not ended. */
  readonly #alive = new Set<string>();
  readonly #closing = new AbortController();

  private constructor(options: ChildRunnerOptions) {
    this.#options = { ...options, dir: resolve(options.dir) };
    this.#jobs = join(this.#options.dir, 'jobs');
  }

  /** Takes over the jobs of an earlier controller: starts waiting jobs, and waits for running ones. */
  static async open(options: ChildRunnerOptions): Promise<ChildRunner> {
    const runner = new ChildRunner(options);
    await mkdir(runner.#jobs, { recursive: true });
    for (const name of await readdir(runner.#jobs)) {
      if (name.startsWith('.')) await discard(join(runner.#jobs, name));
    }
    for (const folder of await runner.#folders()) await runner.#resume(folder);
    return runner;
  }

  async list(): Promise<readonly JobStatus[]> {
    const statuses = await Promise.all((await this.#folders()).map((folder) => this.#status(folder)));
    return statuses.filter((status) => status !== undefined);
  }

  async start(request: JobRequest): Promise<void> {
    for (const part of [request.name, request.node]) {
      if (!/^[a-z0-9][a-z0-9.-]*$/.test(part)) {
        throw new MultinicError('InvalidJob', `"${part}" cannot be the name of a folder; rename the node`);
      }
    }
    if (!(await JobFolder.create(this.#jobs, request))) return;
    checkpoint('local.job.created');
    await this.#launch(this.#folder(request.name), request);
    checkpoint('local.job.launched');
  }

  async withdraw(name: string): Promise<void> {
    const folder = this.#folder(name);
    if (await folder.claim({ kind: 'withdrawn' })) await folder.remove();
  }

  /** @throws MultinicError `JobRunning` */
  async forget(name: string): Promise<void> {
    const folder = this.#folder(name);
    const status = await this.#status(folder);
    if (status === undefined) return;
    if (status.phase !== 'finished') {
      throw new MultinicError('JobRunning', `${name} is ${status.phase}; forget it when it has finished`);
    }
    // Observations come every hour, so only a failed one may have its log kept beside those of runs.
    if (status.observation !== undefined) await folder.remove();
    else await folder.archive(status.node);
  }

  /** Stops watching; agents go on. */
  close(): void {
    this.#closing.abort();
  }

  #folder(name: string): JobFolder {
    return new JobFolder(join(this.#jobs, name));
  }

  async #folders(): Promise<JobFolder[]> {
    const names = (await readdir(this.#jobs)).filter((name) => name !== 'archive' && !name.startsWith('.'));
    return names.sort().map((name) => this.#folder(name));
  }

  async #status(folder: JobFolder): Promise<JobStatus | undefined> {
    const request = await folder.request();
    if (request === undefined) return undefined;
    const { node, commit, attempt, mode } = request;
    const job = { name: folder.name, node, commit, attempt, ...(mode !== undefined && { mode }) };
    const claim = await folder.claimed();
    switch (claim?.kind) {
      case undefined:
        return { ...job, phase: 'waiting' };
      case 'withdrawn':
        return undefined;
      case 'failed':
        return { ...job, phase: 'finished', message: claim.message };
      case 'started':
        // The lock is read after the claim: an agent takes the lock first, so a claim without a lock is an ended agent.
        if (this.#alive.has(folder.name) || (await isLocked(folder.lock)))
          return { ...job, phase: 'running' };
        return { ...job, phase: 'finished', ...(await folder.ending(request)) };
    }
  }

  async #resume(folder: JobFolder): Promise<void> {
    const request = await folder.request();
    const claim = await folder.claimed();
    if (claim?.kind === 'withdrawn') await folder.remove();
    else if (request !== undefined && claim === undefined) await this.#launch(folder, request);
    else if (claim?.kind === 'started') this.#awaitEnd(folder);
  }

  async #launch(folder: JobFolder, request: JobRequest): Promise<void> {
    const { dir, url, token, command } = this.#options;
    try {
      const job = await folder.prepare(request, url, await token(request.node));
      const root = join(dir, 'nodes', request.node, 'root');
      await this.#spawn(
        folder,
        command({ job, root, outcome: folder.outcome, mode: request.mode ?? 'apply' }),
      );
    } catch (error) {
      await this.#failed(folder, error);
    }
  }

  async #spawn(folder: JobFolder, command: readonly string[]): Promise<void> {
    const log = await open(folder.log, 'a');
    try {
      // Detached: neither Ctrl-C on the terminal nor the end of this process may stop an agent. Paths are relative to
      // the folder: a process that starts late must not find a later folder of the same name.
      const args = ['-n', '-E', String(FLOCK_HELD), 'running', 'sh', '-c', SCRIPT, 'sh', ...command];
      const child = spawn('flock', args, {
        cwd: folder.path,
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
      await once(child, 'spawn');
      this.#alive.add(folder.name);
      child.unref();
      child.once('exit', (code) => {
        this.#alive.delete(folder.name);
        // An agent that an earlier controller started has the lock.
        if (code === FLOCK_HELD) this.#awaitEnd(folder);
        else if (code === 0) this.#options.changed();
        else void this.#failed(folder, new Error(`flock ended with ${code ?? 'a signal'}`));
      });
    } finally {
      await log.close();
    }
  }

  /** Ends a job that could not start and touched nothing; the scheduler decides when to try again. */
  async #failed(folder: JobFolder, error: unknown): Promise<void> {
    const { log, changed } = this.#options;
    const why = error instanceof Error ? error.message : String(error);
    const message = `the agent could not be started: ${why}; mend that, then retry`;
    try {
      if (await folder.claim({ kind: 'failed', message }))
        log.error({ job: folder.name, err: error }, message);
      // Another process started or withdrew the job first, so this process has nothing to wait for.
      else this.#awaitEnd(folder);
    } catch (cause) {
      // The claim could not be written (a full disk). The job stays waiting until the controller starts again.
      log.error({ job: folder.name, err: cause }, `${message}; nor could that be written down`);
    }
    changed();
  }

  /** Waits for the end of an agent that is no child of this process: its lock becomes free. */
  #awaitEnd(folder: JobFolder): void {
    const { signal } = this.#closing;
    execa('flock', ['-s', folder.lock, 'true'], { cancelSignal: signal, stdio: 'ignore' })
      .catch((error: unknown) => {
        if (!signal.aborted && !isErrno(error, 'ENOENT'))
          this.#options.log.error({ job: folder.name, err: error }, 'the end of the agent cannot be awaited');
      })
      .finally(() => {
        if (!signal.aborted) this.#options.changed();
      });
  }
}
