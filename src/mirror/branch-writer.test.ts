// How changes are written in a batch: a change that cannot be written fails for its node alone.

import { describe, expect, test } from 'vitest';
import { identity, nic } from '../../test/support/agent.ts';
import { oid } from '../../test/support/oid.ts';
import { MultinicError } from '../api/errors.ts';
import type { Branch } from '../history/node-branch.ts';
import { Branches } from '../history/node-branch.ts';
import { nodeRef } from '../network/node-ref.ts';
import type { Batch } from '../store/model/batch.ts';
import type { Commit, Reader } from '../store/model/store-port.ts';
import type { Store } from '../store/store.ts';
import { BranchWriter, type Change, type Step, type Written } from './branch-writer.ts';

const MAIN = oid('main');
const person = { name: 'c', email: 'c', time: 1 };

function commit(id: string): Commit {
  const trailers: Commit['trailers'] = [['Change', 'spec']];
  const people = { author: person, committer: person };
  return { oid: oid(id), tree: oid('t'), parents: [], ...people, subject: '', body: '', trailers };
}

const step: Step = {
  commit: commit('main'),
  main: { commit: MAIN, configs: new Map() },
  inventory: [],
  order: new Map([[MAIN, 0]]),
};

const changesOf = (count: number): Change[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `w${index}`,
    node: identity('netplan', `w${index}`),
    wanted: [nic(1)],
  }));

/** A store that judges each batch by the refs that the batch moves. */
class Writes {
  readonly batches: string[][] = [];
  readonly branches = new Map<string, Branch>();
  readonly #judge: (refs: readonly string[]) => readonly string[];

  /** @param judge the refs that another process moved; it throws what the store throws */
  constructor(judge: (refs: readonly string[]) => readonly string[]) {
    this.#judge = judge;
  }

  write(changes: readonly Change[]): Promise<Written> {
    const reader = { commits: async (oids: string[]) => oids.map((id) => commit(id)) } as unknown as Reader;
    const writeEach = async ({ commits, moves }: Batch) => {
      const refs = moves.map(({ ref }) => ref);
      this.batches.push(refs);
      return { oids: commits.map((_, index) => oid(`c${index}`)), rejected: this.#judge(refs) };
    };
    const writer = new BranchWriter({ reader, writeEach } as unknown as Store, new Branches(reader));
    return writer.write(step, changes, this.branches);
  }
}

/** A store that cannot write these nodes. */
const without = (...nodes: string[]): Writes =>
  new Writes((refs) => {
    if (nodes.some((node) => refs.includes(nodeRef(node)))) throw new Error('odd');
    return [];
  });

const names = (count: number): string[] => changesOf(count).map(({ name }) => name);

describe('a batch', () => {
  test('is written whole, with an event for each node', async () => {
    const writes = without();
    const { events, rejected, problems } = await writes.write(changesOf(2));
    expect(events.map(({ type, node }) => `${type} ${node}`)).toEqual(['Committed w0', 'Committed w1']);
    expect([rejected.size, problems.size, writes.batches.length]).toEqual([0, 0, 1]);
    const { base, network } = writes.branches.get('w0')!;
    expect([base.network, network.map(({ name }) => name)]).toEqual([network, ['multinic1']]);
  });

  test('leaves out a branch that another process moved, before or while it is written', async () => {
    const moved = nodeRef('w1');
    const writes = new Writes((refs) => {
      if (!refs.includes(moved)) return [];
      throw new MultinicError('LostRace', 'moved', { data: { refs: [moved] } });
    });
    const before = await writes.write(changesOf(3));
    expect(writes.batches.slice(1)).toEqual([[nodeRef('w0'), nodeRef('w2')]]);
    const during = await new Writes((refs) => refs.filter((ref) => ref === moved)).write(changesOf(3));
    for (const { rejected, events, problems } of [before, during]) {
      expect([...rejected]).toEqual(['w1']);
      expect(events.map(({ node }) => node)).toEqual(['w0', 'w2']);
      expect(problems.size).toBe(0);
    }
  });

  test('is divided until a failure is that of one node', async () => {
    const writes = without('w2');
    const { events, problems } = await writes.write(changesOf(5));
    expect([...problems].map(([node, { code, message }]) => [node, code, message])).toEqual([
      ['w2', 'NodeTrouble', "odd: see the controller's log"],
    ]);
    expect(events.map(({ node }) => node).sort()).toEqual(['w0', 'w1', 'w3', 'w4']);
  });

  test('fails as a whole when the store is the cause: by its error, or by more than ten failures', async () => {
    const ten = await without(...names(10)).write(changesOf(10));
    expect(ten.problems.size).toBe(10);
    await expect(without(...names(11)).write(changesOf(11))).rejects.toThrow('odd');
    const full = new Writes(() => {
      throw new MultinicError('DiskFull', 'full');
    });
    await expect(full.write(changesOf(2))).rejects.toMatchObject({ code: 'DiskFull' });
    expect(full.batches).toHaveLength(1);
  });
});

const transact = async (make: () => Promise<Batch>): Promise<string[]> =>
  (await make()).commits.map((_, at) => oid(`c${at}`));

/**
 * Takes a turn on the node `w0` while the memory has an older branch.
 * @param now the branch as the store has it
 */
async function turn(now: Branch | undefined, decide: (known: Branch | undefined) => Change | undefined) {
  const reader = { commits: async (oids: string[]) => oids.map((id) => commit(id)) } as unknown as Reader;
  const known = { read: async () => now, remember: () => undefined } as unknown as Branches;
  const branches = new Map([['w0', {} as Branch]]);
  const writer = new BranchWriter({ reader, transact } as unknown as Store, known);
  return writer.writeInTurn(step, 'w0', branches, async () => decide(branches.get('w0')));
}

const failing = (code: 'LostRace' | 'InvalidTip' | 'DiskFull'): Promise<Written> =>
  turn(undefined, () => {
    throw new MultinicError(code, 'odd');
  });

describe('a turn on one node', () => {
  const [change] = changesOf(1);

  test.each([{ name: 'w0' } as Branch, undefined])('decides by the branch as it is now: %j', async (now) => {
    let seen: unknown = 'nothing';
    const { events } = await turn(now, (known) => {
      seen = known;
      return undefined;
    });
    expect([seen, events]).toEqual([now, []]);
  });

  test('writes what it decides', async () => {
    expect((await turn(undefined, () => change)).events).toMatchObject([{ type: 'Committed', node: 'w0' }]);
  });

  test('tells a lost race from the trouble of a node, and both from the trouble of the store', async () => {
    expect([...(await failing('LostRace')).rejected]).toEqual(['w0']);
    expect([...(await failing('InvalidTip')).problems.keys()]).toEqual(['w0']);
    await expect(failing('DiskFull')).rejects.toMatchObject({ code: 'DiskFull' });
  });
});

test('a new identity is committed before what is wanted, and a birth without interfaces is one commit', async () => {
  const writes = without();
  await writes.write([{ name: 'w0', node: identity('netplan', 'w0'), wanted: [] }]);
  const branch = writes.branches.get('w0')!;
  expect([branch.network, branch.hold]).toEqual([[], undefined]);
  const node = { ...branch.node, machineId: 'other' };
  const { events } = await writes.write([{ name: 'w0', branch, node, wanted: [nic(1)] }]);
  expect(events).toMatchObject([{ type: 'Committed', node: 'w0' }]);
  expect(writes.branches.get('w0')).toMatchObject({ node: { machineId: 'other' } });
});
