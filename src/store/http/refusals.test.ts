import { expect, test } from 'vitest';
import { Refusals } from './refusals.ts';

test('the thirtieth refusal of an address is its last for ten seconds, and other addresses are not kept out', () => {
  let now = 0;
  const refusals = new Refusals(() => now);
  for (let count = 0; count < 29; count += 1) refusals.add('10.0.0.1');
  expect(() => refusals.expectFew('10.0.0.1')).not.toThrow();
  refusals.add('10.0.0.1');
  expect(() => refusals.expectFew('10.0.0.1')).toThrow(/30 unknown tokens came from 10\.0\.0\.1/);
  expect(() => refusals.expectFew('10.0.0.2')).not.toThrow();
  now = 9_999;
  expect(() => refusals.expectFew('10.0.0.1')).toThrow(/wait 10 seconds/);
  now = 10_000;
  expect(() => refusals.expectFew('10.0.0.1')).not.toThrow();
  refusals.add('10.0.0.1');
  expect(() => refusals.expectFew('10.0.0.1')).not.toThrow();
});

test('ten thousand addresses are counted, and one more makes room', () => {
  const refusals = new Refusals(() => 0);
  for (let address = 0; address < 10_000; address += 1)
    for (let count = 0; count < 30; count += 1) refusals.add(`a${address}`);
  expect(() => refusals.expectFew('a0')).toThrow(/unknown tokens came from a0/);
  refusals.add('b');
  expect(() => refusals.expectFew('a0')).not.toThrow();
});
