import { setImmediate } from 'node:timers/promises';
import { checkpoint } from '../../api/checkpoint.ts';

/** Every step of a run, in order. A failure names its step. */
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

/** Leads a run from step to step. Between two steps a run can be killed (tests), stopped (SIGTERM) or out of time. */
export class Steps {
  current: Step = 'lock';
  readonly #signal: AbortSignal;
  readonly #stopped: Promise<never>;
  readonly #entered: (step: Step) => void;

  /** @param signal aborted with a MultinicError as reason when the run has to end */
  constructor(signal: AbortSignal, entered: (step: Step) => void) {
    this.#signal = signal;
    this.#entered = entered;
    this.#stopped = new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    // A rejection that nothing waits for must not end the process.
    this.#stopped.catch(() => {});
  }

  async do<T>(step: Step, action: () => T | Promise<T>): Promise<T> {
    await this.pause();
    this.current = step;
    this.#entered(step);
    checkpoint(`agent.${step}`);
    return await action();
  }

  /** A step that no signal and no deadline stops, such as the restore of a host. */
  async always<T>(step: Step, action: () => T | Promise<T>): Promise<T> {
    this.current = step;
    this.#entered(step);
    checkpoint(`agent.${step}`);
    return await action();
  }

  /** Waits for work that changes nothing on the host, and gives it up when the run has to end. */
  async unless<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#stopped]);
  }

  /** Lets signals and timers run, which synchronous file operations block, and throws if the run has to end. */
  async pause(): Promise<void> {
    await setImmediate();
    this.#signal.throwIfAborted();
  }
}
