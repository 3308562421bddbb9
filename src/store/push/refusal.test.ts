// Lines that a pusher reads: bounded in number, and the rest is counted.

import { expect, test } from 'vitest';
import { MultinicError } from '../../api/errors.ts';
import { changeLines, refusalLines } from './refusal.ts';

const refusals = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ref: `refs/heads/node/w${index}`,
    error: new MultinicError('FileTooLarge', 'shorten it'),
  }));

test.each([
  [10, 10, 'multinic: refused node/w9 (FileTooLarge): shorten it'],
  [11, 11, 'multinic: and 1 more branch'],
  [12, 11, 'multinic: and 2 more branches'],
])('%d refused branches are %d lines', (count, lines, last) => {
  const told = refusalLines(refusals(count));
  expect([told.length, told.at(-1)]).toEqual([lines, last]);
});

test.each([
  [200, 200, 'multinic: change 199'],
  [201, 201, 'multinic: and 1 more interface'],
  [450, 201, 'multinic: and 250 more interfaces'],
])('%d changed interfaces are %d lines', (count, lines, last) => {
  const told = changeLines(Array.from({ length: count }, (_, index) => `change ${index}`));
  expect([told.length, told.at(-1)]).toEqual([lines, last]);
});

test('a message has twenty lines at most, and none of them obeys a terminal', () => {
  const message = Array.from({ length: 21 }, (_, index) => `line ${index}\u001b[2J`).join('\n');
  const told = refusalLines([
    { ref: 'refs/heads/node/w0', error: new MultinicError('InvalidTree', message) },
  ]);
  expect(told).toHaveLength(20);
  expect(told[0]).toBe('multinic: refused node/w0 (InvalidTree): line 0?[2J');
  expect(told[19]).toBe('multinic:   line 19?[2J');
});
