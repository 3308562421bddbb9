// Decisions have one form, and the index lists each of them.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const FOLDER = join(import.meta.dirname, '../docs/decisions');
/** At most five lines may say the decision before everything else. */
const FORM =
  /^# (\d+)\. (.+)\n\n(\d{4}-\d{2}-\d{2}) · (.+)\n\n(?:(?:[^#\n].*\n){1,5}\n)?## Context\n\n[^]+\n\n## Decision\n\n[^]+\n\n## Rejected\n\n[^]+\n$/;

const names = (await readdir(FOLDER)).filter((name) => name !== 'README.md');

test.each(names)('%s has its number, date, status, context, decision and what was rejected', async (name) => {
  const [, number] = FORM.exec(await readFile(join(FOLDER, name), 'utf8')) ?? [];
  expect(number?.padStart(4, '0')).toBe(name.slice(0, 4));
});

test('the index lists each decision with its title, date and status', async () => {
  const rows = await Promise.all(
    names.toSorted().map(async (name) => {
      const [, number, title, date, status] = FORM.exec(await readFile(join(FOLDER, name), 'utf8')) ?? [];
      return `| [${number}](${name}) | ${title} | ${date} | ${status} |`;
    }),
  );
  const index = await readFile(join(FOLDER, 'README.md'), 'utf8');
  expect(index.split('\n').filter((line) => line.startsWith('| ['))).toEqual(rows);
});
