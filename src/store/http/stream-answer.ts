/** The answer of a route that goes on: one JSON value a line, until the reader or the server ends it. */
export class StreamAnswer {
  readonly #open: (signal: AbortSignal) => AsyncGenerator<object>;

  /** @param open makes the values; the signal aborts when the reader has gone */
  constructor(open: (signal: AbortSignal) => AsyncGenerator<object>) {
    this.#open = open;
  }

  /** @throws the route's error before the first value */
  open(signal: AbortSignal): AsyncGenerator<object> {
    return this.#open(signal);
  }
}
