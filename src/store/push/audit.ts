// Who pushed what: authors of commits are claims, this is what was authenticated.

import { Batch } from '../model/batch.ts';
import type { Store } from '../store.ts';
import type { Oid, Push } from '../model/store-port.ts';

export const AUDIT_REF = 'refs/audit/pushes';

/**
 * Records a push, durably, before it is accepted: one commit, whose tree is empty and whose trailers are Principal,
 * Ref, Old and New. A record without the push's commits on the branch is a push that failed after it was allowed.
 *
 * @returns the id of the record
 */
export async function recordPush(store: Store, push: Push): Promise<Oid | undefined> {
  const { principal, ref, old, new: target } = push;
  const [oid] = await store.transact(async (reader) => {
    const tip = await reader.ref(AUDIT_REF);
    const batch = new Batch();
    const record = batch.commit({
      parents: tip === undefined ? [] : [tip],
      files: new Map(),
      author: { name: principal.name, email: '' },
      subject: `${principal.name} pushes ${ref} ${old.slice(0, 10)}..${target.slice(0, 10)}`,
      trailers: [
        ['Principal', principal.name],
        ['Ref', ref],
        ['Old', old],
        ['New', target],
      ],
    });
    batch.move(AUDIT_REF, record, tip ?? null);
    return batch;
  });
  return oid;
}
