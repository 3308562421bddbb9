// Which drifts a person may accept: the newest one, if the person has seen it and a push could bring its files.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LooseObjects } from '../../test/support/loose-objects.ts';
import { mac } from '../../test/support/mac.ts';
import { oid } from '../../test/support/oid.ts';
import { InvalidInputError, MultinicError } from '../api/errors.ts';
import type { Interface } from '../network/interface.ts';
import { renderTree } from '../network/tree.ts';
import type { Oid, Reader } from '../store/model/store-port.ts';
import { openReader } from '../store/reader.ts';
import { acceptDrift, listDrifts, newestDrift, type AcceptedDrift } from './drifts.ts';
import { readBranch } from './node-branch.ts';
import { MAX_CHANGED_FILE } from './pushed-files.ts';
import { outcomeRef } from './refs.ts';

const OURS = 'multinic-agent <controller@multinic.io> 1700000000';
const FILE = 'etc/netplan/90-multinic0.yaml';
const NODE = {
  name: 'a',
  systemUUID: 'i-a',
  machineId: 'machine-a',
  nodeId: 'i-a',
  os: { family: 'ubuntu', major: 22 },
  renderer: 'netplan',
  source: { group: 'multinic.io', namespace: 'test', name: 'cr' },
} as const;
const NIC: Interface = {
  name: 'multinic0',
  mac: mac('02:00:00:00:00:01'),
  address: '10.0.0.10',
  prefix: 24,
  mtu: 1500,
};
const TREE = renderTree(NODE, [NIC]);

let objects: LooseObjects;
let reader: Reader;

beforeAll(async () => {
  objects = await LooseObjects.open();
  reader = openReader(objects.dir);
});

afterAll(async () => {
  await reader.close();
  await objects[Symbol.asyncDispose]();
});

/** The tip of a branch as the controller leaves it. */
function tipOf(files: ReadonlyMap<string, string>): Oid {
  const birth = objects.commit({
    tree: objects.tree(renderTree(NODE, [])),
    by: OURS,
    message: 'a: birth\n\nChange: birth\n',
  });
  return objects.commit({
    tree: objects.tree(files),
    parents: [birth],
    by: OURS,
    message: 'a: add\n\nChange: spec\n',
  });
}

/** A drift from the tip. @param host the managed files that somebody changed or added */
function driftFrom(tip: Oid, host: Readonly<Record<string, string>>, applied = TREE): Oid {
  const files = new Map([...applied, ...Object.entries(host)]);
  files.delete('node.yaml');
  const parent = objects.commit({ tree: objects.tree(files), by: OURS, message: 'a: Requested\n' });
  return objects.commit({
    tree: objects.tree(files),
    parents: [parent, tip],
    by: OURS,
    message: 'a: Drifted\n\nResult: Drifted\n',
  });
}

async function accept(
  host: Readonly<Record<string, string>>,
  { applied = TREE, shown }: { applied?: typeof TREE; shown?: Oid } = {},
): Promise<AcceptedDrift> {
  const tip = tipOf(applied);
  const drift = await newestDrift(reader, driftFrom(tip, host, applied));
  return acceptDrift(reader, await readBranch(reader, 'a', tip), drift, shown);
}

const withMtu = (mtu: number): string => renderTree(NODE, [{ ...NIC, mtu }]).get(FILE)!;

async function refusal(promise: Promise<unknown>): Promise<MultinicError> {
  return promise.then(
    () => expect.unreachable(),
    (error: unknown) => error as MultinicError,
  );
}

