// Tells machines apart by the two IDs that a node reports: the UUID of its firmware, and /etc/machine-id.

import { nodeIdKey } from './text.ts';

/** An ID that is missing or empty is unknown. */
export interface MachineIds {
  readonly systemUUID?: string | undefined;
  readonly machineId?: string | undefined;
}

const UUID = /^[0-9a-f]{32}$/;

/** Whether the text is a UUID, with dashes or without. */
export function isUuid(id: string): boolean {
  return UUID.test(nodeIdKey(id));
}

/**
 * Key of a UUID whose first three fields have their bytes in the other order: SMBIOS writes them little-endian, and
 * some readers do not turn them round. Undefined: the ID is no UUID.
 */
export function swappedKey(id: string): string | undefined {
  const key = nodeIdKey(id);
  if (!UUID.test(key)) return undefined;
  return turn(key.slice(0, 8)) + turn(key.slice(8, 12)) + turn(key.slice(12, 16)) + key.slice(16);
}

/** Hex digits with the order of their bytes reversed. */
function turn(hex: string): string {
  return [...hex.matchAll(/../g)].toReversed().join('');
}

/**
 * Whether two pairs of IDs surely belong to two machines. An unknown ID is no difference, nor is another spelling of
 * one UUID.
 */
export function areOtherMachines(a: MachineIds, b: MachineIds): boolean {
  return differ(a.machineId, b.machineId) || (differ(a.systemUUID, b.systemUUID) && !areSwapped(a, b));
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return Boolean(a) && Boolean(b) && nodeIdKey(a!) !== nodeIdKey(b!);
}

function areSwapped({ systemUUID: a = '' }: MachineIds, { systemUUID: b = '' }: MachineIds): boolean {
  return swappedKey(a) === nodeIdKey(b);
}
