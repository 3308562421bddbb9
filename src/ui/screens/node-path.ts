import type { FleetState } from '../live/fleet-state.ts';

/**
 * The path of a node in the API; undefined: the state is not whole yet, or no commit has the node, because its entry was
 * never good.
 */
export function pathOf(name: string, { nodes, complete }: FleetState): string | undefined {
  if (!complete) return undefined;
  const live = [...nodes.values()].find(({ node }) => node === name);
  if (live !== undefined && live.desiredCommit === undefined) return undefined;
  return `/nodes/${encodeURIComponent(name)}`;
}
