import { expect, test } from 'vitest';
import { firstOther } from './live-neighbours.ts';

test.each([
  ['192.168.100.10/24', '192.168.100.1'],
  ['192.168.100.1/24', '192.168.100.2'],
  ['10.9.3.7/20', '10.9.0.1'],
  ['10.0.0.254/30', '10.0.0.253'],
  ['10.0.0.253/30', '10.0.0.254'],
  ['10.0.0.1/31', undefined],
  ['10.0.0.1/32', undefined],
  ['fd00::10/64', undefined],
])('%s is announced by asking for %s', (address, target) => {
  expect(firstOther(address)).toBe(target);
});
