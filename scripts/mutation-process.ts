// The process that runs the tests of a change, started anew when a change keeps it busy for too long.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { memoryFolder } from './memory-folder.ts';
import type { Order, Reach } from './mutation-tests.ts';

const SCRIPT = join(import.meta.dirname, 'mutation-tests.ts');
/**
 * CPU time for the tests of one change, beside five times that of the longest tests that passed. A change may make a
 * loop endless; a busy machine makes tests slow and does not raise their CPU time.
 */
const GRACE_MS = 30_000;
const BASE_MS = 60_000;
const REACHES: readonly Reach[] = ['beside', 'room', 'others'];
const WATCH_MS = 2_000;
/** Milliseconds of a tick in /proc. */
const TICK_MS = 10;

function spawnTests(folder: string | undefined) {
  const env = folder === undefined ? {} : { TMPDIR: folder };
  return execa(SCRIPT, { node: true, ipc: true, reject: false, env });
}

export class TestProcess implements AsyncDisposable {
  readonly #folder = memoryFolder();
  readonly #reaches: readonly Reach[];
  #child: ReturnType<typeof spawnTests> | undefined;
  /** Longest CPU time that the tests of a source took and passed, by reach. */
  readonly #took = new Map<Reach, number>();

  /** @param farthest tests that run */
  constructor(farthest: Reach) {
    this.#reaches = REACHES.slice(0, REACHES.indexOf(farthest) + 1);
  }

  /**
   * Runs the tests that the source is related to, until one fails.
   * @param text of the source; absent: without a change, and without the tests that have passed so before
   * @returns the tests that failed; empty: all passed
   */
  async failures(file: string, text?: string): Promise<readonly string[]> {
    for (const reach of this.#reaches) {
      const failures = await this.#run({ file, ...(text !== undefined && { text }), reach });
      if (failures.length > 0) return failures;
    }
    return [];
  }

  async #run(order: Order): Promise<readonly string[]> {
    if (this.#child === undefined) {
      this.#child = spawnTests(this.#folder);
      await this.#child.getOneMessage();
    }
    const child = this.#child;
    const begin = cpuMsOf(child.pid);
    const limit = begin + GRACE_MS + 5 * (this.#took.get(order.reach) ?? BASE_MS);
    let isEndless = false;
    const timer = setInterval(() => {
      if (cpuMsOf(child.pid) <= limit) return;
      isEndless = true;
      child.kill('SIGKILL');
    }, WATCH_MS);
    try {
      const answer = child.getOneMessage();
      await Promise.all([answer, child.sendMessage({ ...order })]);
      const failures = (await answer) as unknown as readonly string[];
      if (failures.length === 0)
        this.#took.set(order.reach, Math.max(this.#took.get(order.reach) ?? 0, cpuMsOf(child.pid) - begin));
      return failures;
    } catch (error) {
      await this.#stop();
      if (!isEndless) throw error;
      return ['no end'];
    } finally {
      clearInterval(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  async #stop(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#child;
    this.#child = undefined;
  }
}

/** CPU time that a process has used; 0: the process is gone. */
function cpuMsOf(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    return (Number(user) + Number(system)) * TICK_MS;
  } catch {
    return 0;
  }
}
