// Each fault of docs/faults.md has tests, and each test that the table names is there.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

const table = (await readFile(join(ROOT, 'docs/faults.md'), 'utf8'))
  .split('\n')
  .flatMap((line) => /^\| ([\d, ]+) \| .+ \| (.+) \|$/.exec(line)?.slice(1) ?? [])
  .flatMap((cell, index, cells) => (index % 2 === 0 ? [[cell, cells[index + 1]!] as const] : []));

test('every fault is in the table, once', () => {
  const numbers = table.flatMap(([faults]) => faults.split(', ').map(Number)).sort((a, b) => a - b);
  expect(numbers.length).toBeGreaterThan(65);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test.each(table)('the tests of fault %s are there', async (_, tests) => {
  for (const each of tests.split('<br>')) {
    const [, path = '', title = ''] = /^`([^`]+)`(?: “([^”]+)”)?$/.exec(each) ?? [];
    const source = await readFile(join(ROOT, path), 'utf8');
    expect(source.replaceAll(String.raw`\'`, "'")).toContain(title);
  }
});
