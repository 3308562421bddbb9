// The check of the first words of comments, part of `npm run check`.

import { expect, test } from 'vitest';
import { complaints, lowered, openingsIn, roomOf } from '../scripts/check-words.ts';

const WORDS = ['What', 'Who', 'Those', 'Of', 'By', 'Else', 'Less', 'It', 'They'];

test.each(WORDS)('a comment line that opens with %s is found in every kind of comment', (word) => {
  const source = `// ${word} a\n/** ${word} b. */\n/**\n * ${word} c\n */\nconst x = 1; // ${word} d\n/* ${word} e */`;
  expect(openingsIn('src/a/b.ts', source).map(({ line }) => line)).toEqual([1, 2, 4, 6, 7]);
});

test('the word inside a sentence, a longer word and a text in the code are not found', () => {
  const source = `// The name\n// of a NIC\n// Its name\n// Offers\n// Whatever\nconst url = 'http://It';\nconst y = 'What is it';`;
  expect(openingsIn('src/a/b.ts', source)).toEqual([]);
});

test('an allowance is for a folder of src, or for the whole of another folder', () => {
  expect(['src/agent/live/ip.ts', 'src/agent/main.ts', 'bench/run.ts', 'scripts/a/b.ts'].map(roomOf)).toEqual(
    ['src/agent', 'src/agent', 'bench', 'scripts'],
  );
});

const openings = [
  { file: 'src/a/b.ts', line: 3, text: 'What it is.' },
  { file: 'src/a/c.ts', line: 5, text: 'Who it is.' },
];

test('exactly the allowed number is fine', () => {
  expect(complaints(openings, { 'src/a': 2 })).toEqual([]);
});

test('one too many: the complaint has each with file, line and text, then the rule', () => {
  expect(complaints(openings, { 'src/a': 1 })).toEqual([
    'src/a/b.ts:3: What it is.',
    'src/a/c.ts:5: Who it is.',
    expect.stringMatching(/^src\/a has 2 such comments and may have 1\. A comment begins with its subject/),
  ]);
  expect(complaints(openings, {})).toHaveLength(3);
});

test('one too few: the complaint asks for the lower number, so that no comment returns', () => {
  expect(complaints(openings, { 'src/a': 3 })).toEqual([expect.stringMatching(/lower the number/)]);
  expect(complaints([], { 'src/gone': 1 })).toEqual([expect.stringMatching(/src\/gone has 0/)]);
});

test('numbers are lowered and never raised', () => {
  expect(lowered(openings, { 'src/a': 5, 'src/b': 4, bench: 0 })).toEqual({ 'src/a': 2 });
  expect(lowered(openings, { 'src/a': 1 })).toEqual({ 'src/a': 1 });
});
