import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MultinicError } from '../api/errors.ts';
import { parseNode, renderNode, type NodeIdentity } from '../network/node.ts';
import type { InventoryNode } from './home-port.ts';
import { describeIdentity, identityOf } from './node-identity.ts';

const CLAIM = { nodeId: 'i-1', source: { group: 'multinic.io', namespace: 'n', name: 'c' } };
const UUID = '00112233-4455-6677-8899-aabbccddeeff';

function node(more: Partial<InventoryNode> = {}): InventoryNode {
  return {
    name: 'w',
    systemUUID: UUID,
    machineId: 'm',
    bootID: 'b',
    osImage: 'Ubuntu 22.04 LTS',
    ready: true,
    paused: false,
    annotations: {},
    ...more,
  };
}

function identity(more: Partial<InventoryNode>, before?: NodeIdentity): NodeIdentity | undefined {
  try {
    return identityOf(node(more), CLAIM, before);
  } catch (error) {
    if (error instanceof MultinicError) return undefined;
    throw error;
  }
}

test('an identity that is let through can be read back, whatever the machine says or does not say', () => {
  const said = fc.oneof(
    fc.constantFrom('', UUID, '0', '1e3', '~', 'null', '"', "'", '#', ': ', ' '),
    fc.string({ unit: 'binary', maxLength: 8 }),
  );
  let taken = 0;
  fc.assert(
    fc.property(said, said, (systemUUID, machineId) => {
      const made = identity({ systemUUID, machineId });
      if (made === undefined) return;
      taken += 1;
      expect(parseNode(renderNode(made))).toEqual(made);
    }),
  );
  expect(taken).toBeGreaterThan(10);
});

describe('a machine under a node that has a branch', () => {
  const before = { ...identity({})!, renderer: 'keyfile' } as const;

  test.each<[what: string, renderer: string, words: string, now: Partial<InventoryNode>]>([
    ['with another machine ID is a new one', 'netplan', 'new machine, renderer netplan', { machineId: 'n' }],
    [
      'with another system UUID is a new one',
      'netplan',
      'new machine, renderer netplan',
      { systemUUID: 'i-2' },
    ],
    ['that says nothing is the same', 'keyfile', 'identity changed', { machineId: '', systemUUID: '' }],
    [
      'with its UUID spelt otherwise is the same',
      'keyfile',
      'identity changed',
      { systemUUID: UUID.toUpperCase() },
    ],
    [
      'with its UUID in the other byte order is the same',
      'keyfile',
      'identity changed',
      { systemUUID: '33221100-5544-7766-8899-aabbccddeeff' },
    ],
  ])('%s: %s', (_, renderer, words, now) => {
    const after = identity(now, before)!;
    expect([after.renderer, describeIdentity(before, after)]).toEqual([renderer, words]);
  });

  test('that says its IDs for the first time is no new one', () => {
    const unknown = { ...before, machineId: '', systemUUID: '' };
    const after = identity({}, unknown)!;
    expect(after).toMatchObject({ machineId: 'm', systemUUID: UUID, renderer: 'keyfile' });
    expect(describeIdentity(unknown, after)).toBe('identity changed');
  });
});
