// Commands that the lab runs on this machine: bounded in time, and failing in words that say what to do.
import { execa, ExecaError } from 'execa';
import { LabError } from '../support/lab-error.ts';

export interface RunOptions {
  /** Text for the command's standard input. */
  readonly input?: string;
  /** File for the command's standard input. */
  readonly inputFile?: string;
  /** Time limit in milliseconds; absent: a minute. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * @returns standard output without its last newline
 * @throws MultinicError `CommandFailed` with `exitCode`, `stdout` and `stderr` as data
 */
export async function run(
  file: string,
  args: readonly string[],
  { input, inputFile, timeoutMs = 60_000, cwd, env }: RunOptions = {},
): Promise<string> {
  try {
    const { stdout } = await execa(file, args, {
      timeout: timeoutMs,
      // SIGKILL follows a second after SIGTERM, so that no command outlives its limit.
      forceKillAfterDelay: 1_000,
      maxBuffer: 64 << 20,
      ...(inputFile === undefined ? { input: input ?? '' } : { inputFile }),
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    });
    return stdout;
  } catch (cause) {
    if (!(cause instanceof ExecaError)) throw cause;
    const { exitCode, timedOut, stdout, stderr, shortMessage } = cause;
    const said = [stderr, stdout].map(String).find((text) => text.trim() !== '') ?? '';
    const remedy = timedOut ? 'it took too long: see whether the machine is overloaded' : 'see what it said';
    throw new LabError('CommandFailed', `${shortMessage}; ${remedy}:\n${said.slice(-4_000)}`, {
      cause,
      data: { exitCode, stdout, stderr, timedOut },
    });
  }
}
