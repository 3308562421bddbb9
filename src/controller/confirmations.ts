// Commits of main that a person confirmed. main is read once, and then only its new commits.

import { oidTrailer, trailer, TRAILER } from '../history/commit-format.ts';
import { MAIN } from '../history/refs.ts';
import type { Commit, Oid } from '../store/model/store-port.ts';
import type { Policy } from '../scheduler/schedule.ts';
import type { Store } from '../store/store.ts';

/** Number of remembered confirmations. A change whose confirmation is older stops again, which is safe. */
const LOOK_BACK = 2_000;

export class Confirmations {
  readonly #store: Store;
  readonly #confirmed = new Set<Oid>();
  #repairsAt = 0;
  #seen: Oid | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Commits of main whose changes go on, and the time since which repairs may go on, seconds since 1970. */
  async read(): Promise<Pick<Policy, 'confirmed' | 'repairsConfirmedAt'>> {
    const tip = await this.#store.refs.at(MAIN);
    if (tip !== undefined && tip !== this.#seen) {
      for (const commit of await this.#since(tip)) {
        const confirmed = oidTrailer(commit, TRAILER.confirms);
        const means = trailer(commit, TRAILER.means);
        if (means === 'repairs') this.#repairsAt = Math.max(this.#repairsAt, commit.committer.time);
        else if (confirmed !== undefined && means !== 'removals') this.#confirmed.add(confirmed);
      }
      this.#seen = tip;
    }
    return { confirmed: this.#confirmed, repairsConfirmedAt: this.#repairsAt };
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
