// Describes one commit of main for people: the nodes that it changed, grouped by equal changes, and the nodes with
// later commits.

import { MultinicError } from '../api/errors.ts';
import { oidTrailer, TRAILER } from '../history/commit-format.ts';
import { mainEntry, type HistoryEntry } from '../history/main-history.ts';
import { MAIN } from '../history/refs.ts';
import { changedNodes } from '../mirror/main-branch.ts';
import { nodeIdKey } from '../network/text.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import type { Snapshot } from './config-status.ts';

export interface ChangeReport extends HistoryEntry {
  readonly body: string;
  /** Nodes whose branch follows this commit, grouped by the change; the most frequent change first. */
  readonly groups: readonly ChangeGroup[];
  /** Nodes that the commit changed and whose branch follows a later commit. */
  readonly movedOn: readonly string[];
}

export interface ChangeGroup {
  /** Words for people, with `…` for each address. */
  readonly change: string;
  readonly nodes: readonly { readonly node: string; readonly commit: Oid }[];
}

/** @throws MultinicError `NotFound`, `NotInBranch` */
export async function changeReport(
  reader: Reader,
  snapshot: Snapshot | undefined,
  text: string,
): Promise<ChangeReport> {
  const oid = await reader.resolve(text);
  const main = await reader.ref(MAIN);
  if (main === undefined || !(await reader.isAncestor(oid, main)))
    throw new MultinicError('NotInBranch', `${text} is no commit of main: git log main lists them`, {
      data: { commit: oid },
    });
  const commit = await reader.commit(oid);
  const named = await changedNodes(reader, commit);
  const groups = new Map<string, { node: string; commit: Oid }[]>();
  const movedOn: string[] = [];
  const followsLater = async (spec: Commit | undefined): Promise<boolean> => {
    const later = spec && oidTrailer(spec, TRAILER.mainCommit);
    return later !== undefined && (await reader.isAncestor(oid, later));
  };
  for (const [node, { base, node: identity }] of snapshot?.report.branches ?? []) {
    const spec = base.commit;
    if (spec !== undefined && oidTrailer(spec, TRAILER.mainCommit) === oid) {
      const change = withoutAddresses(spec.subject.replace(`${node}: `, ''));
      groups.set(change, [...(groups.get(change) ?? []), { node, commit: spec.oid }]);
    } else if (named.has(nodeIdKey(identity.nodeId)) && (await followsLater(spec))) movedOn.push(node);
  }
  return {
    ...mainEntry(commit),
    body: commit.body,
    groups: [...groups]
      .map(([change, nodes]) => ({ change, nodes }))
      .toSorted((a, b) => b.nodes.length - a.nodes.length),
    movedOn: movedOn.toSorted(),
  };
}

const ADDRESS =
  /\b(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?=\/|\b)/g;

/** The words of a change without the parts that differ from node to node. */
export function withoutAddresses(text: string): string {
  return text.replaceAll(ADDRESS, '…');
}
