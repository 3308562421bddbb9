// The fleet as the stream has described it so far. Pure: each frame makes a new state.

import type { HelloFrame, LiveConfig, LiveFleet, LiveFrame, LiveNode } from '../../api/live.ts';

export interface FleetState {
  readonly hello?: HelloFrame;
  readonly fleet?: LiveFleet;
  readonly configs: ReadonlyMap<string, LiveConfig>;
  readonly nodes: ReadonlyMap<string, LiveNode>;
  /** `EPOCH:PLACE`, which a reader sends when it reconnects. */
  readonly place?: string;
  /** Whether the first state has arrived whole. */
  readonly complete: boolean;
  readonly total: number;
}

export const EMPTY: FleetState = { configs: new Map(), nodes: new Map(), complete: false, total: 0 };

/** @param frames in their order */
export function reduce(state: FleetState, frames: readonly LiveFrame[]): FleetState {
  let next = { ...state };
  let configs: Map<string, LiveConfig> | undefined;
  let nodes: Map<string, LiveNode> | undefined;
  for (const frame of frames) {
    if (frame.frame === 'hello') {
      if (frame.fresh) {
        next = { ...EMPTY };
        configs = new Map();
        nodes = new Map();
      }
      next = { ...next, hello: frame };
    } else if (frame.frame === 'items') {
      for (const item of frame.items) {
        if (item.kind === 'fleet') next = { ...next, fleet: item.value };
        else if (item.kind === 'config') (configs ??= new Map(next.configs)).set(item.key, item.value);
        else (nodes ??= new Map(next.nodes)).set(item.key, item.value);
      }
      for (const { kind, key } of frame.gone) {
        if (kind === 'config') (configs ??= new Map(next.configs)).delete(key);
        if (kind === 'node') (nodes ??= new Map(next.nodes)).delete(key);
      }
      next = {
        ...next,
        place: `${next.hello?.epoch ?? ''}:${frame.place}`,
        complete: next.complete || !frame.more,
        total: frame.total,
      };
    }
  }
  return { ...next, configs: configs ?? next.configs, nodes: nodes ?? next.nodes };
}
