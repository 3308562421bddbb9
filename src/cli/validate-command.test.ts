// Warnings and problems that `multinic validate` prints for CR files, without a state and a controller.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { validateFiles } from './validate-command.ts';

const SAMPLE = join(import.meta.dirname, '../../fixtures/sample-multinicclusterconfig.yaml');

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-validate-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function sampleWith(...names: string[]): Promise<string> {
  let text = await readFile(SAMPLE, 'utf8');
  for (const [index, name] of names.entries())
    text = text.replace(`k8s-worker-0${index + 1}`, JSON.stringify(name).slice(1, -1));
  const file = join(dir, 'cr.yaml');
  await writeFile(file, text);
  return file;
}

test.each<[string[], RegExp]>([
  [['k8s-worker-01', '../../etc'], /^"\.\.\/\.\.\/etc" can be no node's name; the ID alone finds the node$/],
  [['Worker eins', '../../etc'], /^"Worker eins" can be no node's name, nor 1 more name of this CR;/],
  [['../a', '../b', '../c'], /^"\.\.\/a" can be no node's name, nor 2 more names of this CR;/],
])('the node names %j: a warning at most, and no entry is refused', async (names, message) => {
  const results = await validateFiles([await sampleWith(...names)]);
  expect(results).toMatchObject([{ nodes: 3, problems: [] }]);
  const first = names.findIndex((name) => !name.startsWith('k8s'));
  const path = `spec.nodeConfigs[${first}].attachedNodeName`;
  expect(results[0]!.warnings).toEqual([
    { path, code: 'ImpossibleNodeName', message: expect.stringMatching(message) },
  ]);
});

test('a name that no text field takes is refused', async () => {
  const results = await validateFiles([await sampleWith('a<b')]);
  expect(results).toMatchObject([
    {
      problems: [{ path: 'spec.nodeConfigs[0].attachedNodeName', code: 'InvalidNodeName' }],
      warnings: [],
    },
  ]);
});

test('each file is judged, and an empty one is a problem', async () => {
  const empty = join(dir, 'empty.yaml');
  await writeFile(empty, '# nothing\n');
  expect(await validateFiles([SAMPLE, empty])).toMatchObject([
    { config: 'multinic.okestro.io/multinic-system/production-cluster-network', problems: [], warnings: [] },
    { config: empty, nodes: 0, problems: [{ code: 'EmptyFile' }] },
  ]);
});
