import { execa } from 'execa';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InvalidInputError, type Problem } from '../api/errors.ts';
import type { Interface } from './interface.ts';
import { parseNode, renderNode, type NodeIdentity } from './node.ts';
import { RENDERER_KINDS } from './renderers.ts';
import { managedFiles, NODE_FILE, readTree, renderTree, treeId } from './tree.ts';
import type { Files } from './renderer.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';
import { mac } from '../../test/support/mac.ts';

const NODE: NodeIdentity = {
  name: 'k8s-worker-01',
  systemUUID: '0C497169-A104-4448-AFDE-F27B79FCA904',
  machineId: '12345678901234567890123456789012',
  nodeId: '0c497169a1044448afdef27b79fca904',
  os: { family: 'ubuntu', major: 22 },
  renderer: 'netplan',
  source: { group: 'multinic.okestro.io', namespace: 'multinic-system', name: 'production' },
};
const NETWORK: Interface[] = [0, 2, 11].map((index) => ({
  name: `multinic${index}`,
  mac: mac(`02:00:00:00:00:${String(index).padStart(2, '0')}`),
  address: `192.168.${index}.10`,
  prefix: 24,
  mtu: 1500,
  portId: `port-${index}`,
}));

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-tree-'));
  folders.push(folder);
  return folder;
}

