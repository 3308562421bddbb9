import { describe, expect, test } from 'vitest';
import { identity as nodeOf, nic } from '../../test/support/agent.ts';
import { oid } from '../../test/support/oid.ts';
import { Batch } from '../store/model/batch.ts';
import { CONTROLLER } from '../store/model/committer.ts';
import type { Commit } from '../store/model/store-port.ts';
import { adopt, adoptable, birth, edit, headOf, identity, move, rerender, spec } from './branch-commits.ts';
import { TRAILER } from './commit-format.ts';
import type { Branch } from './node-branch.ts';
import type { Network } from '../network/interface.ts';
import { managedFiles, renderTree, treeId } from '../network/tree.ts';

const TIP = oid('tip');
const HOLD = { commit: oid('held'), author: CONTROLLER, since: 1 };
const CAUSE = { author: CONTROLLER, trailers: [] };

function branchOf(hold?: Branch['hold'], network: Network = [nic(0)]): Branch {
  const tip = { oid: TIP } as Commit;
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

test('a birth commit has no parent, and is no older than its cause', () => {
  const batch = new Batch();
  birth(batch, nodeOf('netplan', 'w'), CAUSE);
  birth(batch, nodeOf('netplan', 'w'), { ...CAUSE, notBefore: 0 });
  expect(batch.commits).toMatchObject([{ parents: [], subject: 'w: birth, ubuntu 22, netplan' }, {}]);
  expect(batch.commits.map(({ notBefore }) => notBefore)).toEqual([undefined, 0]);
});

describe('the body has the whole change', () => {
  test.each([
    [99, undefined],
    [100, `multinic0 port none -> ${'p'.repeat(77)}`],
  ])('where the subject would have %d characters', (length, body) => {
    const batch = new Batch();
    const portId = 'p'.repeat(length - 'multinic0 port none -> '.length);
    spec(batch, headOf(branchOf()), [nic(0, { portId })], CAUSE);
    expect(batch.commits[0]!.body).toBe(body);
  });

  test('where the subject says something else', () => {
    const batch = new Batch();
    const head = headOf(branchOf());
    identity(batch, head, head.node, [nic(0, { mtu: 1400 })], 'new machine');
    expect(batch.commits[0]!.body).toBe('multinic0 mtu 1500 -> 1400');
  });
});

describe('names of the host', () => {
  const { mac } = nic(0);

  test.each([
    ['with an ID of another file', { name: 'multinic3', netplanId: 'ens5' }, { netplanId: 'ens5' }],
    ['without an ID', { name: 'multinic3' }, {}],
    ['without an ID that is a managed name', { name: 'multinic3', netplanId: 'multinic4' }, {}],
    ['not a name that is none of ours', { name: 'ens5', netplanId: 'ens5' }, undefined],
  ])('are adopted %s', (_, found, more) => {
    const expected = more === undefined ? [] : [{ mac, name: found.name, ...more }];
    expect(adoptable(nodeOf('netplan'), [{ mac, ...found }])).toEqual(expected);
  });

  test('are adopted once each, and without IDs where the renderer has no place for them', () => {
    const found = [0, 1].map((index) => ({ mac: nic(index).mac, name: 'multinic3', netplanId: 'ens5' }));
    expect(adoptable(nodeOf('ifcfg'), found)).toEqual([{ mac, name: 'multinic3' }]);
  });

  test('come into the commit with their IDs; the other NICs, source routing and a hold stay', () => {
    const batch = new Batch();
    const others = [nic(1, { sourceRouting: true }), nic(2)];
    const head = headOf(branchOf(HOLD, [nic(0), ...others]));
    const next = adopt(batch, head, [{ mac, name: 'multinic3', netplanId: 'ens5' }]);
    expect(next.network).toEqual([...others, nic(0, { name: 'multinic3', netplanId: 'ens5' })]);
    expect(next.hold).toEqual(HOLD);
    expect(batch.commits[0]).toMatchObject({
      subject: 'w: adopt names of the host: multinic3',
      replace: true,
    });
  });
});

test('an accepted drift is an edit with the files of the host alone', () => {
  const batch = new Batch();
  const head = headOf(branchOf(undefined, [nic(0), nic(1)]));
  const network = [nic(0, { mtu: 1400 })];
  const files = renderTree(head.node, network);
  const drift = oid('drift');
  const next = edit(batch, head, { files, network }, drift, CAUSE);
  expect(batch.commits).toMatchObject([
    {
      parents: [TIP],
      replace: true,
      files,
      subject: 'w: accept what the host has: remove multinic1, multinic0 mtu 1500 -> 1400',
      trailers: [[TRAILER.accepts, drift]],
    },
  ]);
  expect(next).toMatchObject({ parent: { mark: 1 }, network, tree: treeId(managedFiles(files)) });
});

test.each([
  ['netplan', [nic(0, { netplanId: 'ens5' })]],
  ['ifcfg', [nic(0)]],
] as const)('a netplan ID goes on only in files of netplan: %s', (kind, network) => {
  const batch = new Batch();
  const head = headOf(branchOf(undefined, [nic(0, { netplanId: 'ens5' })]));
  expect(rerender(batch, head, nodeOf(kind, 'w'), CAUSE).network).toEqual(network);
});
