// Texts of people and machines: their bounds, and the characters that nobody sees.

import { expect, test } from 'vitest';
import { findHidden, isNodeId, isNodeName, plural, printable, printableJson, printableLine } from './text.ts';

/** A name of parts that are as long as a part of a DNS name may be. */
const named = (length: number): string => `${'a'.repeat(63)}.`.repeat(4).slice(0, length - 1) + 'a';

test('a node may have a DNS name of 253 characters, or a label of 63', () => {
  expect([named(253).length, isNodeName(named(253)), isNodeName(named(254))]).toEqual([253, true, false]);
  expect([isNodeName('A'.repeat(63)), isNodeName('A'.repeat(64))]).toEqual([true, false]);
  for (const name of ['', '-a', 'a-', 'a b', 'ä']) expect(isNodeName(name)).toBe(false);
});

test('an attachedNodeId may have 253 characters, and nothing that git refuses in a branch', () => {
  expect([isNodeId('a'.repeat(253)), isNodeId('a'.repeat(254))]).toEqual([true, false]);
  for (const id of ['', '.a', 'a.', 'a..b', 'a.LOCK', 'a/b']) expect(isNodeId(id)).toBe(false);
});

test.each([
  ['a\u0085b', 1, 'U+0085'],
  ['a\nb\nc\r', 3, 'U+000D'],
  ['a\u2028', 1, 'U+2028'],
  ['a\u{E0001}', 1, 'U+E0001'],
])('%j has a hidden character in line %i: %s', (text, line, codePoint) => {
  expect(findHidden(text)).toEqual({ line, codePoint });
});

test('a text without hidden characters is whole', () => {
  expect(findHidden('a\nb 포트')).toBeUndefined();
});

test('what a terminal would obey is shown and not obeyed', () => {
  expect(printable('a\u001b[2J\nb\u200dc')).toBe('a?[2J\nb\u200dc');
  expect(printableLine('ab\ncd', 5)).toBe('ab cd');
  expect(printableLine('ab\ncde', 5)).toBe('ab...');
  expect(printableJson('"\u202e"')).toBe(String.raw`"\u202e"`);
});

test('one of a thing is one in words', () => {
  expect([0, 1, 2].map((count) => plural(count, 'more node'))).toEqual([
    '0 more nodes',
    '1 more node',
    '2 more nodes',
  ]);
  expect([1, 2].map((count) => plural(count, 'branch', 'branches'))).toEqual(['1 branch', '2 branches']);
});
