import { expect, test } from 'vitest';
import { isControllerAddress } from './committer.ts';

test.each([
  'controller@multinic.io',
  'Controller@Multinic.IO',
  '<controller@multinic.io>',
  ' controller@multinic.io\n',
  '<<controller@ multinic.io>',
])('%j is the address of the controller', (email) => {
  expect(isControllerAddress(email)).toBe(true);
});

test.each(['', 'controller@multinic.io.example.org', 'a-controller@multinic.io', 'controller@multinic'])(
  '%j is not',
  (email) => {
    expect(isControllerAddress(email)).toBe(false);
  },
);
