// The places that `npm run mutation` changes, and its sample. mutation.long.ts runs it.
import { expect, test } from 'vitest';
import { lineOf, mutationsOf, placesOf, sampleOf } from '../scripts/mutation.ts';
import { EQUIVALENTS, matches } from '../scripts/mutation-equivalents.ts';

const changed = (source: string): string[] =>
  mutationsOf(source).map(({ at, from, to }) => source.slice(0, at) + to + source.slice(at + from.length));

test.each([
  ['a === b', ['a !== b']],
  ['if (a < 3 && !b)', ['if (a <= 3 && !b)', 'if (a < 4 && !b)', 'if (a < 3 || !b)', 'if (a < 3 && b)']],
  ['const x = a >= 1_000;', ['const x = a > 1_000;', 'const x = a >= 1001;']],
  ['f(true) || g(false)', ['f(false) || g(false)', 'f(true) && g(false)', 'f(true) || g(true)']],
  ['(a < b ? -1 : 1)', ['(a <= b ? -1 : 1)']],
  ['a < b ? -1 : Number(a > b);', ['a <= b ? -1 : Number(a > b);', 'a < b ? -1 : Number(a >= b);']],
  ['slice(a ? -1 : b)', ['slice(a ? -2 : b)']],
  [
    'a !== b || c > d && e <= f',
    [
      'a === b || c > d && e <= f',
      'a !== b && c > d && e <= f',
      'a !== b || c >= d && e <= f',
      'a !== b || c > d || e <= f',
      'a !== b || c > d && e < f',
    ],
  ],
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

test('a path names the places of a room, of a file, or of a line', async () => {
  const room = await placesOf('src/history');
  const file = await placesOf('src/history/hold.ts');
  expect(new Set(room.map((place) => place.file))).toContain('src/history/policy.ts');
  expect(room.filter((place) => place.file === 'src/history/hold.ts')).toEqual(file);
  const line = lineOf(file[0]!);
  expect(await placesOf(`src/history/hold.ts:${line}`)).toEqual(
    file.filter((place) => lineOf(place) === line),
  );
});

test('each change that is left out as equivalent is one of the program, once, with its reason', async () => {
  for (const each of EQUIVALENTS) {
    const found = (await placesOf(each.file)).filter((place) => matches(each, place));
    expect([each.code, found.length, each.why.length > 20]).toEqual([each.code, 1, true]);
  }
});
