// A lasting process of the lab, in a control group of its own, with its log in a file. It can be started again.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { MultinicError } from '../../src/api/errors.ts';
import { Group } from './group.ts';

export interface DaemonOptions {
  readonly name: string;
  /** Path of its control group. */
  readonly group: string;
  readonly command: readonly string[];
  /** File to which the output is appended. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Daemon {
  readonly #options: DaemonOptions;
  #group: Group | undefined;
  #child: ChildProcess | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** @throws MultinicError `NotRunning` */
  get pid(): number {
    if (!this.running || this.#child?.pid === undefined) {
      throw new MultinicError('NotRunning', `${this.#options.name} is not running; start it first`);
    }
    return this.#child.pid;
  }

  async start(): Promise<void> {
    const { group, command, log, env } = this.#options;
    this.#group = await Group.create(group);
    const [file, ...args] = this.#group.wrap(command);
    const output = await open(log, 'a');
    try {
      // detached, because Ctrl-C in a terminal goes to whole process groups, and the lab stops processes in its own order.
      this.#child = spawn(file, args, {
        detached: true,
        stdio: ['ignore', output.fd, output.fd],
        env: { ...process.env, ...env },
      });
      await once(this.#child, 'spawn');
    } finally {
      await output.close();
    }
    // A test process may end while its cluster still runs; the next run removes that cluster.
    this.#child.unref();
  }

  /** Sends SIGTERM, and later SIGKILL to the process and everything that it started. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', patienceMs = 10_000): Promise<void> {
    if (this.running) {
      process.kill(this.pid, signal);
      await this.exited(patienceMs);
    }
    await this.#group?.remove();
    this.#group = undefined;
  }

  /** Sends a signal to the daemon alone, for faults: SIGKILL, SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** @returns whether it ended within that time */
  async exited(withinMs: number): Promise<boolean> {
    const child = this.#child;
    if (child === undefined || !this.running) return true;
    const end = once(child, 'exit').then(() => true);
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, withinMs, false);
    try {
      return await Promise.race([end, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The end of the log, for error messages. */
  async lastWords(lines = 20): Promise<string> {
    const { name, log } = this.#options;
    const text = await readFile(log, 'utf8').catch(() => '');
    return `${name} (${this.running ? 'running' : 'ended'}; ${log}):\n${text.split('\n').slice(-lines).join('\n')}`;
  }
}
