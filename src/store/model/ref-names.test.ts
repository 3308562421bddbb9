import { spawnSync } from 'node:child_process';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectPath, expectRef } from './ref-names.ts';

function accepts(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

test('a ref that we take, git takes', () => {
  const piece = fc.constantFrom(
    'a',
    'é',
    '.',
    '..',
    '/',
    '.lock',
    '@',
    '@{',
    '{',
    '-',
    '~',
    '^',
    ':',
    ' ',
    '\\',
    '*',
    '[',
  );
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), (pieces) => {
      const ref = `refs/heads/${pieces.join('')}`;
      fc.pre(accepts(() => expectRef(ref)));
      expect(spawnSync('git', ['check-ref-format', ref]).status).toBe(0);
    }),
    { seed: 1, numRuns: 60 },
  );
});

test.each(['refs/heads/node/worker-1', 'refs/heads/node/ip-10-0-0-1.eu.internal', 'refs/audit/pushes'])(
  '%s is a ref',
  (ref) => {
    expect(accepts(() => expectRef(ref))).toBe(true);
  },
);

test.each([
  'heads/a',
  'refs/a/',
  'refs//a',
  'refs/.a',
  'refs/a.lock',
  'refs/a.lock/b',
  'refs/a..b',
  'refs/a\nb',
  'refs/a ',
])('%j is no ref', (ref) => {
  expect(accepts(() => expectRef(ref))).toBe(false);
});

test.each(['a', 'etc/netplan/90-multinic0.yaml', 'a b', '.gitignore', 'a..b'])('%s is a path', (path) => {
  expect(accepts(() => expectPath(path))).toBe(true);
});

test.each(['', '/a', 'a/', 'a//b', '.', '../a', 'a/./b', '.git', 'a/.Git/b', 'a\0b', 'a\nb', '"a"', 'a\\b'])(
  '%j is no path',
  (path) => {
    expect(accepts(() => expectPath(path))).toBe(false);
  },
);
