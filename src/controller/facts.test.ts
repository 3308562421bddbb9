import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import type { Branch } from '../history/node-branch.ts';
import type { OutcomeRecord } from '../history/outcome-branch.ts';
import type { Commit, Reader } from '../store/model/store-port.ts';
import { factsOf } from './facts.ts';
import { mac } from '../../test/support/mac.ts';

const MAC = mac('02:00:00:00:00:01');

const KNOWN = oid('known');

function branchWith(netplanId?: string): Branch {
  const person = { name: 'multinic-agent', email: 'controller@multinic.io', time: 7 };
  const tip: Commit = {
    oid: oid('a'.repeat(40)),
    tree: oid('t'),
    parents: [],
    author: person,
    committer: person,
    subject: '',
    body: '',
    trailers: [['Main-Commit', oid('m'.repeat(40))]],
  };
  const network = [
    {
      name: 'multinic0',
      mac: MAC,
      address: '10.0.0.1',
      prefix: 24,
      mtu: 1500,
      ...(netplanId !== undefined && { netplanId }),
    },
  ];
  return {
    name: 'w',
    tip,
    anchor: tip,
    node: {
      name: 'w',
      systemUUID: 'u',
      machineId: 'm',
      nodeId: 'i-1',
      os: { family: 'ubuntu', major: 22 },
      renderer: 'netplan',
      source: { group: 'g', namespace: 'n', name: 'c' },
    },
    network,
    base: { commit: tip, network },
    tree: oid('tree'),
  };
}

function outcome(more: Partial<OutcomeRecord>): OutcomeRecord {
  return {
    oid: oid('o'),
    time: 1,
    result: 'Adopt',
    attempt: 1,
    tree: oid('empty'),
    missing: [],
    found: [],
    ...more,
  };
}

const reader = { isAncestor: async (commit: string) => commit === KNOWN } as unknown as Reader;
const facts = (
  branch: Branch,
  history: OutcomeRecord[],
  annotations = {},
  listed?: Parameters<typeof factsOf>[2],
) => factsOf(reader, branch, listed, history, annotations);

describe('found names are adopted', () => {
  test.each([
    { what: 'when the tip has them', found: { mac: MAC, name: 'multinic0' }, adopted: true },
    { what: 'not when it has others', found: { mac: MAC, name: 'multinic3' }, adopted: false },
    {
      what: 'not without the netplan ID',
      found: { mac: MAC, name: 'multinic0', netplanId: 'ens6' },
      adopted: false,
    },
    {
      what: 'with the netplan ID',
      found: { mac: MAC, name: 'multinic0', netplanId: 'ens6' },
      id: 'ens6',
      adopted: true,
    },
    {
      what: 'when the NIC is none of ours',
      found: { mac: '02:00:00:00:00:99', name: 'multinic7' },
      adopted: true,
    },
  ])('$what', async ({ found, id, adopted }) => {
    expect((await facts(branchWith(id), [outcome({ found: [found] })])).namesAdopted).toBe(adopted);
  });

  test('nothing is said where nothing was found', async () => {
    expect(await facts(branchWith(), [outcome({ result: 'Applied' })])).not.toHaveProperty('namesAdopted');
  });
});

test('what an annotation of the node says beats that of its CR', async () => {
  const listed = {
    name: 'w',
    systemUUID: 'u',
    machineId: 'm',
    bootID: 'b',
    osImage: '',
    ready: true,
    paused: false,
    annotations: { 'multinic.io/apply': 'files' },
  };
  expect(
    await facts(branchWith(), [], { 'multinic.io/apply': 'full', 'multinic.io/paused': 'true' }, listed),
  ).toMatchObject({
    apply: 'files',
    paused: true,
    ready: true,
    bootID: 'b',
    change: oid('m'.repeat(40)),
    wanted: true,
  });
  const gone = await facts(branchWith(), [], { 'multinic.io/apply': 'nonsense' });
  expect(gone).toMatchObject({ ready: false, paused: false, bootID: '' });
  expect(gone).not.toHaveProperty('apply');
});

const listedWith = (annotations: Readonly<Record<string, string>>) => ({
  name: 'w',
  systemUUID: 'u',
  machineId: 'm',
  bootID: 'b',
  osImage: '',
  ready: true,
  paused: false,
  annotations,
});

describe('an annotation of the Node', () => {
  test('pauses the node, in an inventory.yaml too', async () => {
    const node = listedWith({ 'multinic.io/paused': 'true' });
    expect((await facts(branchWith(), [], {}, node)).paused).toBe(true);
  });

  test('that is false does not end the pause of its CR', async () => {
    const node = listedWith({ 'multinic.io/paused': 'false' });
    expect((await facts(branchWith(), [], { 'multinic.io/paused': 'true' }, node)).paused).toBe(true);
  });

  test('that means nothing does not hide the one of its CR', async () => {
    const node = listedWith({ 'multinic.io/apply': 'Full' });
    expect((await facts(branchWith(), [], { 'multinic.io/apply': 'files' }, node)).apply).toBe('files');
  });

  test('names probes as they are written: the agent refuses a bad one', async () => {
    const node = listedWith({ 'multinic.io/probes': '192.168.100.1, gateway' });
    expect((await facts(branchWith(), [], {}, node)).probes).toEqual(['192.168.100.1', 'gateway']);
  });
});

test("the host's record is looked up in the branch", async () => {
  for (const record of [KNOWN, oid('strange')]) {
    const known = await facts(branchWith(), [outcome({ result: 'Diverged', record })]);
    expect(known.recordInBranch).toBe(record === KNOWN);
  }
});
