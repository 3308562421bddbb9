// A change of one source is gone when the next source is tried: vite keeps what it read.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TestProcess } from '../scripts/mutation-process.ts';

const ROOT = join(import.meta.dirname, '..');
const [CHANGED, USER] = ['src/network/text.ts', 'src/network/machine-ids.ts'] as const;

test('a change of a source that another one uses', { timeout: 300_000 }, async () => {
  await using tests = new TestProcess('room');
  const source = await readFile(join(ROOT, CHANGED), 'utf8');
  const user = await readFile(join(ROOT, USER), 'utf8');
  const change = source.replace("id.replaceAll('-', '')", "id.replaceAll('-', '+')");
  expect(change).not.toBe(source);
  expect(await tests.failures(CHANGED, change)).toEqual([
    expect.stringMatching(/^src\/network\/\S+\.test\.ts: .+: /),
  ]);
  expect(await tests.failures(USER, user)).toEqual([]);
});
