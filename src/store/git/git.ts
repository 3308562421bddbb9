// Runs native git on the store: a clean environment, bounded time, and errors that say what to do.

import { MultinicError } from '../../api/errors.ts';
import { run } from './git-command.ts';
import type { Finished, RunOptions } from './git-command.ts';
import type { Reason } from '../../api/reasons/reasons.ts';

const READ_TIMEOUT_MS = 120_000;

/**
 * The environment of every git that this program starts: no configuration of the user or the system, no prompts,
 * messages in English.
 *
 * @param config settings for this one process, as `git -c` has them; a list: several values of one key, in order
 */
export function gitEnvironment(
  config: Readonly<Record<string, string | readonly string[]>> = {},
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  // git refuses a folder of another owner, and a volume's owner (fsGroup) is rarely the user of this process.
  const settings = Object.entries({ 'safe.directory': '*', ...config }).flatMap(([key, value]) =>
    [value].flat().map((one) => [key, one] as const),
  );
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ADVICE: '0',
    LC_ALL: 'C',
    GIT_CONFIG_COUNT: String(settings.length),
    ...extra,
  };
  settings.forEach(([key, value], index) => {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return env;
}

interface GitOptions extends Partial<RunOptions> {
  /** Variables on top of `gitEnvironment`. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Output of a git command that only reads, as text.
 *
 * @param accept exit codes that are answers, not failures
 * @throws MultinicError as `gitFailure` says
 */
export async function git(dir: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  const ended = await tryGit(dir, args, options);
  if (ended.code !== 0) throw gitFailure(`git ${args[0] ?? ''}`, ended);
  return ended.stdout.toString('utf8');
}

/** Like `git`, for commands whose exit code is an answer. */
export async function tryGit(
  dir: string,
  args: readonly string[],
  options: GitOptions = {},
): Promise<Finished> {
  return run('git', ['-C', dir, ...args], {
    ...options,
    env: gitEnvironment({}, options.env),
    timeoutMs: options.timeoutMs ?? READ_TIMEOUT_MS,
  });
}

/** The error of a failed git command: `GitMissing`, `DiskFull`, `Locked`, `Timeout`, `GitKilled`, `Corrupt` or `GitFailed`. */
export function gitFailure(what: string, ended: Finished): MultinicError {
  const stderr = ended.stderr.trim();
  const data = { command: what, exitCode: ended.code, signal: ended.signal, stderr };
  const fail = (code: Reason, message: string) => new MultinicError(code, message, { data });
  if (ended.spawnError === 'ENOENT') {
    return fail(
      'GitMissing',
      `${what} cannot be started: install git (2.39 or later), util-linux and findutils`,
    );
  }
  if (ended.spawnError !== undefined) {
    return fail(
      'Busy',
      `${what} cannot be started (${ended.spawnError}): this machine has no processes or descriptors left; it is tried again`,
    );
  }
  if (ended.timedOut) {
    return fail('Timeout', `${what} did not end in time; look at the load and the disk of this machine`);
  }
  if (ended.signal !== undefined) {
    return fail('GitKilled', `${what} was killed by ${ended.signal}; it is tried again with the next write`);
  }
  if (/No space left on device|Disk quota exceeded/.test(stderr)) {
    return fail('DiskFull', `${what} found the disk full; make room, writing goes on by itself then`);
  }
  if (/Unable to create '.*\.lock': File exists/.test(stderr)) {
    return fail('Locked', `${what} met the lock of another process; it is tried again with the next write`);
  }
  if (/\bmissing (blob|tree|commit)\b|is corrupt|\bbad object\b|unable to read tree/.test(stderr)) {
    return fail(
      'Corrupt',
      `${what} found the store damaged (${stderr}); run git fsck, then restore from a backup`,
    );
  }
  return fail(
    'GitFailed',
    `${what} failed (exit ${ended.code ?? 'unknown'}): ${stderr || 'no message'}; see the log`,
  );
}
