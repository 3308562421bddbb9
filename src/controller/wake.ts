// Wakes the controller: whatever may change something asks for a pass. The wake is there before all else of the
// controller, so that a push or an ended job is heard from the first moment.

export class Wake {
  #asked = false;
  #stopped = false;
  #resolve: (() => void) | undefined;

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Wakes the loop for another pass, because something may have changed. */
  readonly trigger = (): void => {
    this.#asked = true;
    this.#resolve?.();
  };

  /** No pass follows the present one. */
  readonly stop = (): void => {
    this.#stopped = true;
    this.#resolve?.();
  };

  /** A pass begins: it sees everything that was asked for before. */
  begin(): void {
    this.#asked = false;
  }

  /** Waits until a pass is asked for, the controller stops, or the time is over. */
  async pause(ms: number): Promise<void> {
    if (this.#asked || this.#stopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#resolve = undefined;
  }
}
