// Counts refused tokens by the address that sent them, so that a guesser costs the authenticator a bounded number of
// questions, and keeps no other address out.

import { MultinicError } from '../../api/errors.ts';

/** Refused tokens of one address in one window. A person who mistypes a token sends a few, and git repeats each. */
const MAX_REFUSALS = 30;
const WINDOW_MS = 10_000;
/** Addresses that are counted at a time. */
const MAX_ADDRESSES = 10_000;

export class Refusals {
  readonly #now: () => number;
  readonly #byAddress = new Map<string, { count: number; readonly until: number }>();

  /** @param now milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(address: string): void {
    const known = this.#of(address);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    if (this.#byAddress.size >= MAX_ADDRESSES) this.#byAddress.clear();
    this.#byAddress.set(address, { count: 1, until: this.#now() + WINDOW_MS });
  }

  /** @throws MultinicError `Busy` when the address has had its share of refusals */
  expectFew(address: string): void {
    const known = this.#of(address);
    if (known === undefined || known.count < MAX_REFUSALS) return;
    throw new MultinicError(
      'Busy',
      `${known.count} unknown tokens came from ${address} within seconds: wait ${WINDOW_MS / 1000} seconds, then send a known one`,
    );
  }

  #of(address: string): { count: number; readonly until: number } | undefined {
    const known = this.#byAddress.get(address);
    if (known !== undefined && this.#now() < known.until) return known;
    this.#byAddress.delete(address);
    return undefined;
  }
}
