import type { Oid, Reader } from './model/store-port.ts';

/**
 * The refs as this process knows them: this process moves nearly all of them, so listing thousands anew for every
 * decision is waste. A ref that another process moved is seen after `forget`; until then a wrong value costs a lost
 * race, no more.
 */
export class KnownRefs {
  readonly #reader: Reader;
  readonly #byName = new Map<string, Oid>();
  readonly #byPrefix = new Map<string, Map<string, Oid>>();
  /** Counts changes: a list that was read while a ref changed is not kept. */
  #changes = 0;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** All refs below a prefix (`refs/heads/node/`), by full name. */
  async below(prefix: string): Promise<ReadonlyMap<string, Oid>> {
    const known = this.#byPrefix.get(prefix);
    if (known !== undefined) return new Map(known);
    const changes = this.#changes;
    const read = await this.#reader.refs(prefix);
    if (changes !== this.#changes) return this.below(prefix);
    this.#byPrefix.set(prefix, read);
    return new Map(read);
  }

  /** Undefined: there is no such ref. */
  async at(ref: string): Promise<Oid | undefined> {
    const known = this.#byName.get(ref);
    if (known !== undefined) return known;
    const changes = this.#changes;
    const read = await this.#reader.ref(ref);
    if (changes !== this.#changes) return this.at(ref);
    if (read !== undefined) this.#byName.set(ref, read);
    return read;
  }

  moved(ref: string, to: Oid): void {
    this.#changes += 1;
    if (this.#byName.has(ref)) this.#byName.set(ref, to);
    for (const [prefix, refs] of this.#byPrefix) if (ref.startsWith(prefix)) refs.set(ref, to);
  }

  /** Forgets all refs, so that the next question goes to git: nobody knows how far a write came, or who else wrote. */
  forget(): void {
    this.#changes += 1;
    this.#byName.clear();
    this.#byPrefix.clear();
  }
}
