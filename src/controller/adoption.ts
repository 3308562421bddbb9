// Adopts names: NICs that already bear a managed name keep it. The names that a run found go into an identity commit, and
// the agent runs again.

import { checkpoint } from '../api/checkpoint.ts';
import { adopt, headOf, move } from '../history/branch-commits.ts';
import type { Branch } from '../history/node-branch.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import { Batch } from '../store/model/batch.ts';
import type { ControllerContext } from './controller-context.ts';
import { namesAdopted } from './facts.ts';

/** Limit of adoptions in a row: a host with other names each time would cause a commit and a job at every pass. */
const MAX_ADOPTIONS = 5;

/** @returns the branch with the names that its newest run found; the branch itself when it has them, or cannot have them */
export async function adoptNames(
  { store, branches, log }: ControllerContext,
  branch: Branch,
  history: readonly OutcomeRecord[],
): Promise<Branch> {
  if (namesAdopted(branch, history) !== false || branch.invalid !== undefined) return branch;
  if (adoptionsInARow(history) > MAX_ADOPTIONS) return branch;
  const found = history.find(({ result }) => result !== 'Requested')?.found ?? [];
  const batch = new Batch();
  const head = adopt(batch, headOf(branch), found);
  if (head.tree === branch.tree) return branch;
  move(batch, branch.name, head, branch.tip.oid);
  await store.write(batch);
  checkpoint('controller.adopted');
  log.info({ node: branch.name, found }, 'names that the host has were adopted');
  return branches.get(branch.name);
}

function adoptionsInARow(history: readonly OutcomeRecord[]): number {
  const runs = history.filter(({ result }) => result !== 'Requested');
  const end = runs.findIndex(({ result }) => result !== 'Adopt');
  return end === -1 ? runs.length : end;
}
