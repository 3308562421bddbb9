// Each fault of docs/faults.md has tests, and each file and test that the table names exists.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

const table = (await readFile(join(ROOT, 'docs/faults.md'), 'utf8')).split('\n').flatMap((line) => {
  const [, faults, tests] = /^\| ([\d, ]+) \| .+ \| (.+) \|$/.exec(line) ?? [];
  return faults === undefined || tests === undefined ? [] : [[faults, tests] as const];
});

test('every fault is in the table, once', () => {
  const numbers = table.flatMap(([faults]) => faults.split(', ').map(Number)).sort((a, b) => a - b);
  expect(numbers.length).toBeGreaterThan(65);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test.each(table)('the tests of fault %s exist', async (_, tests) => {
  for (const each of tests.split('<br>')) {
    const [, path = each, title = ''] = /^`([^`]+)`(?: “([^”]+)”)?$/.exec(each) ?? [];
    // A title is the text of a test or of the group around it, as it stands in the file.
    const text = existsSync(join(ROOT, path)) ? await readFile(join(ROOT, path), 'utf8') : '';
    expect([path, title, text !== '' && text.includes(title)]).toEqual([path, title, true]);
  }
});
