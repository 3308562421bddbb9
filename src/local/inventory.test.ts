import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
    machineID: '8b3c1f0e5d9a4c7b92e61a0f3d7c5b01',
    bootID: '3f1c8d52-6a0e-4d3b-9b77-0c5e2a914d01',
    ready: true,
    paused: false,
    annotations: {},
  });
});

describe('a mistake names file and field', () => {
  const host = 'nodes/k8s-worker-02/root/host.yaml';
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
    ['no file', () => rm(file()), /inventory\.yaml: there is no such file/],
    [
      'no machine',
      () => rm(join(dir, host)),
      /nodes\/k8s-worker-02\/root\/host\.yaml: there is no such file/,
    ],
    [
      'a machine without boot ID',
      () => edit(host, /^bootId.*\n/m, ''),
      /k8s-worker-02\/root\/host\.yaml: bootId/,
    ],
  ];
  test.each(cases)('%s', async (_, spoil, message) => {
    await spoil();
    await expect(new InventoryFile(dir).list()).rejects.toThrow(message);
  });
});

const paused = async (): Promise<string[]> =>
  (await new InventoryFile(dir).list()).filter((node) => node.paused).map(({ name }) => name);

describe('pausing', () => {
  test('changes one line, and resuming takes it away again', async () => {
    const before = await readFile(file(), 'utf8');
    const inventory = new InventoryFile(dir);
    await inventory.setPaused('k8s-worker-02', true);
    expect(await paused()).toEqual(['k8s-worker-02']);
    const lines = (await readFile(file(), 'utf8'))
      .split('\n')
      .filter((line) => !before.split('\n').includes(line));
    expect(lines).toEqual(['  paused: true']);
    await inventory.setPaused('k8s-worker-02', false);
    expect(await readFile(file(), 'utf8')).toBe(before);
  });

  test('what is as asked is not written', async () => {
    const { ino } = await stat(file());
    await new InventoryFile(dir).setPaused('k8s-worker-02', false);
    expect((await stat(file())).ino).toBe(ino);
  });

  test('two at once lose nothing', async () => {
    const inventory = new InventoryFile(dir);
    await Promise.all(['k8s-worker-01', 'k8s-worker-03'].map((name) => inventory.setPaused(name, true)));
    expect(await paused()).toEqual(['k8s-worker-01', 'k8s-worker-03']);
  });

  test('an unknown node is refused', async () => {
    await expect(new InventoryFile(dir).setPaused('nobody', true)).rejects.toMatchObject({
      code: 'NodeNotFound',
    });
  });
});
