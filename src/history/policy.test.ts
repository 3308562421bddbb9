// Every bound of the push policy, one below and one above, on objects that no git would make.

import type { Oid } from '../api/oid.ts';
import { oid } from '../../test/support/oid.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LooseObjects, type RawCommit } from '../../test/support/loose-objects.ts';
import { InvalidInputError, MultinicError } from '../api/errors.ts';
import { MAX_ADDRESSES, MAX_INTERFACES, MAX_ROUTES, type Interface } from '../network/interface.ts';
import type { NodeIdentity, RendererKind } from '../network/node.ts';
import { RENDERER_KINDS } from '../network/renderers.ts';
import { renderTree } from '../network/tree.ts';
import { MAX_NAME, MAX_SUBJECT } from '../store/model/objects.ts';
import type { Reader } from '../store/model/store-port.ts';
import { MAX_COMMIT_BYTES, NODE_TREE } from '../store/model/tree-bounds.ts';
import { openReader } from '../store/reader.ts';
import { NodeBranchPolicy } from './policy.ts';
import { MAX_CLOCK_AHEAD_S, MAX_COMMITS } from './pushed-commits.ts';
import { MAX_CHANGED_FILE } from './pushed-files.ts';
import { nodeRef } from '../network/node-ref.ts';
import { mac } from '../../test/support/mac.ts';

const NOW_S = 1_700_000_000;
const OURS = `multinic-agent <controller@multinic.io> ${NOW_S - 100}`;
const FILE = 'etc/netplan/90-multinic0.yaml';
const DROP_IN = 'etc/systemd/network/10-netplan-multinic0.network.d/multinic0-routing.conf';
const SYSCTL = 'etc/sysctl.d/90-multinic-multinic0.conf';
const ROUTING = { sourceRouting: true as const, furtherAddresses: [] as string[] };
const NO_COMMIT = oid('0'.repeat(40));

const nic = (index: number, mtu = 1500): Interface => ({
  name: `multinic${index}`,
  mac: mac(`02:00:00:00:00:${index.toString(16).padStart(2, '0')}`),
  address: `10.0.${index}.10`,
  prefix: 24,
  mtu,
});

/** A NIC with as many addresses and routes as a CR may have, each as long as its text can be. */
function largest(index: number): Interface {
  const subnet = `2001:db8:1111:${(0x1000 + index).toString(16)}`;
  const gateway6 = `${subnet}:ffff:ffff:ffff:ffff`;
  const addresses = Array.from(
    { length: MAX_ADDRESSES },
    (_, each) => `${subnet}:4444:5555:6666:${(0x1000 + each).toString(16)}`,
  );
  return {
    ...nic(index),
    address: addresses[0]!,
    prefix: 64,
    furtherAddresses: addresses.slice(1).map((address) => `${address}/64`),
    gateway6,
    routes: Array.from({ length: MAX_ROUTES }, (_, each) => ({
      to: `2001:db8:aaaa:${(0x1000 + index).toString(16)}:cccc:dddd:eeee:${(0x1000 + each).toString(16)}/128`,
      via: gateway6,
      metric: 4_000_000_000,
    })),
    sourceRouting: true,
    statedSourceRouting: true,
  };
}

const nodeOf = (renderer: RendererKind): NodeIdentity => ({
  name: 'a',
  systemUUID: 'i-a',
  machineId: 'machine-a',
  nodeId: 'i-a',
  os: { family: 'ubuntu', major: 22 },
  renderer,
  source: { group: 'multinic.io', namespace: 'test', name: 'cr' },
});

const filesOf = (nics: readonly Interface[], renderer: RendererKind = 'netplan'): Map<string, string> =>
  new Map(renderTree(nodeOf(renderer), nics));

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

