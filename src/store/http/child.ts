// Runs a git child whose output is a response's body. The child starts with the request and ends when its client goes.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { MultinicError } from '../../api/errors.ts';
import { gitFailure } from '../git/git.ts';

/** Time limit of a git child. A first clone of a large store takes longest. */
const TIMEOUT_MS = 30 * 60_000;
const KILL_AFTER_MS = 5_000;
/** Time after which a client that takes no bytes counts as gone, even if its connection is open. */
const STALLED_MS = 120_000;
const STDERR_KEPT = 4096;

export interface GitAnswer {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that go before git's output. */
  readonly prelude: Buffer;
}

/**
 * Answers 200 with git's output as git prints it, including git's own answer to a bad request. The head goes out with
 * git's first byte, so that an earlier failure of git is still an HTTP error.
 * @throws MultinicError as `gitFailure` says, when nothing has been sent
 */
export async function pipeGit(response: ServerResponse, answer: GitAnswer): Promise<void> {
  if (response.destroyed) return;
  const child = spawn('git', answer.args, { env: answer.env, stdio: ['pipe', 'pipe', 'pipe'] });
  if ((child.stdout as Readable | undefined) === undefined) throw await notStarted(child);
  const stop = (): void => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref();
  };
  const timer = setTimeout(stop, TIMEOUT_MS);
  response.setTimeout(STALLED_MS, () => response.destroy());
  response.once('close', stop);

  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT);
  });
  // EPIPE: git has refused and reads no further; its exit code says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(answer.input);
  const ended = new Promise<{ code?: number; signal?: string; spawnError?: string }>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => resolve({ spawnError: error.code ?? 'unknown' }));
    child.on('close', (code, signal) =>
      resolve({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) }),
    );
  });

  const begin = (): unknown => response.writeHead(200, answer.headers).write(answer.prelude);
  try {
    await pipeline(
      child.stdout,
      async function* (output: AsyncIterable<Buffer>) {
        for await (const chunk of output) {
          if (!response.headersSent) begin();
          yield chunk;
        }
      },
      response,
      { end: false },
    );
  } catch (error) {
    stop();
    if (!response.destroyed) throw error;
  }
  const { code, signal, spawnError } = await ended;
  clearTimeout(timer);
  response.off('close', stop);
  if (response.destroyed) return;
  // Half a pack must not look like a whole one.
  if (signal !== undefined && response.headersSent) response.destroy();
  else if (response.headersSent || code === 0) {
    if (!response.headersSent) begin();
    response.end();
  } else {
    throw gitFailure(`git ${answer.args[0] ?? ''}`, {
      code,
      signal,
      spawnError,
      timedOut: false,
      stdout: Buffer.alloc(0),
      stderr,
    });
  }
}

/** Why Node made no streams for a child: the system has no descriptors left. */
export async function notStarted(child: ChildProcess): Promise<MultinicError> {
  const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
  return gitFailure('git', {
    code: undefined,
    signal: undefined,
    spawnError: error.code,
    timedOut: false,
    stdout: Buffer.alloc(0),
    stderr: '',
  });
}
