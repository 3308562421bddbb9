import type { Oid, Reader } from './model/store-port.ts';

/** The refs below a prefix. */
interface List {
  refs: Map<string, Oid>;
  /** A caller has the map, so it never changes again. */
  isLent: boolean;
}

function lend(list: List): ReadonlyMap<string, Oid> {
  list.isLent = true;
  return list.refs;
}

function set(list: List, ref: string, to: Oid): void {
  if (list.isLent) list.refs = new Map(list.refs);
  list.isLent = false;
  list.refs.set(ref, to);
}

/**
 * Caches the refs, because this process moves nearly all of them and listing thousands for every decision would be
 * waste. A ref that another process moved is seen only after `forget`; until then the stale value costs a lost race at
 * most.
 */
export class KnownRefs {
  readonly #reader: Reader;
  readonly #byName = new Map<string, Oid>();
  readonly #byPrefix = new Map<string, List>();
  /** Counts changes, so that a list that was read during a change is not kept. */
  #changes = 0;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** All refs below a prefix (`refs/heads/node/`), by full name. */
  async below(prefix: string): Promise<ReadonlyMap<string, Oid>> {
    const known = this.#byPrefix.get(prefix);
    if (known !== undefined) return lend(known);
    const changes = this.#changes;
    const read = await this.#reader.refs(prefix);
    if (changes !== this.#changes) return this.below(prefix);
    const list = { refs: read, isLent: false };
    this.#byPrefix.set(prefix, list);
    return lend(list);
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
    for (const [prefix, list] of this.#byPrefix) if (ref.startsWith(prefix)) set(list, ref, to);
  }

  /**
   * Forgets all refs, so that the next question goes to git. Needed when a write failed half-way, or another process
   * may have written.
   */
  forget(): void {
    this.#changes += 1;
    this.#byName.clear();
    this.#byPrefix.clear();
  }
}
