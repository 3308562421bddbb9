// Starts passes: every event that may change something fires the trigger. The trigger exists before all other parts of
// the controller, so that no push and no ended job is missed.

export class PassTrigger {
  #asked = false;
  #stopped = false;
  #resolve: (() => void) | undefined;

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Asks the loop for another pass, because something may have changed. */
  readonly fire = (): void => {
    this.#asked = true;
    this.#resolve?.();
  };

  /** Ends the loop: no pass follows the present one. */
  readonly stop = (): void => {
    this.#stopped = true;
    this.#resolve?.();
  };

  /** Notes that a pass begins, which covers all earlier requests for a pass. */
  begin(): void {
    this.#asked = false;
  }

  /**
   * Waits until a pass is asked for, the controller stops, or the time is over.
   * @returns whether the time was not over yet
   */
  async pause(ms: number): Promise<'asked' | 'over'> {
    if (this.#asked || this.#stopped) return 'asked';
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#resolve = undefined;
    return this.#asked || this.#stopped ? 'asked' : 'over';
  }
}
