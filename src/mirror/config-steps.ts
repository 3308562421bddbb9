// Orders the commits of main in one pass: if a node moves between two CRs, the CR that gets the node is committed first,
// so the node is never without a CR, and its network, its names and a hold stay.

import { nodeIdKey } from '../network/text.ts';
import type { ConfigObject } from './home-port.ts';
import type { ValidConfig } from './judge.ts';
import type { MainConfig, MainState } from './main-branch.ts';
import type { Entry } from './node-entry.ts';

/** One state that a CR takes on main. */
export interface ConfigStep {
  readonly key: string;
  readonly object: ConfigObject;
  readonly config: MainConfig;
}

/**
 * The states that the CRs take, in order. A CR that loses nodes, and gains one that another CR loses, takes two states:
 * first with all of these nodes, then as written, so that CRs that trade nodes gain all before they lose any.
 */
export function configSteps(valid: ReadonlyMap<string, ValidConfig>, main: MainState): ConfigStep[] {
  const changes = [...valid].map(([key, { object, config }]) => {
    const before = main.configs.get(key)?.entries ?? new Map<string, Entry>();
    return {
      key,
      object,
      config,
      removed: without(before, config.entries),
      added: without(config.entries, before),
    };
  });
  const leaving = new Set(changes.flatMap(({ removed }) => removed.map(nodeOf)));
  const gains: ConfigStep[] = [];
  const losses: ConfigStep[] = [];
  for (const { key, object, config, removed, added } of changes) {
    const trades = removed.length > 0 && added.some((entry) => leaving.has(nodeOf(entry)));
    if (trades) gains.push({ key, object, config: withEntries(config, removed) });
    (removed.length > 0 ? losses : gains).push({ key, object, config });
  }
  return [...gains, ...losses];
}

/** Entries of one state whose key has no entry in the other state. */
function without(entries: ReadonlyMap<string, Entry>, others: ReadonlyMap<string, Entry>): Entry[] {
  if (entries === others) return [];
  return [...entries.values()].filter(({ key }) => !others.has(key));
}

function nodeOf({ key, nodeId }: Entry): string {
  return nodeId === undefined ? key : nodeIdKey(nodeId);
}

function withEntries(config: MainConfig, more: readonly Entry[]): MainConfig {
  return {
    ...config,
    entries: new Map([...config.entries, ...more.map((entry) => [entry.key, entry] as const)]),
  };
}
