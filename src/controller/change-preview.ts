// Preview of a command: the nodes that the command would change, and each change. Nothing is written.

import { MultinicError } from '../api/errors.ts';
import { describeChange } from '../history/commit-format.ts';
import type { Head } from '../history/branch-commits.ts';
import type { Branch } from '../history/node-branch.ts';
import { Batch } from '../store/model/batch.ts';
import type { Build, ManyMoved } from './many-branches.ts';

export interface Preview extends ManyMoved {
  readonly dryRun: true;
  readonly nodes: readonly PreviewedNode[];
}

export interface PreviewedNode {
  readonly node: string;
  /** In a person's words: `multinic0: mtu 1400 -> 1500`. */
  readonly change: string;
}

/** The change that a new head makes to a branch. */
function changeOf(branch: Branch, { network, node }: Head): PreviewedNode {
  const same = describeChange(branch.network, branch.network);
  const change = describeChange(branch.network, network);
  const allGone = network.length === 0 && branch.network.length > 0 ? ' (all its interfaces)' : '';
  const files =
    node.renderer === branch.node.renderer ? 'files are written anew' : `files of ${node.renderer}`;
  return { node: branch.name, change: change === same ? files : `${change}${allGone}` };
}

export function previewOf(branch: Branch, head: Head): Preview {
  return { dryRun: true, nodes: [changeOf(branch, head)], moved: [], skipped: [] };
}

/** The same change for each node. */
export function previewOfEach(nodes: readonly string[], change: string): Preview {
  return { dryRun: true, nodes: nodes.map((node) => ({ node, change })), moved: [], skipped: [] };
}

/** Previews `moveMany`. */
export async function previewMany(
  branches: readonly Branch[],
  decide: (branch: Branch) => Promise<Build>,
): Promise<Preview> {
  const nodes: PreviewedNode[] = [];
  const skipped: { node: string; reason: string }[] = [];
  for (const branch of branches) {
    try {
      // The batch is thrown away, so that the files of one branch are in memory.
      const build = await decide(branch);
      nodes.push(changeOf(branch, build(new Batch())));
    } catch (error) {
      if (!(error instanceof MultinicError)) throw error;
      skipped.push({ node: branch.name, reason: error.message });
    }
  }
  return { dryRun: true, nodes, moved: [], skipped };
}
