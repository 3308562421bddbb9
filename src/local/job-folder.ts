// A job as a folder: jobs/<name>/. The folder has everything about the job, so a restarted controller knows as much as
// the one before.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as z from 'zod';
import { AgentJob } from '../api/job.ts';
import { Observation } from '../api/observation.ts';
import { Outcome } from '../api/outcome.ts';
import type { JobRequest } from '../scheduler/job-port.ts';
import { isErrno, readIfPresent, replaceFile, syncFolder } from './file.ts';

export const Request = AgentJob.omit({ version: true, url: true, tokenFile: true }).extend({
  nodeId: z.string(),
  attempt: z.number().int(),
});

/** The claim on a job: `started` by the agent or `withdrawn` by the controller, whichever came first. */
export type Claim =
  | { readonly kind: 'started' | 'withdrawn' }
  | { readonly kind: 'failed'; readonly message: string };

/** Number of a node's jobs whose logs are kept. */
const ARCHIVED = 5;

export class JobFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get name(): string {
    return basename(this.path);
  }

  /** The agent's lock. The agent and all its children hold it, so a free lock proves that all of them have ended. */
  get lock(): string {
    return join(this.path, 'running');
  }

  get log(): string {
    return join(this.path, 'log');
  }

  get outcome(): string {
    return join(this.path, 'outcome.json');
  }

  /** Makes the folder, whole or not at all. @returns false: it was there before */
  static async create(jobs: string, request: JobRequest): Promise<boolean> {
    const temporary = await mkdtemp(join(jobs, '.new-'));
    try {
      await replaceFile(join(temporary, 'request.json'), toJson(request), 0o644);
      await rename(temporary, join(jobs, request.name));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false;
      throw error;
    }
    await syncFolder(jobs);
    return true;
  }

  /** Reads the request; undefined: the folder is gone, or is no folder of a job. */
  async request(): Promise<JobRequest | undefined> {
    const text = await readIfPresent(join(this.path, 'request.json'));
    return text === undefined ? undefined : (parseJson(Request, text) ?? undefined);
  }

  /**
   * Writes the agent's inputs.
   * @returns path of the job file
   */
  async prepare(request: JobRequest, url: string, token: string): Promise<string> {
    const tokenFile = join(this.path, 'token');
    await replaceFile(tokenFile, `${token}\n`, 0o600);
    const { nodeId: _, attempt: __, ...known } = request;
    // The controller serves the store, and a restarted one has another port, so a longer wait for the store is useless.
    const job: AgentJob = { version: 1, ...known, url, tokenFile, storeWaitSeconds: 2 };
    await replaceFile(join(this.path, 'job.json'), toJson(job), 0o644);
    return join(this.path, 'job.json');
  }

  /**
   * Decides for good how the job begins: only the first claim counts. The claim is a dangling symbolic link, because a
   * link appears at one instant together with its text.
   * @returns whether this claim was the first
   */
  async claim(claim: Claim): Promise<boolean> {
    const text = claim.kind === 'failed' ? `failed: ${claim.message.slice(0, 1000)}` : claim.kind;
    try {
      await symlink(text, join(this.path, 'claim'));
      return true;
    } catch (error) {
      if (isErrno(error, 'EEXIST', 'ENOENT')) return false;
      throw error;
    }
  }

  async claimed(): Promise<Claim | undefined> {
    try {
      const text = await readlink(join(this.path, 'claim'));
      if (text === 'withdrawn' || text === 'started') return { kind: text };
      return { kind: 'failed', message: text.replace(/^failed: /, '') };
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** The report of an ended agent, or the reason why there is none. */
  async ending(
    request: JobRequest,
  ): Promise<{ outcome: Outcome } | { observation: Observation } | { message: string }> {
    const text = await readIfPresent(this.outcome);
    const isOwn = (report: Outcome | Observation | undefined): boolean =>
      report?.job === request.name && report.commit === request.commit;
    if (request.mode === 'observe') {
      const observation = text === undefined ? undefined : parseJson(Observation, text);
      if (observation !== undefined && isOwn(observation)) return { observation };
    } else {
      const outcome = text === undefined ? undefined : parseJson(Outcome, text);
      if (outcome !== undefined && isOwn(outcome)) return { outcome };
    }
    const what = text === undefined ? 'ended without a report' : 'left a report that cannot be its own';
    const code = (await readIfPresent(join(this.path, 'exit')))?.trim();
    const how =
      code === undefined || code === '' ? 'it was killed, or the machine stopped' : `exit code ${code}`;
    return {
      message: `the agent ${what} (${how}); its log: ${join('jobs', 'archive', request.node, this.name, 'log')}`,
    };
  }

  /** Moves the folder to jobs/archive/<node>/, which keeps the newest few. */
  async archive(node: string): Promise<void> {
    const folder = join(dirname(this.path), 'archive', node);
    await mkdir(folder, { recursive: true });
    await rm(join(this.path, 'token'), { force: true });
    await rm(join(folder, this.name), { recursive: true, force: true });
    await rename(this.path, join(folder, this.name));
    const names = (await readdir(folder)).sort(byStamp);
    for (const name of names.slice(0, -ARCHIVED))
      await rm(join(folder, name), { recursive: true, force: true });
  }

  /** Renames the folder first, so that a half-deleted folder is never taken for a job. */
  async remove(): Promise<void> {
    const gone = join(dirname(this.path), `.gone-${randomBytes(4).toString('hex')}`);
    try {
      await rename(this.path, gone);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      throw error;
    }
    await discard(gone);
  }
}

/**
 * Deletes a folder in which a process may be about to start. job.json goes first and the claim later, so a process that
 * can still claim finds no job; the process may put files there meanwhile, hence the retries.
 */
export async function discard(folder: string): Promise<void> {
  await rm(join(folder, 'job.json'), { force: true });
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

/** Orders a node's jobs by the stamp at the end of their names, because the node ID may change. */
function byStamp(a: string, b: string): number {
  const [left, right] = [a.slice(-14), b.slice(-14)];
  return left < right ? -1 : Number(left > right);
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function parseJson<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
