import { expect, test } from 'vitest';
import { identity as nodeOf, nic } from '../../test/support/agent.ts';
import { oid } from '../../test/support/oid.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit } from '../store/model/store-port.ts';
import { headOf, identity, move, spec } from './branch-commits.ts';
import { TRAILER } from './commit-format.ts';
import type { Branch } from './node-branch.ts';

const TIP = oid('tip');
const HOLD = { commit: oid('held'), author: CONTROLLER, since: 1 };
const CAUSE = { author: CONTROLLER, trailers: [] };

function branchOf(hold?: Branch['hold']): Branch {
  const tip = { oid: TIP } as Commit;
  const network = [nic(0)];
  const read = { name: 'w', tip, anchor: tip, node: nodeOf('netplan', 'w'), network, tree: oid('tree') };
  return { ...read, base: { network: [] }, ...(hold && { hold }) };
}

test('a spec commit ends a hold and names it; without a hold it names none', () => {
  for (const hold of [HOLD, undefined]) {
    const batch = new Batch();
    const head = headOf(branchOf(hold));
    expect('hold' in head).toBe(hold !== undefined);
    const next = spec(batch, head, [nic(0, { mtu: 1400 })], CAUSE);
    expect(next).not.toHaveProperty('hold');
    const [commit] = batch.commits;
    expect(commit!.trailers).toEqual([
      [TRAILER.change, 'spec'],
      ...(hold === undefined ? [] : [[TRAILER.endsHold, HOLD.commit]]),
    ]);
    expect(commit).toMatchObject({ parents: [TIP], replace: true });
    expect(commit!.subject.includes('hold ended')).toBe(hold !== undefined);
  }
});

test('a hold goes on over an identity commit, and the branch moves to the newest commit', () => {
  const batch = new Batch();
  const head = headOf(branchOf(HOLD));
  const next = identity(batch, head, head.node, head.network, 'new machine');
  expect(next.hold).toEqual(HOLD);
  move(batch, 'w', next, TIP);
  expect(batch.moves).toEqual([{ ref: 'refs/heads/node/w', to: { mark: 1 }, from: TIP }]);
});
