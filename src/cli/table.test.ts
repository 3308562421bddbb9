import { expect, test } from 'vitest';
import { formatTable, wrapLast } from './table.ts';

test('columns are as wide as their widest cell, and no line ends in blanks', () => {
  expect(
    formatTable([
      ['NODE', 'STATE', 'REASON'],
      ['k8s-worker-01', 'Configured', ''],
      ['a', 'Failed', 'a\nb'],
    ]),
  ).toBe(
    [
      'NODE           STATE       REASON',
      'k8s-worker-01  Configured',
      'a              Failed      a',
      '                           b',
    ].join('\n'),
  );
});

test.each([
  ['Korean and Chinese letters take two places', '노드-漢', 7],
  ['a letter with a combining mark takes one place', 'e\u0301', 1],
  ['an emoji of several code points takes two places', '👩‍💻', 2],
  ['colours take no place', '\u001b[31mred\u001b[39m', 3],
])('%s', (_, cell, width) => {
  const [line] = formatTable([
    [cell, '|'],
    ['k8s-worker-01', '|'],
  ]).split('\n');
  expect(line).toBe(`${cell}${' '.repeat('k8s-worker-01'.length - width)}  |`);
});

test('the last column is wrapped at the width that a terminal shows', () => {
  const words = '포트 포트 포트 포트 포트 포트 포트';
  expect(wrapLast([['가', words]], 4 + 24)).toEqual([['가', '포트 포트 포트 포트 포트\n포트 포트']]);
  expect(wrapLast([['가', words]], undefined)).toEqual([['가', words]]);
});
