import { expect, test } from 'vitest';
import { withoutAddresses } from './change-report.ts';

test.each([
  ['add multinic0 192.168.100.10/24, add multinic1 10.0.0.1/8', 'add multinic0 …/24, add multinic1 …/8'],
  ['add multinic0 fd00:1::a/64', 'add multinic0 …/64'],
  ['remove multinic0 02:00:00:00:01:01', 'remove multinic0 …'],
  ['multinic0: mtu 1500 -> 1400', 'multinic0: mtu 1500 -> 1400'],
])('%s is the same change as on other nodes', (words, common) =>
  expect(withoutAddresses(words)).toBe(common),
);
