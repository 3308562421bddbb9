import { describe, expect, test } from 'vitest';
import { areOtherMachines, isUuid, swappedKey, type MachineIds } from './machine-ids.ts';

const UUID = '00112233-4455-6677-8899-aabbccddeeff';
const SWAPPED = '33221100-5544-7766-8899-aabbccddeeff';

test('a UUID in the other byte order has its first three fields turned round', () => {
  expect(swappedKey(UUID)).toBe(SWAPPED.replaceAll('-', ''));
  expect(swappedKey(SWAPPED.toUpperCase())).toBe(UUID.replaceAll('-', ''));
  expect(swappedKey('i-0123456789abcdef0')).toBeUndefined();
  expect([isUuid(UUID), isUuid('i-1')]).toEqual([true, false]);
});

describe('two are other machines', () => {
  const known = { systemUUID: UUID, machineId: 'a' };
  test.each<[what: string, other: boolean, now: MachineIds]>([
    ['with another machine ID', true, { ...known, machineId: 'b' }],
    ['with another system UUID', true, { ...known, systemUUID: UUID.replace('0', '1') }],
    ['not with the same IDs', false, known],
    [
      'not with a UUID in another case and without dashes',
      false,
      { systemUUID: UUID.toUpperCase().replaceAll('-', '') },
    ],
    ['not with the UUID in the other byte order', false, { ...known, systemUUID: SWAPPED }],
    ['not with an ID that is missing', false, { machineId: 'a' }],
    ['not with IDs that are empty', false, { systemUUID: '', machineId: '' }],
  ])('%s', (_, other, now) => {
    expect(areOtherMachines(known, now)).toBe(other);
    expect(areOtherMachines(now, known)).toBe(other);
  });
});
