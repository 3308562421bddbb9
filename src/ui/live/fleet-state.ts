// The fleet as the stream has described it so far. Pure: each frame makes a new state.

import type { HelloFrame, ItemsFrame, LiveConfig, LiveFleet, LiveFrame, LiveNode } from '../../api/live.ts';

interface FleetItems {
  readonly fleet?: LiveFleet;
  readonly configs: ReadonlyMap<string, LiveConfig>;
  readonly nodes: ReadonlyMap<string, LiveNode>;
  /** `EPOCH:PLACE`, which a reader sends when it reconnects. */
  readonly place?: string;
  /** Whether the first state has arrived whole. */
  readonly complete: boolean;
  readonly total: number;
}

export interface FleetState extends FleetItems {
  readonly hello?: HelloFrame;
  /** A new first state that is not whole yet. The state before stays on the screen until then. */
  readonly incoming?: FleetItems;
}

export const EMPTY: FleetState = { configs: new Map(), nodes: new Map(), complete: false, total: 0 };

/** @param frames in their order */
export function reduce(state: FleetState, frames: readonly LiveFrame[]): FleetState {
  let { hello, incoming, ...shown } = state;
  let reading = new ItemReader(incoming ?? shown);
  for (const frame of frames) {
    if (frame.frame === 'hello') {
      hello = frame;
      if (frame.fresh) reading = new ItemReader(EMPTY);
    } else if (frame.frame === 'items') reading.take(frame, hello?.epoch ?? '');
  }
  const read = reading.items;
  const isShown = read.complete || !shown.complete;
  return { ...(isShown ? read : { ...shown, incoming: read }), ...(hello && { hello }) };
}

/** Where a reader that reconnects goes on. */
export function placeOf({ place, incoming }: FleetState): string | undefined {
  return incoming === undefined ? place : incoming.place;
}

/** Reads frames; the maps of the state before are copied once. */
class ItemReader {
  #items: FleetItems;
  #configs: Map<string, LiveConfig> | undefined;
  #nodes: Map<string, LiveNode> | undefined;

  constructor(before: FleetItems) {
    this.#items = before;
  }

  get items(): FleetItems {
    const { configs, nodes } = this.#items;
    return { ...this.#items, configs: this.#configs ?? configs, nodes: this.#nodes ?? nodes };
  }

  take({ items, gone, place, more, total }: ItemsFrame, epoch: string): void {
    for (const { kind, key, value } of items) {
      if (kind === 'fleet') this.#items = { ...this.#items, fleet: value };
      else if (kind === 'config') this.#ownConfigs().set(key, value);
      else this.#ownNodes().set(key, value);
    }
    for (const { kind, key } of gone) {
      if (kind === 'config') this.#ownConfigs().delete(key);
      if (kind === 'node') this.#ownNodes().delete(key);
    }
    const complete = this.#items.complete || !more;
    this.#items = { ...this.#items, place: `${epoch}:${place}`, complete, total };
  }

  #ownConfigs(): Map<string, LiveConfig> {
    return (this.#configs ??= new Map(this.#items.configs));
  }

  #ownNodes(): Map<string, LiveNode> {
    return (this.#nodes ??= new Map(this.#items.nodes));
  }
}
