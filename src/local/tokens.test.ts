import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Tokens } from './tokens.ts';

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'multinic-tokens-')), 'tokens.yaml');
});
afterEach(() => rm(join(path, '..'), { recursive: true }));

const mode = async (): Promise<number> => (await stat(path)).mode & 0o777;

test('distinguish the operator, nodes and unknown callers', async () => {
  const tokens = await Tokens.open(path);
  const node = await tokens.node('worker-1');
  expect(await tokens.authenticate(tokens.operator)).toEqual({ name: 'operator', role: 'write' });
  expect(await tokens.authenticate(node)).toEqual({ name: 'node:worker-1', role: 'node', node: 'worker-1' });
  for (const wrong of ['', 'x', tokens.operator.slice(1), `${node} `]) {
    expect(await tokens.authenticate(wrong)).toBeUndefined();
  }
});

test('last longer than the process, and are for their owner alone', async () => {
  const first = await Tokens.open(path);
  const [a, b] = await Promise.all([first.node('a'), first.node('b')]);
  expect(await mode()).toBe(0o600);
  await chmod(path, 0o644);
  const second = await Tokens.open(path);
  expect(await mode()).toBe(0o600);
  expect([second.operator, await second.node('a'), await second.node('b')]).toEqual([first.operator, a, b]);
});

test('that are missing are made again', async () => {
  const first = await Tokens.open(path);
  await rm(path);
  const second = await Tokens.open(path);
  expect(second.operator).not.toBe(first.operator);
  expect(await second.authenticate(first.operator)).toBeUndefined();
});

test('are shown by nothing but their file', async () => {
  const tokens = await Tokens.open(path);
  const node = await tokens.node('a');
  const shown = inspect(tokens, { depth: 9, showHidden: true }) + JSON.stringify(tokens);
  for (const secret of [tokens.operator, node]) expect(shown).not.toContain(secret);
  expect(parse(await readFile(path, 'utf8'))).toEqual({ operator: tokens.operator, nodes: { a: node } });
});

test('are made for a node that is named as what every object has', async () => {
  const tokens = await Tokens.open(path);
  const node = await tokens.node('constructor');
  expect(await tokens.authenticate(node)).toMatchObject({ role: 'node', node: 'constructor' });
  expect(await (await Tokens.open(path)).node('constructor')).toBe(node);
});

test('that cannot be understood are refused without showing them', async () => {
  await writeFile(path, 'operator: "short but secret"\n');
  const error = await Tokens.open(path).catch((cause: unknown) => cause);
  expect(error).toMatchObject({
    code: 'InvalidTokens',
    message: expect.stringContaining('delete it') as string,
  });
  expect(inspect(error, { depth: 9 })).not.toContain('secret');
});
