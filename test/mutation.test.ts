// The places that `npm run mutation` changes, and its sample.
import { expect, test } from 'vitest';
import { mutationsOf, sampleOf } from '../scripts/mutation.ts';

const changed = (source: string): string[] =>
  mutationsOf(source).map(({ at, from, to }) => source.slice(0, at) + to + source.slice(at + from.length));

test.each([
  ['a === b', ['a !== b']],
  ['if (a < 3 && !b)', ['if (a <= 3 && !b)', 'if (a < 4 && !b)', 'if (a < 3 || !b)', 'if (a < 3 && b)']],
  ['const x = a >= 1_000;', ['const x = a > 1_000;', 'const x = a >= 1001;']],
  ['f(true) || g(false)', ['f(false) || g(false)', 'f(true) && g(false)', 'f(true) || g(true)']],
  ['a + b - (c)', ['a - b - (c)', 'a + b + (c)']],
])('%s', (source, expected) => {
  expect(changed(source)).toEqual(expected);
});

test.each([
  '// a === b, 3',
  '/** true */',
  "const x = 'a === b';",
  'const x = `a < b`;',
  'const x = (/a && b{3}/);',
  "import { a } from './3.ts';",
  'export interface A {\n  readonly b?: true;\n}\n',
  'const f = (): Map<string, a> => x;',
])('nothing is changed in %j', (source) => {
  expect(changed(source)).toEqual([]);
});

test('a sample is spread evenly and is the same each time', () => {
  const all = Array.from({ length: 10 }, (_, index) => index);
  expect(sampleOf(all, 4)).toEqual([0, 2, 5, 7]);
  expect(sampleOf(all, 0)).toEqual(all);
  expect(sampleOf(all, 11)).toEqual(all);
});
