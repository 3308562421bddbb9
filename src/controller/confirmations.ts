// Commits of main that a person confirmed. main is read once, and then only its new commits.

import { oidTrailer, trailer, TRAILER } from '../history/commit-format.ts';
import { MAIN } from '../history/refs.ts';
import type { Commit, Oid } from '../store/model/store-port.ts';
import type { Store } from '../store/store.ts';

/** Number of remembered confirmations. A change whose confirmation is older stops again, which is safe. */
const LOOK_BACK = 2_000;

export class Confirmations {
  readonly #store: Store;
  readonly #confirmed = new Set<Oid>();
  #seen: Oid | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async read(): Promise<ReadonlySet<Oid>> {
    const tip = await this.#store.refs.at(MAIN);
    if (tip !== undefined && tip !== this.#seen) {
      for (const commit of await this.#since(tip)) {
        const change = oidTrailer(commit, TRAILER.confirms);
        if (change !== undefined && trailer(commit, TRAILER.means) !== 'removals')
          this.#confirmed.add(change);
      }
      this.#seen = tip;
    }
    return this.#confirmed;
  }

  /** Commits of main after the last one seen. A few commits are read one by one, which starts no git process. */
  async #since(tip: Oid): Promise<readonly Commit[]> {
    const { reader } = this.#store;
    const few: Commit[] = [];
    for (let at: Oid | undefined = tip; at !== undefined && few.length < 8; at = few.at(-1)?.parents[0]) {
      if (at === this.#seen) return few;
      few.push(await reader.commit(at));
    }
    return reader.log(tip, {
      firstParent: true,
      limit: LOOK_BACK,
      ...(this.#seen !== undefined && { until: this.#seen }),
    });
  }
}
