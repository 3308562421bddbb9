// Each promise of docs/promises.md names tests, and each of these tests is there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const ROW = /^\| (?!---|Promise)(.+) \| (`.+) \|$/;

const promises = readFileSync(join(ROOT, 'docs/promises.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, promise, tests] = ROW.exec(line) ?? [];
    return promise === undefined || tests === undefined ? [] : [[promise, tests.split('<br>')] as const];
  });

/** Whether a cell such as `FILE` “TITLE” names a file that has such a test. */
function isThere(named: string): boolean {
  const [, path, title = ''] = /^`([^`]+)`(?: “([^”]+)”)?$/.exec(named) ?? [];
  return (
    path !== undefined &&
    existsSync(join(ROOT, path)) &&
    readFileSync(join(ROOT, path), 'utf8').includes(title)
  );
}

test('there are promises', () => {
  expect(promises.length).toBeGreaterThan(35);
});

test.each(promises)('%s', (_, tests) => {
  expect(tests.filter((named) => !isThere(named))).toEqual([]);
});
