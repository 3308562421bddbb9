// The newest value of each item of the streams, in the order of changes. The server keeps nothing for a reader but its
// place, so a slow reader costs no memory. Pure.

import { isDeepStrictEqual } from 'node:util';
import type { ItemsFrame, LiveItem } from '../api/live.ts';

interface Kept {
  readonly at: number;
  readonly kind: LiveItem['kind'];
  readonly key: string;
  /** undefined: the node or CR is gone. */
  readonly item: LiveItem | undefined;
}

/** Number of removed items that are still remembered. */
const MAX_GONE = 1_000;

export class LiveItems {
  /** Items by kind and key, in the order of their changes. */
  readonly #kept = new Map<string, Kept>();
  readonly #maxGone: number;
  #place = 0;
  #gone = 0;
  /** A reader at an earlier place may have missed the removal of an item. */
  #floor = 0;

  constructor(maxGone = MAX_GONE) {
    this.#maxGone = maxGone;
  }

  /** Place of the newest change. */
  get place(): number {
    return this.#place;
  }

  /** Takes the whole present state. @returns whether anything changed */
  set(items: readonly LiveItem[]): boolean {
    const before = this.#place;
    const present = new Set(items.map(idOf));
    for (const item of items) {
      const known = this.#kept.get(idOf(item))?.item;
      if (!isDeepStrictEqual(known, item)) this.#put(item.kind, item.key, item);
    }
    for (const [id, { kind, key, item }] of this.#kept)
      if (item !== undefined && !present.has(id)) this.#put(kind, key, undefined);
    this.#forget();
    return this.#place !== before;
  }

  /** Whether the stream can go on from this place. */
  knows(place: number): boolean {
    return place >= this.#floor && place <= this.#place;
  }

  /** The changes after a place, the oldest first. */
  after(place: number, limit: number): Omit<ItemsFrame, 'frame'> {
    const found: Kept[] = [];
    let more = false;
    for (const kept of this.#kept.values()) {
      if (kept.at <= place) continue;
      more = found.length === limit;
      if (more) break;
      found.push(kept);
    }
    return {
      items: found.flatMap(({ item }) => item ?? []),
      gone: found.flatMap(({ kind, key, item }) => (item === undefined ? [{ kind, key }] : [])),
      place: found.at(-1)?.at ?? place,
      more,
      total: this.#kept.size - this.#gone,
    };
  }

  #put(kind: LiveItem['kind'], key: string, item: LiveItem | undefined): void {
    const id = idOf({ kind, key });
    const wasGone = this.#kept.has(id) && this.#kept.get(id)?.item === undefined;
    this.#gone += Number(item === undefined) - Number(wasGone);
    this.#kept.delete(id);
    this.#kept.set(id, { at: (this.#place += 1), kind, key, item });
  }

  #forget(): void {
    for (const [id, { item, at }] of this.#kept) {
      if (this.#gone <= this.#maxGone) return;
      if (item !== undefined) continue;
      this.#kept.delete(id);
      this.#gone -= 1;
      this.#floor = at;
    }
  }
}

function idOf({ kind, key }: Pick<LiveItem, 'kind' | 'key'>): string {
  return `${kind} ${key}`;
}
