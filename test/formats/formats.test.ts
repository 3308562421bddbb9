// Formats that others read are frozen: formats.yaml lists them, and the program must have these and no others.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { collectFormats } from './collect.ts';
import { unusedWords } from './words.ts';

type Formats = Readonly<Record<string, readonly string[]>>;

const LIST = 'test/formats/formats.yaml';
const HINT: Readonly<Record<string, string>> = {
  'codes and reasons': '; a word that is no code goes to test/formats/words.ts',
};
const VERSIONS = join(import.meta.dirname, '../../fixtures/versions');

const listed = read(join(import.meta.dirname, 'formats.yaml'));
let found: ReadonlyMap<string, readonly string[]>;
beforeAll(async () => {
  found = await collectFormats();
});

function read(file: string): Formats {
  return parse(readFileSync(file, 'utf8')) as Formats;
}

describe('the program has what formats.yaml lists, and nothing else', () => {
  test.each(Object.keys(listed))('%s', (group) => {
    const now = found.get(group) ?? [];
    const gone = listed[group]!.filter((name) => !now.includes(name));
    const added = now.filter((name) => !listed[group]!.includes(name));
    expect(gone, `others read these: give each its name back (${LIST}, "${group}")`).toEqual([]);
    expect(added, `new: add each to "${group}" in ${LIST}, which freezes it${HINT[group] ?? ''}`).toEqual([]);
  });

  test('every group of names is listed, and every name once', () => {
    expect([...found.keys()]).toEqual(Object.keys(listed));
    for (const names of Object.values(listed)) expect(names).toEqual([...new Set(names)]);
  });

  test('a word that is no code is still a word of the sources', () => {
    expect(unusedWords(), 'take these out of test/formats/words.ts').toEqual([]);
  });
});

test.each(
  readdirSync(VERSIONS, { withFileTypes: true })
    .filter((each) => each.isDirectory())
    .map(({ name }) => name),
)('nothing that version %s has was taken from the list', (version) => {
  const released = read(join(VERSIONS, version, 'formats.yaml'));
  for (const [group, names] of Object.entries(released)) {
    const missing = names.filter((name) => listed[group]?.includes(name) !== true);
    expect(missing, `released with ${version}, so they stay in "${group}" of ${LIST}`).toEqual([]);
  }
});
