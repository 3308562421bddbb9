// Links of the docs lead somewhere, and pages keep the bounds of lines, cells and sentences.

import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { beyondBounds, docsComplaints, MOST } from '../../scripts/docs/bounds.ts';
import { figuresOf } from '../../scripts/docs/figures.ts';
import { brokenLinks, brokenNames } from '../../scripts/docs/links.ts';
import { anchorsOf, cellsOf, codeBlocksOf, pageOf, sentencesOf } from '../../scripts/docs/pages.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'multinic-docs-'));
  mkdirSync(join(root, 'docs'));
  mkdirSync(join(root, 'src'));
  writeFileSync(join(root, 'docs/a.md'), '');
  writeFileSync(join(root, 'docs/b.md'), '');
  writeFileSync(join(root, 'docs/picture.png'), '');
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

test('the docs of this repository have no broken link and keep their bounds', async () => {
  expect(await docsComplaints()).toEqual([]);
}, 60_000);

const A = pageOf('docs/a.md', '# Title\n\n## A `code` & more\n\n## Twice\n\n## Twice\n');

test.each([
  ['[x](a.md)', undefined],
  ['[x](a.md#a-code--more)', undefined],
  ['[x](a.md#twice-1)', undefined],
  ['[x](#here)\n\n# Here', undefined],
  ['![x](picture.png)', undefined],
  ['[x](https://example.org/gone)', undefined],
  ['`[x](gone.md)`', undefined],
  ['[x](gone.md)', 'docs/gone.md does not exist'],
  ['[x](a.md#gone)', 'docs/a.md has no heading #gone'],
  ['| a |\n|---|\n| [x](a.md#twice-2) |', 'docs/a.md has no heading #twice-2'],
  ['- one\n  - [x](../a.md)', 'a.md does not exist'],
  ['[x][there]\n\n[there]: gone.md', 'docs/gone.md does not exist'],
  ['![x](gone.png)', 'docs/gone.png does not exist'],
])('the links of %j', (text, complaint) => {
  const found = brokenLinks([A, pageOf('docs/b.md', text)], root);
  expect(found.map((said) => said.split('leads nowhere: ')[1])).toEqual(complaint === undefined ? [] : [complaint]);
});

test('a page that a source names exists, with its heading', async () => {
  writeFileSync(join(root, 'src/x.ts'), "// See docs/a.md#twice.\nfail('docs/a.md#gone', 'docs/gone.md');\n");
  expect(await brokenNames([A], root)).toEqual([
    'src/x.ts: docs/a.md has no heading #gone',
    'src/x.ts: docs/gone.md does not exist',
  ]);
});

test('anchors are those of GitHub', () => {
  expect([...anchorsOf(A)]).toEqual(['title', 'a-code--more', 'twice', 'twice-1']);
});

test('a sentence ends at its stop; items of a list are sentences, cells and code are none', () => {
  const page = pageOf(
    'x.md',
    'One is `a.b` here. Two\nfollows: "so." (Three.)\n\n- four\n- five. Six.\n\n| a |\n|---|\n| no. No |\n\n    No. No.\n',
  );
  expect(sentencesOf(page)).toEqual([
    'One is a.b here.',
    'Two follows: "so."',
    '(Three.)',
    'four',
    'five.',
    'Six.',
  ]);
});

test('a cell is what a reader sees; a break begins another one', () => {
  const page = pageOf('x.md', '| a |\n|---|\n| [b](https://example.org/long)<br>`c` |\n');
  expect(cellsOf(page)).toEqual(['a', 'b', 'c']);
});

test('a block of code has its language and the comment before it', () => {
  const text = '<!-- not run: why -->\n```sh\nls\n```\n\n<!-- no -->\nText\n\n    indented\n';
  expect(codeBlocksOf(pageOf('x.md', text))).toEqual([
    { language: 'sh', text: 'ls', comment: 'not run: why' },
    { language: '', text: 'indented', comment: '' },
  ]);
});

test('a page beyond a bound is named with what to do', () => {
  const sentence = `${'Word '.repeat(MOST.words + 2)}end. `;
  const wide = '가'.repeat(MOST.columns / 2 + 1);
  const cell = `| a |\n|---|\n| ${'x'.repeat(MOST.cell + 1)} |`;
  const page = pageOf('x.md', `${sentence.repeat(20).trim().replaceAll(' ', '\n')}\n\n${wide}\n\n${cell}\n`);
  expect(beyondBounds([page])).toEqual([
    expect.stringMatching(/^x\.md: 102 columns, more than 100: break/),
    expect.stringMatching(/^x\.md: 161 cell, more than 160: shorten/),
    expect.stringMatching(/^x\.md: \d+ words, more than \d+: make two/),
  ]);
  expect(figuresOf(page)).toMatchObject({ sentences: 21, longest: MOST.words + 3 });
});
