// The audit of pushes. The author of a commit is a claim; a record names the authenticated principal.

import { AUDIT_REF } from '../model/store-refs.ts';
import { parseOid } from '../../api/oid.ts';
import { Batch } from '../model/batch.ts';
import type { Store } from '../store.ts';
import type { Commit, Mark, Oid, Push } from '../model/store-port.ts';

/** Branches in one record, so that a record stays smaller than the largest commit that is read whole. */
const BRANCHES_A_RECORD = 100;

/**
 * Records a push durably in one write before it is accepted: one commit for each hundred of its branches, with an empty
 * tree and the trailers Principal and, for each branch, Ref, Old and New. If the branch lacks the commits of a record,
 * the push failed after it was allowed.
 *
 * @returns ids of the records
 */
export async function recordPushes(store: Store, pushes: readonly Push[]): Promise<Oid[]> {
  return store.transact(async (reader) => {
    const tip = await reader.ref(AUDIT_REF);
    const batch = new Batch();
    let parent: Oid | Mark | undefined = tip;
    for (let start = 0; start < pushes.length; start += BRANCHES_A_RECORD) {
      parent = record(batch, parent, pushes.slice(start, start + BRANCHES_A_RECORD));
    }
    if (parent !== undefined) batch.move(AUDIT_REF, parent, tip ?? null);
    return batch;
  });
}

function record(batch: Batch, parent: Oid | Mark | undefined, pushes: readonly Push[]): Mark {
  const [first] = pushes;
  const name = first?.principal.name ?? '';
  const what =
    first !== undefined && pushes.length === 1
      ? `${first.ref} ${first.old.slice(0, 10)}..${first.new.slice(0, 10)}`
      : `${pushes.length} branches`;
  return batch.commit({
    parents: parent === undefined ? [] : [parent],
    files: new Map(),
    author: { name, email: '' },
    subject: `${name} pushes ${what}`,
    trailers: [
      ['Principal', name],
      ...pushes.flatMap(
        ({ ref, old, new: target }) =>
          [
            ['Ref', ref],
            ['Old', old],
            ['New', target],
          ] as const,
      ),
    ],
  });
}

/** One branch of a record. */
export interface PushedBranch {
  readonly ref: string;
  readonly old: Oid;
  readonly new: Oid;
}

/** The branches of a record, in its order. */
export function pushedBranches(record: Commit): PushedBranch[] {
  const all = (key: string): string[] =>
    record.trailers.filter(([name]) => name === key).map(([, value]) => value);
  const [olds, news] = [all('Old'), all('New')];
  return all('Ref').flatMap((ref, index) => {
    const [old, target] = [parseOid(olds[index]), parseOid(news[index])];
    return old === undefined || target === undefined ? [] : [{ ref, old, new: target }];
  });
}