test('a tree with many problems has all of them, and its message the first ten', () => {
  const nics = NETWORK.map((nic) => ({
    ...nic,
    routes: Array.from({ length: 64 }, (_, index) => ({
      to: `10.9.${100 + index}.0/24`,
      via: nic.address!.replace(/10$/, '1'),
      metric: 7,
    })),
  }));
  const error = thrownBy(() => readTree(renderTree(NODE, nics))) as InvalidInputError;
  expect(error.problems.length).toBe(2 * 64);
  expect(error.message).toMatch(/^the node's tree: (?:[^;]+; [^;]+; ){10}and 118 more$/);
});

describe('node.yaml', () => {
  test.each([
    'yes',
    'on',
    'null',
    'falsey',
    '1e10',
    '0x1f',
    '12345',
    '~',
    'a: b',
    'a #b',
    '"q"',
    "it's",
    'café',
    'Infinity',
    '1.2',
    'a\\b',
  ])('keeps the text %s, whichever way it is read', (text) => {
    const node = { ...NODE, systemUUID: text, machineId: text, source: { ...NODE.source, name: text } };
    expect(parseNode(renderNode(node))).toEqual(node);
    expect(parseNode(`# a note\n${renderNode(node)}`)).toEqual(node);
  });

  test('is readable whatever the machine does not say of itself', () => {
    const node = { ...NODE, systemUUID: '', machineId: '' };
    expect(parseNode(renderNode(node))).toEqual(node);
    expect(parseNode(`# a note\n${renderNode(node)}`)).toEqual(node);
  });

  test('says who the node is, and is read back', () => {
    expect(parseNode(renderNode(NODE))).toEqual(NODE);
    expect(renderNode(NODE)).toContain('machineID: "12345678901234567890123456789012"');
  });

  test.each([
    ['a foreign key', /renderer:/, 'color: red\n  renderer:'],
    ['a missing key', /  renderer: .*\n/, ''],
    ['a renderer that there is not', /netplan/, 'networkd'],
    ['a node name with a path', /name: k8s-worker-01/, 'name: ../x'],
    ['an ID that no ref could hold', /nodeId: .*/, 'nodeId: a..b'],
    ['a number for text', /machineID: .*/, 'machineID: 12'],
    ['broken YAML', /source:/, 'source'],
    ['an alias', /name: k8s-worker-01/, 'name: *x'],
  ])('refuses %s', (_, pattern, replacement) => {
    const text = renderNode(NODE).replace(pattern, replacement);
    expect(text).not.toBe(renderNode(NODE));
    expect(() => parseNode(text)).toThrow(InvalidInputError);
  });
});

describe.each(RENDERER_KINDS)('a tree for %s', (renderer) => {
  const node = { ...NODE, renderer };
  const files = renderTree(node, NETWORK);

  test('reads back', () => {
    expect(readTree(files)).toEqual({ node, network: NETWORK });
    expect(managedFiles(files).has(NODE_FILE)).toBe(false);
    expect(readTree(renderTree(node, []))).toEqual({ node, network: [] });
  });

  test('the same input gives the same bytes, whatever the order of the network', () => {
    expect(treeId(renderTree(node, [...NETWORK].reverse()))).toBe(treeId(files));
  });

  test('its id is git’s', async () => {
    const folder = await temporary();
    const git = async (...args: string[]) => (await execa('git', args, { cwd: folder })).stdout;
    await git('init', '-q');
    // Names around a folder’s show whether it sorts with its slash, and bytes rather than UTF-16 units.
    const all: Files = new Map([
      ...files,
      ['etc.x', 'a'],
      ['etc-x', ''],
      ['etc0', 'ü'],
      ['\u{1F600}', '1'],
      ['\uFFEE', '2'],
    ]);
    for (const [path, text] of all) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text, { mode: 0o644 });
    }
    await git('add', '--all');
    expect(treeId(all)).toBe(await git('write-tree'));
  });

  test.each([
    ['CR', '\r', 'U+000D'],
    ['NUL', '\0', 'U+0000'],
    ['a tab', '\t', 'U+0009'],
    ['the next-line control', '\u0085', 'U+0085'],
    ['a line separator', '\u2028', 'U+2028'],
    ['a paragraph separator', '\u2029', 'U+2029'],
    ['a bidirectional override', '\u202E', 'U+202E'],
    ['a byte order mark', '\uFEFF', 'U+FEFF'],
    ['a tag character', '\u{E0041}', 'U+E0041'],
    ['a lone surrogate', '\uD800', 'U+D800'],
    ['DEL', '\u007F', 'U+007F'],
  ])('refuses %s in a comment of every file, naming file and line', (_, character, codePoint) => {
    for (const [path, text] of files) {
      const [first = '', ...rest] = text.split('\n');
      const smuggled = [first, `# note${character}GATEWAY=192.168.0.1`, ...rest].join('\n');
      expect(problemsOf(new Map([...files, [path, smuggled]]))).toEqual([
        expect.objectContaining({
          path,
          code: 'HiddenCharacter',
          message: expect.stringMatching(
            `^line 2 has the invisible character ${codePoint.replace('+', '\\+')},`,
          ),
        }),
      ]);
    }
  });

  test('takes any visible text in a comment', () => {
    for (const [path, text] of managedFiles(files)) {
      const noted = text.replace('\n', '\n# 포트 “eins”, naïve 👍 \u00A0\n');
      expect(readTree(new Map([...files, [path, noted]])).network).toEqual(NETWORK);
    }
  });

  test('what a person may not commit is refused', () => {
    const first = [...managedFiles(files).keys()][0] ?? '';
    expect(codes(new Map([...files].filter(([path]) => path !== NODE_FILE)))).toEqual(['MissingFile']);
    expect(codes(new Map([...files, ['etc/shadow', 'x']]))).toEqual(['ForeignFile']);
    const sizes = [65_536, 65_537].map((bytes) => isTooLarge(lengthened(files, first, bytes)));
    expect(sizes).toEqual([false, true]);
    const twins = [...NETWORK, { ...NETWORK[0]!, name: 'multinic5' }];
    expect(codes(renderTree(node, twins))).toEqual(['DuplicateMac', 'DuplicateAddress']);
    const crowd = (size: number): Files =>
      new Map([
        ...files,
        ...Array.from({ length: size - files.size }, (_, index) => [`x${index}`, ''] as const),
      ]);
    expect(new Set(codes(crowd(129)))).toEqual(new Set(['ForeignFile']));
    expect(codes(crowd(130))).toEqual(['TooManyInterfaces']);
    const slow = [{ ...NETWORK[0]!, mtu: 10 }];
    expect(codes(renderTree(node, slow))).toEqual(['InvalidMtu']);
  });
});

test('the id of no files is git’s empty tree', () => {
  expect(treeId(new Map())).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
});

test('a file of netplan has 8,192 characters at most', () => {
  const files = renderTree(NODE, NETWORK);
  const path = 'etc/netplan/90-multinic0.yaml';
  expect(readTree(lengthened(files, path, 8192)).network).toEqual(NETWORK);
  expect(codes(lengthened(files, path, 8193))).toEqual(['FileTooLarge']);
});

