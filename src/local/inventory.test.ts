import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InventoryFile } from './inventory.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-inventory-'));
  await cp(join(import.meta.dirname, '../../fixtures/local'), dir, { recursive: true });
});
afterEach(() => rm(dir, { recursive: true }));

const file = (): string => join(dir, 'inventory.yaml');
const pipe = async (path: string): Promise<void> => {
  await rm(join(dir, path));
  execFileSync('mkfifo', [join(dir, path)]);
};
const edit = async (path: string, from: string | RegExp, to: string): Promise<void> => {
  const text = await readFile(join(dir, path), 'utf8');
  expect(text).toMatch(from);
  await writeFile(join(dir, path), text.replace(from, to));
};

test('lists the demo’s nodes', async () => {
  const nodes = await new InventoryFile(dir).list();
  expect(nodes.map(({ name }) => name)).toEqual(['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03']);
  expect(nodes[0]).toEqual({
    name: 'k8s-worker-01',
    systemUUID: 'i-0123456789abcdef0',
    osImage: 'Ubuntu 22.04.4 LTS',
    machineId: '8b3c1f0e5d9a4c7b92e61a0f3d7c5b01',
    bootID: '3f1c8d52-6a0e-4d3b-9b77-0c5e2a914d01',
    print: expect.stringMatching(/^[0-9a-f]{16}$/),
    ready: true,
    paused: false,
    annotations: {},
    addresses: ['10.10.0.11'],
    podCIDRs: [],
  });
});

test('an ID of digits alone needs no quotes', async () => {
  const id = '12345678901234567890123456789012';
  await edit('nodes/k8s-worker-01/root/host.yaml', /machineId: .*/, `machineId: ${id}`);
  expect((await new InventoryFile(dir).list())[0]).toMatchObject({ machineId: id, ready: true });
});

describe('a mistake names file and field', () => {
  const cases: [string, () => Promise<void>, RegExp][] = [
    [
      'a field misspelt',
      () => edit('inventory.yaml', 'osImage', 'osimage'),
      /inventory\.yaml: nodes\[0\]\.osImage/,
    ],
    ['a number', () => edit('inventory.yaml', 'i-0123456789abcdef0', '42'), /nodes\[0\]\.systemUUID/],
    [
      'a node twice',
      () => edit('inventory.yaml', 'k8s-worker-02', 'k8s-worker-01'),
      /inventory\.yaml: node k8s-worker-01 stands there twice; keep one/,
    ],
    [
      'a name that leads elsewhere',
      () => edit('inventory.yaml', 'k8s-worker-02', '../k8s'),
      /nodes\[1\]\.name/,
    ],
    ['broken YAML', () => edit('inventory.yaml', 'nodes:', 'nodes: ['), /inventory\.yaml: .*mend the file/],
    [
      'a file that contains itself',
      () => edit('inventory.yaml', 'nodes:', 'annotations: &a {x: *a}\nnodes:'),
      /inventory\.yaml: .*[Uu]nrecognized key/,
    ],
    [
      'a list that contains itself',
      () => edit('inventory.yaml', /nodes:[^]*/, 'nodes: &a [*a]\n'),
      /inventory\.yaml: nodes\[0\]/,
    ],
    ['no file', () => rm(file()), /inventory\.yaml: there is no such file/],
    ['a pipe', () => pipe('inventory.yaml'), /inventory\.yaml: it is no regular file/],
  ];
  test.each(cases)('%s', async (_, spoil, message) => {
    await spoil();
    await expect(new InventoryFile(dir).list()).rejects.toThrow(message);
  });
});

describe('a machine that cannot be read makes its own node not ready', () => {
  const host = 'nodes/k8s-worker-02/root/host.yaml';
  const replace = async (by: () => Promise<unknown>): Promise<void> => {
    await rm(join(dir, host));
    await by();
  };
  const cases: [string, () => Promise<void>, RegExp][] = [
    ['no file', () => rm(join(dir, host)), /^nodes\/k8s-worker-02\/root\/host\.yaml: there is no such file/],
    ['no boot ID', () => edit(host, /^bootId.*\n/m, ''), /host\.yaml: bootId/],
    ['broken YAML', () => edit(host, 'links:', 'links: ['), /host\.yaml: .*mend the file/],
    ['a pipe', () => pipe(host), /host\.yaml: it is no regular file/],
    ['a link', () => replace(() => symlink('/dev/zero', join(dir, host))), /host\.yaml: it is a link/],
    ['a folder', () => replace(() => mkdir(join(dir, host))), /host\.yaml: it is no regular file/],
    [
      'a huge file',
      () => truncate(join(dir, host), 2 ** 32),
      /host\.yaml: it has 4294967296 bytes, more than 1048576/,
    ],
  ];
  test.each(cases)('%s', async (_, spoil, problem) => {
    await spoil();
    const nodes = await new InventoryFile(dir).list();
    expect(nodes.map(({ ready }) => ready)).toEqual([true, false, true]);
    expect(nodes[1]).toMatchObject({ name: 'k8s-worker-02', machineId: '', bootID: '' });
    expect(nodes[1]?.problem).toMatch(problem);
  });
});

const paused = async (): Promise<string[]> =>
  (await new InventoryFile(dir).list()).filter((node) => node.paused).map(({ name }) => name);

describe('pausing', () => {
  test('changes one line, and resuming takes it away again', async () => {
    const before = await readFile(file(), 'utf8');
    const inventory = new InventoryFile(dir);
    await inventory.setPaused(['k8s-worker-02'], true);
    expect(await paused()).toEqual(['k8s-worker-02']);
    const lines = (await readFile(file(), 'utf8'))
      .split('\n')
      .filter((line) => !before.split('\n').includes(line));
    expect(lines).toEqual(['  paused: true']);
    await inventory.setPaused(['k8s-worker-02'], false);
    expect(await readFile(file(), 'utf8')).toBe(before);
  });

  test('what is as asked is not written', async () => {
    const { ino } = await stat(file());
    await new InventoryFile(dir).setPaused(['k8s-worker-02'], false);
    expect((await stat(file())).ino).toBe(ino);
  });

  test('two at once lose nothing', async () => {
    const inventory = new InventoryFile(dir);
    await Promise.all(['k8s-worker-01', 'k8s-worker-03'].map((name) => inventory.setPaused([name], true)));
    expect(await paused()).toEqual(['k8s-worker-01', 'k8s-worker-03']);
  });

  test('of several nodes is one edit, and takes the same lines away again', async () => {
    const before = await readFile(file(), 'utf8');
    const inventory = new InventoryFile(dir);
    await inventory.setPaused(['k8s-worker-03', 'k8s-worker-01'], true);
    expect(await paused()).toEqual(['k8s-worker-01', 'k8s-worker-03']);
    await inventory.setPaused(['k8s-worker-01', 'k8s-worker-02', 'k8s-worker-03'], false);
    expect(await readFile(file(), 'utf8')).toBe(before);
  });

  test('an unknown node is refused, and no other node is paused then', async () => {
    await expect(new InventoryFile(dir).setPaused(['k8s-worker-01', 'nobody'], true)).rejects.toMatchObject({
      code: 'NodeNotFound',
    });
    expect(await paused()).toEqual([]);
  });
});
