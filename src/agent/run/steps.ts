import { setImmediate } from 'node:timers/promises';
import { checkpoint } from '../../api/checkpoint.ts';

/** Every step of a run, in order. A failure names the one that it happened in. */
export const STEPS = [
  'lock',
  'recover',
  'checkout',
  'tree',
  'detect',
  'plan',
  'preflight',
  'validate',
  'backup',
  'record',
  'arm',
  'write',
  'activate',
  'verify',
  'restore',
  'finish',
  'disarm',
  'report',
] as const;
export type Step = (typeof STEPS)[number];

/** Leads a run from step to step: between any two it can be killed (tests), stopped (SIGTERM) or out of time. */
export class Steps {
  current: Step = 'lock';
  readonly #signal: AbortSignal;
  readonly #stopped: Promise<never>;
  readonly #entered: (step: Step) => void;

  /** @param signal aborted with a MultinicError as reason when the run shall end */
  constructor(signal: AbortSignal, entered: (step: Step) => void) {
    this.#signal = signal;
    this.#entered = entered;
    this.#stopped = new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    // Whoever waits hears of it; nobody need wait.
    this.#stopped.catch(() => {});
  }

  async do<T>(step: Step, action: () => T | Promise<T>): Promise<T> {
    await this.pause();
    this.current = step;
    this.#entered(step);
    checkpoint(`agent.${step}`);
    return await action();
  }

  /** A step that runs to its end, come what may: what restores a host is not to be stopped half-way. */
  async always<T>(step: Step, action: () => T | Promise<T>): Promise<T> {
    this.current = step;
    this.#entered(step);
    checkpoint(`agent.${step}`);
    return await action();
  }

  /** Waits for what may be given up at any time, because it changes nothing on the host. */
  async unless<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#stopped]);
  }

  /** Lets signals and timers in, which synchronous file operations keep out, and ends the run if one of them says so. */
  async pause(): Promise<void> {
    await setImmediate();
    this.#signal.throwIfAborted();
  }
}