test('files of another renderer are foreign', () => {
  const files = new Map([
    ...renderTree(NODE, []),
    ...managedFiles(renderTree({ ...NODE, renderer: 'ifcfg' }, NETWORK)),
  ]);
  expect(codes(files)).toEqual(['ForeignFile', 'ForeignFile', 'ForeignFile']);
});

/**
 * git merges two edits when at least one unchanged line lies between them. So of two commits that change a
 * different field each, the older can be reverted without a conflict.
 */
describe('git merges edits of any two fields', () => {
  const base: Interface = { ...NETWORK[0]! };
  const edits: Partial<Interface>[] = [
    { mac: mac('02:00:00:00:00:99') },
    { address: '192.168.0.99' },
    { mtu: 9000 },
    { portId: 'other' },
  ];
  const sixth: Partial<Interface> = { address: '2001:db8::1', prefix: 64 };
  const pairs = edits
    .flatMap((one) => [...edits, sixth].map((other) => [one, other] as const))
    .filter(([one, other]) => Object.keys(one)[0] !== Object.keys(other)[0]);

  test.each(RENDERER_KINDS)('%s', async (renderer) => {
    const node = { ...NODE, renderer };
    for (const [one, other] of pairs) {
      const versions = [{ ...base, ...one }, base, { ...base, ...other }].map((nic) =>
        renderTree(node, [nic]),
      );
      const merged = await mergeAll(versions);
      expect(readTree(merged).network).toEqual([{ ...base, ...one, ...other }]);
    }
  });

  test('a port that comes or goes', async () => {
    const { portId: _, ...without } = base;
    const versions = [{ ...base, mtu: 9000 }, base, without].map((nic) => renderTree(NODE, [nic]));
    expect(readTree(await mergeAll(versions)).network).toEqual([{ ...without, mtu: 9000 }]);
  });

  test('node.yaml', async () => {
    const changes: Partial<NodeIdentity>[] = [
      { systemUUID: 'x' },
      { machineId: 'y' },
      { nodeId: 'z' },
      { os: { family: 'ubuntu', major: 24 } },
      { renderer: 'ifcfg' },
      { source: { ...NODE.source, name: 'other' } },
    ];
    for (const one of changes) {
      for (const other of changes) {
        if (one === other) continue;
        const versions = [{ ...NODE, ...one }, NODE, { ...NODE, ...other }].map((node) =>
          renderTree(node, []),
        );
        expect(readTree(await mergeAll(versions)).node).toEqual({ ...NODE, ...one, ...other });
      }
    }
  });
});

/** Three-way merge of each file that differs; throws on a conflict. */
async function mergeAll(versions: Files[]): Promise<Files> {
  const folder = await temporary();
  const merged = new Map<string, string>();
  for (const path of versions[1]?.keys() ?? []) {
    const texts = versions.map((files) => files.get(path) ?? '');
    const names = ['ours', 'base', 'theirs'];
    if (texts[0] === texts[1] || texts[1] === texts[2]) {
      merged.set(path, (texts[0] === texts[1] ? texts[2] : texts[0]) ?? '');
      continue;
    }
    for (const [index, name] of names.entries()) await writeFile(join(folder, name), texts[index] ?? '');
    const { stdout } = await execa('git', ['merge-file', '-p', ...names], {
      cwd: folder,
      stripFinalNewline: false,
    });
    merged.set(path, stdout);
  }
  return merged;
}

/** The tree with a comment that brings one of its files to a length. */
function lengthened(files: Files, path: string, length: number): Files {
  const text = files.get(path)!;
  return new Map([...files, [path, `${text}#${'x'.repeat(length - text.length - 2)}\n`]]);
}

function problemsOf(files: Files): readonly Problem[] {
  return thrownBy(() => readTree(files)).problems;
}

/** Whether a tree is refused because of a file of more than 64 KiB. */
function isTooLarge(files: Files): boolean {
  try {
    readTree(files);
    return false;
  } catch {
    return problemsOf(files).some(({ message }) => message.startsWith('is larger than 64 KiB'));
  }
}

function codes(files: Files): string[] {
  return problemsOf(files).map(({ code }) => code);
}
