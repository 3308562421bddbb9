import { expect, test } from 'vitest';
import { formatTable, widthFor, wrapLast, type Row } from './table.ts';

const format = async (rows: readonly Row[]): Promise<string> => formatTable(rows, await widthFor(rows));

test('columns are as wide as their widest cell, and no line ends in blanks', async () => {
  expect(
    await format([
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
])('%s', async (_, cell, width) => {
  const table = await format([
    [cell, '|'],
    ['k8s-worker-01', '|'],
  ]);
  const [line] = table.split('\n');
  expect(line).toBe(`${cell}${' '.repeat('k8s-worker-01'.length - width)}  |`);
});

test('the last column is wrapped at the width that a terminal shows', async () => {
  const words = '포트 포트 포트 포트 포트 포트 포트';
  const widthOf = await widthFor([['가', words]]);
  expect(wrapLast([['가', words]], 4 + 24, widthOf)).toEqual([['가', '포트 포트 포트 포트 포트\n포트 포트']]);
  expect(wrapLast([['가', words]], undefined, widthOf)).toEqual([['가', words]]);
});

test.each([
  ['letters', 'abc', 3],
  ['colours', '\u001b[31mred\u001b[39m', 3],
  ['quotes and dashes', '‘the node’s’ “own” – …', 22],
  ['nothing', '', 0],
])('in English, %s have the width that they have in Unicode', async (_, text, width) => {
  const [ascii, unicode] = await Promise.all([widthFor([[text]]), widthFor([[text, '漢']])]);
  expect([ascii(text), unicode(text)]).toEqual([width, width]);
});