describe('a drift that is accepted', () => {
  test('is the newest one, if it is the one that was shown', async () => {
    const tip = tipOf(TREE);
    const first = driftFrom(tip, { [FILE]: withMtu(1400) });
    const second = driftFrom(tip, { [FILE]: withMtu(1300) });
    const branch = await readBranch(reader, 'a', tip);
    const newest = await newestDrift(reader, second);
    expect((await acceptDrift(reader, branch, newest, second)).network).toEqual([{ ...NIC, mtu: 1300 }]);
    // A client of an earlier version does not send the drift that it showed.
    expect((await acceptDrift(reader, branch, newest)).network).toEqual([{ ...NIC, mtu: 1300 }]);
    const { code, message } = await refusal(acceptDrift(reader, branch, newest, first));
    expect(code).toBe('DriftOutdated');
    expect(message).toMatch(/multinic drift a/);
    expect((await refusal(acceptDrift(reader, branch, undefined, first))).code).toBe('NothingToAccept');
  });

  test('is one of the commit that the branch still has', async () => {
    const tip = tipOf(TREE);
    const drift = await newestDrift(reader, driftFrom(tip, { [FILE]: withMtu(1400) }));
    const moved = objects.commit({
      tree: objects.tree(renderTree(NODE, [{ ...NIC, mtu: 1450 }])),
      parents: [tip],
      by: OURS,
      message: 'a: change\n\nChange: spec\n',
    });
    const { code, message } = await refusal(acceptDrift(reader, await readBranch(reader, 'a', moved), drift));
    expect([code, message]).toEqual(['DriftOutdated', expect.stringContaining('node/a moved on since')]);
  });

  test('has no new link-local address, and may have one that is stored', async () => {
    const local = { ...NIC, address: '169.254.7.7', prefix: 16 };
    const files = renderTree(NODE, [local]);
    const error = await refusal(accept({ [FILE]: files.get(FILE)! }));
    expect(error).toBeInstanceOf(InvalidInputError);
    expect((error as InvalidInputError).problems).toMatchObject([{ code: 'LinkLocalAddress', path: FILE }]);
    const changed = renderTree(NODE, [{ ...local, mtu: 1400 }]);
    expect((await accept({ [FILE]: changed.get(FILE)! }, { applied: files })).network).toMatchObject([
      { address: '169.254.7.7', mtu: 1400 },
    ]);
  });

  test('has files of the renderer alone, with the remedy for a host', async () => {
    const { code, message } = await refusal(accept({ 'etc/sysconfig/network-scripts/ifcfg-x': 'A=b\n' }));
    expect(code).toBe('UnmanagedPath');
    expect(message).toMatch(/multinic retry a takes it away$/);
  });

  test('has no file that is too large, with the remedy for a host', async () => {
    const text = `${withMtu(1400)}#${'x'.repeat(MAX_CHANGED_FILE)}\n`;
    const { code, message } = await refusal(accept({ [FILE]: text }));
    expect(code).toBe('FileTooLarge');
    expect(message).toMatch(/shorten its comments on the host$/);
  });

  test('has values that a CR may have', async () => {
    const error = await refusal(accept({ [FILE]: withMtu(1400).replace('1400', '99999') }));
    expect(error.code).toBe('InvalidTree');
  });

  test.each([
    '',
    'network:\n  version: 2\n  ethern',
    'network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n',
  ])('is a file of ours still: %j', async (text) => {
    expect((await refusal(accept({ [FILE]: text }))).code).toBe('InvalidTree');
  });

  test('differs in a file', async () => {
    expect((await refusal(accept({}))).code).toBe('NothingToAccept');
    expect((await refusal(accept({}, { shown: oid('f'.repeat(40)) }))).code).toBe('DriftOutdated');
  });
});

/** A record of an outcome branch with these files. */
const recordWith = (files: ReadonlyMap<string, string>, result: string, parents: readonly Oid[]): Oid =>
  objects.commit({
    tree: objects.tree(files),
    parents,
    by: OURS,
    message: `a: ${result}\n\nResult: ${result}\n`,
  });

describe('the files of a NIC that the host does not have', () => {
  const SECOND: Interface = {
    ...NIC,
    name: 'multinic1',
    mac: mac('02:00:00:00:00:02'),
    address: '10.0.1.10',
  };
  const both = renderTree(NODE, [NIC, SECOND]);
  const host = (second: boolean, mtu: number): Map<string, string> => {
    const files = new Map(
      [...both].filter(([path]) => path !== 'node.yaml' && (second || !path.includes('multinic1'))),
    );
    return files.set(FILE, withMtu(mtu));
  };
  test.each([
    ['stay in the branch where the run had left them out, because the NIC was missing', false, [NIC, SECOND]],
    ['leave the branch where the run had put them there', true, [NIC]],
  ])('%s', async (_, wasThere, rest) => {
    const tip = tipOf(both);
    const applied = recordWith(host(wasThere, 1500), 'Applied', [
      recordWith(new Map(), 'Requested', []),
      tip,
    ]);
    const asked = recordWith(host(wasThere, 1500), 'Requested', [applied]);
    const drift = await newestDrift(reader, recordWith(host(false, 1400), 'Drifted', [asked, tip]));
    const { network } = await acceptDrift(reader, await readBranch(reader, 'a', tip), drift);
    expect(network).toEqual(rest.map((each) => (each === NIC ? { ...NIC, mtu: 1400 } : each)));
  });
});

/** A record of an outcome branch. @param more trailers */
const record = (result: string, parents: readonly Oid[], more = ''): Oid => {
  const message = `x: ${result}\n\nResult: ${result}\n${more}`;
  return objects.commit({ tree: objects.tree(TREE), parents, by: OURS, message });
};

/** A store with the outcome branches of these nodes. */
const storeOf = (tips: Readonly<Record<string, Oid>>): Reader => {
  const refs = new Map(Object.entries(tips).map(([node, tip]) => [outcomeRef(node), tip]));
  return {
    refs: async () => refs,
    ref: async (name: string) => refs.get(name),
    commit: (id: Oid) => reader.commit(id),
  } as unknown as Reader;
};

test('the list of drifts has each node that drifted, by name, below requests; and whether it was the first observation', async () => {
  const tip = tipOf(TREE);
  const begin = record('Requested', []);
  const difference = { kind: 'LinkDown', name: 'multinic0' };
  const first = record(
    'Drifted',
    [begin, tip],
    `First-Observation: true\nDifference: ${JSON.stringify(difference)}\n`,
  );
  const later = record('Drifted', [begin]);
  const asked = record('Superseded', [record('Requested', [later])]);
  const store = storeOf({ c: asked, b: first, a: record('Applied', [later, tip]) });
  const since = 1_700_000_000;
  const b = { node: 'b', commit: first, since, applied: tip, differences: [difference], first: true };
  expect(await listDrifts(store)).toEqual([
    b,
    { node: 'c', commit: later, since, differences: [], first: false },
  ]);
  expect(await listDrifts(store, 'b')).toEqual([b]);
  expect(await listDrifts(store, 'a')).toEqual([]);
  expect((await refusal(listDrifts(store, 'd'))).code).toBe('NoSuchNode');
});