/** A branch as the controller leaves it. @returns its tip */
function branchOf(files: ReadonlyMap<string, string>): Oid {
  const birth = objects.commit({
    tree: objects.tree(filesOf([])),
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

const START = [nic(0), nic(1)];

/** A push of one commit on the branch. */
function pushed(commit: Partial<RawCommit>, before = filesOf(START)): { old: Oid; new: Oid } {
  const old = branchOf(before);
  return { old, new: objects.commit({ tree: objects.tree(before), parents: [old], ...commit }) };
}

const check = (push: { old: Oid; new: Oid }, ref = nodeRef('a')): Promise<readonly string[]> =>
  new NodeBranchPolicy(() => NOW_S * 1000).check(
    { principal: { name: 'alice', role: 'write' }, ref, ...push },
    reader,
  );

/** The code of the refusal; undefined: accepted. */
async function refusal(push: { old: Oid; new: Oid }, ref?: string): Promise<string | undefined> {
  try {
    await check(push, ref);
    return undefined;
  } catch (error) {
    if (!(error instanceof MultinicError)) throw error;
    return error.code;
  }
}

const withFiles = (change: Readonly<Record<string, string>>, before = filesOf(START)): RawCommit => ({
  tree: objects.tree(new Map([...before, ...Object.entries(change)])),
});

/** The file of multinic0 with a comment that brings it to a length. */
const ofLength = (length: number): string => {
  const text = filesOf(START).get(FILE)!;
  return `${text}#${'x'.repeat(length - text.length - 2)}\n`;
};

describe('before an object is read', () => {
  const [tip, other, none] = [oid('a'.repeat(40)), oid('b'.repeat(40)), oid('0'.repeat(40))];

  test.each([
    ['a push on the tip', { old: tip, new: other }, tip, undefined],
    ['main', { ref: 'refs/heads/main', old: tip, new: other }, tip, 'ReservedRef'],
    ['an outcome', { ref: 'refs/heads/outcome/a', old: tip, new: other }, tip, 'ReservedRef'],
    ['the fence', { ref: 'refs/meta/writer', old: tip, new: other }, tip, 'ReservedRef'],
    ['a folder below a branch', { ref: 'refs/heads/node/a/b', old: tip, new: other }, tip, 'ReservedRef'],
    ['a deletion', { old: tip, new: none }, tip, 'BranchDelete'],
    ['a new branch', { old: none, new: other }, undefined, 'BranchCreate'],
    ['a branch that is gone', { old: tip, new: other }, undefined, 'BranchCreate'],
    ['a branch that moved', { old: tip, new: other }, other, 'LostRace'],
    ['a branch that was born', { old: none, new: other }, tip, 'LostRace'],
  ] as const)('%s', (_, push, at, code) => {
    const principal = { name: 'alice', role: 'write' } as const;
    const refused = new NodeBranchPolicy().judgeRef({ principal, ref: nodeRef('a'), ...push }, at);
    expect(refused?.code).toBe(code);
  });
});

describe('which pushes', () => {
  test('to a node that has a branch', async () => {
    const push = pushed({});
    expect(await refusal(push)).toBeUndefined();
    expect(await refusal(push, 'refs/heads/main')).toBe('ReservedRef');
    expect(await refusal(push, 'refs/heads/outcome/a')).toBe('ReservedRef');
    expect(await refusal({ ...push, new: NO_COMMIT })).toBe('BranchDelete');
    expect(await refusal({ ...push, old: NO_COMMIT })).toBe('BranchCreate');
    const blob = objects.blob('x');
    expect(await refusal({ ...push, new: blob })).toBe('NoCommit');
    await expect(check({ ...push, new: blob })).rejects.toThrow(`${blob.slice(0, 10)} is no commit`);
  });

  test.each([
    [MAX_COMMITS, undefined],
    [MAX_COMMITS + 1, 'TooManyCommits'],
  ])('of %d commits', async (count, code) => {
    const old = branchOf(filesOf(START));
    let tip = old;
    for (let each = 0; each < count; each += 1) {
      tip = objects.commit({ tree: objects.tree(filesOf(START)), parents: [tip], message: `change ${each}` });
    }
    expect(await refusal({ old, new: tip })).toBe(code);
  });

  test('that build on the tip', async () => {
    const push = pushed({});
    const beside = objects.commit({
      tree: objects.tree(filesOf(START)),
      parents: [push.old],
      message: 'other',
    });
    expect(await refusal({ old: push.new, new: beside })).toBe('NotFastForward');
    const orphan = objects.commit({ tree: objects.tree(filesOf(START)) });
    expect(await refusal({ old: push.old, new: orphan })).toBe('NotFastForward');
    const merge = objects.commit({ tree: objects.tree(filesOf(START)), parents: [push.old, push.new] });
    expect(await refusal({ old: push.old, new: merge })).toBe('MergeCommit');
  });
});

describe('which commits', () => {
  test.each([
    ['controller@multinic.io', 'ReservedCommitter'],
    ['Controller@MultiNIC.io', 'ReservedCommitter'],
    [' controller@multinic.io ', 'ReservedCommitter'],
    ['<controller@multinic.io', 'ReservedCommitter'],
    ['controller@multinic.io.example.org', undefined],
  ])('by the committer %s', async (address, code) => {
    const by = `x <${address}> ${NOW_S}`;
    const headers = [`author Alice <alice@example.org> ${NOW_S} +0000`, `committer ${by} +0000`];
    expect(await refusal(pushed({ headers }))).toBe(code);
  });

  test.each([
    [NOW_S + MAX_CLOCK_AHEAD_S, undefined],
    [NOW_S + MAX_CLOCK_AHEAD_S + 1, 'FutureDate'],
    [0, undefined],
    [-1, 'InvalidCommit'],
    [253_402_300_800, 'InvalidCommit'],
  ])('with a committer date of %d', async (time, code) => {
    const headers = ['author A <a@b> 5 +0000', `committer A <a@b> ${time} +0000`];
    expect(await refusal(pushed({ headers }))).toBe(code);
  });

  test.each([
    [253_402_300_799, undefined],
    [253_402_300_800, 'InvalidCommit'],
    [0, undefined],
    [-1, 'InvalidCommit'],
  ])('with an author date of %d', async (time, code) => {
    const headers = [`author A <a@b> ${time} +0000`, `committer A <a@b> ${NOW_S} +0000`];
    expect(await refusal(pushed({ headers }))).toBe(code);
  });

  test.each(['author', 'committer', 'tree'])('with one %s header', async (key) => {
    const stamp = `A <a@b> ${NOW_S} +0000`;
    const headers = [`author ${stamp}`, `committer ${stamp}`];
    const second = key === 'tree' ? `tree ${NO_COMMIT}` : `${key} B <b@c> ${NOW_S} +0000`;
    expect(await refusal(pushed({ headers }))).toBeUndefined();
    expect(await refusal(pushed({ headers: [...headers, second] }))).toBe('InvalidCommit');
  });

  test.each([
    [MAX_COMMIT_BYTES, undefined],
    [MAX_COMMIT_BYTES + 1, 'CommitTooLarge'],
  ])('of %d bytes', async (size, code) => {
    const bare = pushed({ message: 'subject\n\n' });
    const head = await reader.head(bare.new);
    expect(await refusal(pushed({ message: `subject\n\n${'x'.repeat(size - head!.size)}` }))).toBe(code);
  });

  test.each([
    [MAX_SUBJECT, undefined],
    [MAX_SUBJECT + 1, 'TextTooLong'],
  ])('with a subject of %d characters', async (length, code) => {
    expect(await refusal(pushed({ message: 's'.repeat(length) }))).toBe(code);
  });

  test.each([
    [MAX_NAME, undefined],
    [MAX_NAME + 1, 'TextTooLong'],
  ])('with a name or an address of %d characters', async (length, code) => {
    const long = 'n'.repeat(length);
    for (const person of [`${long} <a@b>`, `A <${long}>`]) {
      for (const key of ['author', 'committer']) {
        const headers = ['author', 'committer'].map(
          (each) => `${each} ${each === key ? person : 'A <a@b>'} 5 +0000`,
        );
        expect(await refusal(pushed({ headers }))).toBe(code);
      }
    }
  });
});

/** Trees and files that a push reads on a branch with this number of edits since the controller's commit. */
const readsAfter = async (edits: number): Promise<number> => {
  let tip = branchOf(filesOf(START));
  for (let edit = 0; edit < edits; edit += 1) {
    const tree = objects.tree(filesOf([nic(0, 1400 + edit), nic(1)]));
    tip = objects.commit({ tree, parents: [tip], message: `edit ${edit}` });
  }
  const tree = objects.tree(filesOf([nic(0, 1399), nic(1)]));
  let reads = 0;
  const counted = new Proxy(reader, {
    get: (target, name: keyof Reader) => {
      if (name === 'list' || name === 'files' || name === 'blob') reads += 1;
      return (target[name] as (...args: unknown[]) => unknown).bind(target);
    },
  });
  const push = { old: tip, new: objects.commit({ tree, parents: [tip], message: 'one more' }) };
  const principal = { name: 'alice', role: 'write' } as const;
  const policy = new NodeBranchPolicy(() => NOW_S * 1000);
  await policy.check({ principal, ref: nodeRef('a'), ...push }, counted);
  return reads;
};

test('a push reads as many trees and files after many edits of persons as after one', async () => {
  const [few, many] = [await readsAfter(1), await readsAfter(40)];
  expect(few).toBeGreaterThan(0);
  expect(many).toBe(few);
});

describe('which trees', () => {
  test.each([
    ['100644', undefined],
    ['100755', 'FileMode'],
    ['120000', 'FileMode'],
    ['160000', 'FileMode'],
  ])('with files of mode %s', async (mode, code) => {
    const tree = objects.tree(filesOf(START), (path) => (path === FILE ? mode : '100644'));
    expect(await refusal(pushed({ tree }))).toBe(code);
  });

  test('with files that the renderer manages, and the node.yaml that the controller wrote', async () => {
    expect(await refusal(pushed(withFiles({ 'etc/passwd': 'x' })))).toBe('UnmanagedPath');
    expect(await refusal(pushed(withFiles({ 'node.yaml': 'x' })))).toBe('NodeFileChanged');
    const without = new Map([...filesOf(START)].filter(([path]) => path !== 'node.yaml'));
    expect(await refusal(pushed({ tree: objects.tree(without) }))).toBe('NodeFileChanged');
  });

  test('with that node.yaml also where a branch has had another one for several commits', async () => {
    const before = filesOf(START);
    const noted = objects.tree(new Map([...before, ['node.yaml', `# mine\n${before.get('node.yaml')}`]]));
    let old = branchOf(before);
    for (const message of ['one', 'two']) old = objects.commit({ tree: noted, parents: [old], message });
    const push = (tree: Oid): { old: Oid; new: Oid } => ({
      old,
      new: objects.commit({ tree, parents: [old] }),
    });
    expect(await refusal(push(noted))).toBe('NodeFileChanged');
    expect(await refusal(push(objects.tree(before)))).toBeUndefined();
  });

  test.each([
    [49_152, undefined],
    [49_153, 'FileTooLarge'],
  ])('with a changed file of lines of %d characters', async (length, code) => {
    const before = filesOf(START, 'ifcfg');
    const path = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
    const text = before.get(path)!;
    const long = `${text}#${'x'.repeat(length - text.length - 2)}\n`;
    expect(await refusal(pushed(withFiles({ [path]: long }, before), before))).toBe(code);
  });

  test.each([
    [MAX_CHANGED_FILE, undefined],
    [MAX_CHANGED_FILE + 1, 'FileTooLarge'],
    [NODE_TREE.fileBytes + 1, 'FileTooLarge'],
  ])('with a changed file of %d characters', async (length, code) => {
    expect(await refusal(pushed(withFiles({ [FILE]: ofLength(length) })))).toBe(code);
  });

  test('with a larger file that the branch has already', async () => {
    const before = new Map([...filesOf(START), [FILE, ofLength(MAX_CHANGED_FILE + 1)]]);
    const other = filesOf([nic(0), nic(1, 1400)]).get('etc/netplan/91-multinic1.yaml')!;
    const push = pushed(withFiles({ 'etc/netplan/91-multinic1.yaml': other }, before), before);
    expect(await check(push)).toEqual(['node/a: multinic1 (02:00:00:00:00:01): multinic1 mtu 1500 -> 1400']);
  });

  test.each([
    [MAX_INTERFACES, undefined],
    [MAX_INTERFACES + 1, 'TooManyInterfaces'],
  ])('of %d interfaces with four files each', async (count, code) => {
    const before = filesOf([], 'ifcfg');
    const nics = Array.from({ length: count }, (_, index) => ({ ...nic(index), ...ROUTING }));
    for (const [index, each] of nics.entries()) each.furtherAddresses = [`2001:db8:${index + 1}::1/64`];
    const files = filesOf(nics, 'ifcfg');
    expect(files.size).toBe(1 + 4 * count);
    expect(await refusal(pushed({ tree: objects.tree(files) }, before))).toBe(code);
  });

  test.each(RENDERER_KINDS)('of the largest network that a %s node may have', async (renderer) => {
    const files = filesOf(
      Array.from({ length: MAX_INTERFACES }, (_, index) => largest(index)),
      renderer,
    );
    expect(files.size).toBeGreaterThan(2 * MAX_INTERFACES);
    expect(await refusal(pushed({ tree: objects.tree(files) }, filesOf([], renderer)))).toBeUndefined();
  });

  test.each([
    ['the MTU of a NIC with routing', FILE, /mtu: 1500/, 'mtu: 1400', undefined],
    ['its gateway', DROP_IN, 'Gateway=10.0.0.1', 'Gateway=10.0.0.2', undefined],
    ['a gateway of another network', DROP_IN, 'Gateway=10.0.0.1', 'Gateway=10.9.0.1', 'InvalidTree'],
    ['one rule of three', DROP_IN, /Priority=20001/, 'Priority=20002', 'InvalidTree'],
    ['the settings of the kernel', SYSCTL, 'rp_filter = 2', 'rp_filter = 0', 'InvalidTree'],
  ] as const)('of %s', async (_title, path, from, to, code) => {
    const before = filesOf([{ ...nic(0), sourceRouting: true, gateway: '10.0.0.1' }]);
    const text = before.get(path) ?? '';
    expect(text).toMatch(from);
    const after = new Map([...before, [path, text.replace(from, to)]]);
    expect(await refusal(pushed({ tree: objects.tree(after) }, before))).toBe(code);
  });

  test.each([
    [NODE_TREE.entries, 'UnmanagedPath'],
    [NODE_TREE.entries + 1, 'TreeTooLarge'],
  ])('of %d entries are listed', async (count, code) => {
    const blob = objects.blob('x');
    const entries = Array.from({ length: count }, (_, index) => ['100644', `f${index}`, blob] as const);
    expect(await refusal(pushed({ tree: objects.folder(entries) }))).toBe(code);
  });

  test.each([
    [NODE_TREE.depth, 'UnmanagedPath'],
    [NODE_TREE.depth + 1, 'TreeTooLarge'],
  ])('of %d folders in each other are listed', async (depth, code) => {
    let tree = objects.folder([['100644', 'f', objects.blob('x')]]);
    for (let each = 1; each < depth; each += 1) tree = objects.folder([['40000', 'd', tree]]);
    expect(await refusal(pushed({ tree }))).toBe(code);
  });

  test('that a few objects make endless', async () => {
    let tree = objects.folder([['100644', 'f', objects.blob('x')]]);
    for (let level = 0; level < 12; level += 1) {
      tree = objects.folder(Array.from({ length: 100 }, (_, index) => ['40000', `d${index}`, tree] as const));
    }
    expect(await refusal(pushed({ tree }))).toBe('TreeTooLarge');
  });

  test('whose files say what can be applied', async () => {
    const broken = pushed(withFiles({ [FILE]: 'network: [' }));
    expect(await refusal(broken)).toBe('InvalidTree');
    await expect(check(broken)).rejects.toThrow(`${broken.new.slice(0, 10)} can't be applied`);
    expect(await refusal(pushed({ tree: objects.tree(filesOf([nic(0, 10)])) }))).toBe('InvalidTree');
    expect(await refusal(pushed(withFiles({ [FILE]: ofLength(800).replace('x', '\u2028') })))).toBe(
      'InvalidTree',
    );
  });
});

/** The first NIC's file states its source routing. */
const stated = (is: boolean, nics: readonly Interface[]): Interface[] =>
  nics.map((each, index) => (index === 0 ? { ...each, statedSourceRouting: is } : each));

describe('source routing that a push switches', () => {
  const off = [nic(0), nic(1)];
  const on = [{ ...nic(0), sourceRouting: true as const }, nic(1)];

  test.each([
    ['off', on, off, 'source routing on (auto) -> off (auto)', true],
    ['on', off, on, 'source routing off (auto) -> on (auto)', true],
    ['off by a word', on, stated(false, off), 'source routing on (auto) -> off', false],
    ['not at all', on, on.map((each) => ({ ...each, mtu: 1400 })), 'mtu 1500 -> 1400', false],
  ])('%s', async (word, before, after, change, isWarned) => {
    const lines = await check(pushed({ tree: objects.tree(filesOf(after)) }, filesOf(before)));
    expect(lines[0]).toContain(change);
    const warnings = lines.filter((line) => line.includes('warning: multinic0 (02:00:00:00:00:00)'));
    expect(lines.filter((line) => line.includes('warning'))).toHaveLength(isWarned ? 1 : 0);
    expect(warnings.join()).toContain(isWarned ? `write "# Source routing: ${word}"` : '');
  });
});

test('a refused push names the first lines of a file, not the whole file', async () => {
  const further = Array.from({ length: 14 }, (_, index) => `10.0.0.${index + 20}/24`);
  const routed = { ...nic(0), furtherAddresses: further, sourceRouting: true as const };
  const before = filesOf([{ ...routed, gateway: '10.0.0.1' }], 'keyfile');
  const path = 'etc/NetworkManager/system-connections/multinic0.nmconnection';
  const text = before.get(path)!.replace(/# route\nroute2=.*\n# its options\n.*\n/, '');
  const push = pushed({ tree: objects.tree(new Map([...before, [path, text]])) }, before);
  const error: unknown = await check(push).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(InvalidInputError);
  const { message, problems } = error as InvalidInputError;
  expect(problems).toHaveLength(9);
  expect(message).toMatch(/has \d+ more such lines; compare the file with the one of the commit before/);
  expect(message.length).toBeLessThan(2_500);
});

describe('a link-local address', () => {
  const linkLocal = { ...nic(0), address: '169.254.7.10' };

  test('is refused where the branch does not have it, also on another interface', async () => {
    const push = pushed({ tree: objects.tree(filesOf([linkLocal, nic(1)])) });
    await expect(check(push)).rejects.toThrow(/169\.254\.7\.10 is a link-local address/);
    expect(await refusal(push)).toBe('InvalidTree');
    const stored = filesOf([linkLocal]);
    const moved = filesOf([{ ...linkLocal, mac: nic(5).mac }]);
    expect(await refusal(pushed({ tree: objects.tree(moved) }, stored))).toBe('InvalidTree');
  });

  test('that the branch has from an earlier version stays, with a warning', async () => {
    const push = pushed({ tree: objects.tree(filesOf([{ ...linkLocal, mtu: 1400 }])) }, filesOf([linkLocal]));
    expect(await check(push)).toEqual([
      'node/a: multinic0 (02:00:00:00:00:00): multinic0 mtu 1500 -> 1400',
      'node/a: warning: multinic0 (02:00:00:00:00:00): 169.254.7.10 is a link-local address, which every network has; write the address of the port',
    ]);
  });
});

describe('what a push changes', () => {
  test('is said for each interface, by name and MAC', async () => {
    const after = [{ ...nic(0, 1400), address: '10.0.0.11' }, nic(2)];
    expect(await check(pushed({ tree: objects.tree(filesOf(after)) }))).toEqual([
      'node/a: multinic0 (02:00:00:00:00:00): multinic0 10.0.0.10/24 -> 10.0.0.11/24, multinic0 mtu 1500 -> 1400',
      'node/a: multinic1 (02:00:00:00:00:01): remove multinic1',
      'node/a: multinic2 (02:00:00:00:00:02): add multinic2 10.0.2.10/24',
    ]);
    expect(await check(pushed({}))).toEqual(['node/a: no interface changes']);
  });
});

const says = (oid: string): string => `Revert "a change"\n\nThis reverts commit ${oid}.`;

/** multinic0 changes; then a person's commit says that it reverts that, and does something. */
async function revert(
  after: readonly Interface[],
  message: (oid: string) => string,
): Promise<string | undefined> {
  const old = branchOf(filesOf(START));
  const edit = objects.commit({ tree: objects.tree(filesOf([nic(0, 1400), nic(1)])), parents: [old] });
  const commit = objects.commit({
    tree: objects.tree(filesOf(after)),
    parents: [edit],
    message: message(edit),
  });
  return refusal({ old: edit, new: commit });
}

describe('a commit that says it reverts another', () => {
  test('may change the interfaces of that one', async () => {
    expect(await revert([nic(0), nic(1)], says)).toBeUndefined();
    expect(await revert([nic(0, 1300), nic(1)], (oid) => says(oid.slice(0, 10)))).toBeUndefined();
  });

  test('may not change another, whichever the file is', async () => {
    expect(await revert([nic(0, 1400), nic(1, 1400)], says)).toBe('StrayRevert');
    expect(await revert([nic(0), nic(1, 1400)], says)).toBe('StrayRevert');
    expect(await revert([nic(0, 1400)], (oid) => says(oid.slice(0, 10)))).toBe('StrayRevert');
    expect(await revert([nic(0, 1400), nic(1, 1400)], (oid) => `This reverts commit ${oid}.`)).toBe(
      'StrayRevert',
    );
  });

  test('is judged by all commits that it names, and not by one that nobody has', async () => {
    expect(await revert([nic(0), nic(1, 1400)], () => says(oid('f'.repeat(40))))).toBeUndefined();
    const spec = branchOf(filesOf(START));
    expect(
      await revert([nic(0), nic(1, 1400)], (oid) => `${says(oid)}\nThis reverts commit ${spec}.`),
    ).toBeUndefined();
  });

  test('names the way to do it', async () => {
    const old = branchOf(filesOf(START));
    const edit = objects.commit({ tree: objects.tree(filesOf([nic(0, 1400), nic(1)])), parents: [old] });
    const commit = objects.commit({
      tree: objects.tree(filesOf([nic(0, 1400), nic(1, 1400)])),
      parents: [edit],
      message: says(edit),
    });
    await expect(check({ old: edit, new: commit })).rejects.toThrow(
      /multinic1 \(02:00:00:00:00:01\) besides.*git revert --strategy=recursive -X no-renames, or multinic rollback a --to/,
    );
  });
});
