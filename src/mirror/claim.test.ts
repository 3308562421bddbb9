import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import type { NodeIdentity } from '../network/node.ts';
import { resolveClaims, type Claims } from './claim.ts';
import { parseEntry } from './node-entry.ts';
import type { MainConfig, MainState } from './main-branch.ts';
import type { InventoryNode } from './home-port.ts';

const UUID = '11111111-2222-4333-8444-555555555555';
/** The bytes of another UUID in the two orders. */
const [ORDER, OTHER_ORDER] = [
  '00112233-4455-6677-8899-aabbccddeeff',
  '33221100-5544-7766-8899-AABBCCDDEEFF',
] as const;

function node(name: string, systemUUID: string, more: Partial<InventoryNode> = {}): InventoryNode {
  const known = { machineId: 'm', bootID: 'b', osImage: 'Ubuntu 22.04 LTS', ready: true, paused: false };
  return { name, systemUUID, annotations: {}, ...known, ...more };
}

/** A CR whose entries are given as `ID` or `ID name`. */
function config(name: string, ...entries: string[]): MainConfig {
  const parsed = entries.map((text, index) => {
    const [id, nodeName] = text.split(' ');
    const raw = { attachedNodeId: id, attachedNodeName: nodeName, interfaces: [] };
    return [`key-${index}`, parseEntry(`key-${index}`, JSON.stringify(raw))] as const;
  });
  const ref = { group: 'multinic.io', namespace: 'test', name };
  return { ref, uid: name, generation: 1, annotations: {}, rest: {}, entries: new Map(parsed), text: '' };
}

function mainOf(...configs: MainConfig[]): MainState {
  return {
    commit: oid('0'.repeat(40)),
    configs: new Map(configs.map((each) => [`multinic.io/test/${each.ref.name}`, each])),
  };
}

function branch(name: string, nodeId: string, source: string): [string, { node: NodeIdentity }] {
  const ref = { group: 'multinic.io', namespace: 'test', name: source };
  const os = { family: 'ubuntu', major: 22 } as const;
  return [
    name,
    { node: { name, systemUUID: '', machineId: 'm', nodeId, os, renderer: 'netplan', source: ref } },
  ];
}

/** Verdict on each entry, in the order of CRs and entries. */
function verdicts(main: MainState, { byEntry }: Claims): string[] {
  return [...main.configs.values()].flatMap(({ entries }) =>
    [...entries.values()].map((entry) => {
      const found = byEntry.get(entry)!;
      return 'node' in found ? found.node : found.code;
    }),
  );
}

describe('an entry is for the node', () => {
  test.each<{ what: string; inventory: InventoryNode[]; entry: string; is: string }>([
    { what: 'with its systemUUID', inventory: [node('w', UUID)], entry: UUID, is: 'w' },
    {
      what: 'whatever the case and the dashes of the UUID',
      inventory: [node('w', UUID.replaceAll('-', ''))],
      entry: UUID.toUpperCase(),
      is: 'w',
    },
    {
      what: "with its providerID's last part",
      inventory: [node('w', 'dmi', { providerID: `openstack:///${UUID}` })],
      entry: UUID,
      is: 'w',
    },
    {
      what: 'with its name, if no identity contradicts',
      inventory: [node('w', 'dmi')],
      entry: `${UUID} w`,
      is: 'w',
    },
    {
      what: 'not with its name, if its UUID is another',
      inventory: [node('w', UUID.replace('1', '2'))],
      entry: `${UUID} w`,
      is: 'NoSuchNode',
    },
    {
      what: 'with its hostname',
      inventory: [node('w', 'dmi', { hostname: 'w.local' })],
      entry: `${UUID} w.local`,
      is: 'w',
    },
    {
      what: 'not when two have the name',
      inventory: [node('w', 'dmi', { hostname: 'x' }), node('v', 'dmi2', { hostname: 'x' })],
      entry: `${UUID} x`,
      is: 'NoSuchNode',
    },
    {
      what: 'with its systemUUID in the other byte order',
      inventory: [node('w', OTHER_ORDER), node('v', UUID)],
      entry: ORDER,
      is: 'w',
    },
    {
      what: 'with the other byte order and its name',
      inventory: [node('w', OTHER_ORDER)],
      entry: `${ORDER} w`,
      is: 'w',
    },
    {
      what: 'with the exact form, though another has the other byte order',
      inventory: [node('w', OTHER_ORDER), node('v', ORDER)],
      entry: ORDER,
      is: 'v',
    },
    {
      what: 'not with the other byte order, if its provider ID is another UUID',
      inventory: [node('w', OTHER_ORDER, { providerID: `openstack:///${UUID}` })],
      entry: ORDER,
      is: 'NoSuchNode',
    },
    {
      what: 'not with the other byte order, if the name is that of another node',
      inventory: [node('w', OTHER_ORDER), node('v', UUID)],
      entry: `${ORDER} v`,
      is: 'NoSuchNode',
    },
    {
      what: 'not with the other byte order, if two have it',
      inventory: [node('w', OTHER_ORDER), node('v', OTHER_ORDER)],
      entry: ORDER,
      is: 'NoSuchNode',
    },
    {
      what: 'not when two have the ID',
      inventory: [node('w', UUID), node('v', UUID)],
      entry: UUID,
      is: 'AmbiguousNode',
    },
  ])('$what', ({ inventory, entry, is }) => {
    const main = mainOf(config('one', entry));
    expect(verdicts(main, resolveClaims(main, inventory, new Map()))).toEqual([is]);
  });

  test('that left the inventory, by its branch', () => {
    const main = mainOf(config('one', 'i-1 w'));
    expect(verdicts(main, resolveClaims(main, [], new Map([branch('w', 'i-1', 'one')])))).toEqual(['w']);
  });
});

/** The verdict on the only entry. */
function message(inventory: InventoryNode[], entry: string): string {
  const main = mainOf(config('one', entry));
  const [found] = resolveClaims(main, inventory, new Map()).byEntry.values();
  return found !== undefined && 'message' in found ? found.message : '';
}

describe('a rejection says what to do', () => {
  test.each([
    ['its systemUUID', node('w', UUID)],
    ["OpenStack's, where the Node has it", node('w', 'dmi', { providerID: `openstack:///${UUID}` })],
  ])('of an ID that no node has, the ID of the node of that name: %s', (_, known) => {
    expect(message([known], `${ORDER} w`)).toContain(`node w has the ID ${UUID}: write that one`);
    expect(message([known], `${ORDER} v`)).not.toContain(UUID);
  });

  test('of two nodes with one ID, which one is stale', () => {
    const old = node('old', UUID, { ready: false });
    expect(message([old, node('new', UUID)], UUID)).toMatch(
      /old is not ready, so probably stale: delete that Node$/,
    );
    expect(message([node('one', UUID), node('two', UUID)], UUID)).toMatch(/delete the one that is stale$/);
  });

  test('of a UUID that a node has in the other byte order, the node and its spelling', () => {
    const contradicting = node('w', OTHER_ORDER, { providerID: `openstack:///${UUID}` });
    expect(message([contradicting], ORDER)).toContain(`node w has it with the bytes in the other order`);
    expect(message([contradicting], ORDER)).toContain(`write ${OTHER_ORDER}`);
  });

  test('of a name that would have to find the node and cannot, the field', () => {
    expect(message([node('w', 'dmi')], `${UUID} ../../etc`)).toContain('attachedNodeName "../../etc"');
    expect(message([node('w', 'dmi')], `${UUID} v`)).not.toContain('attachedNodeName');
  });
});

describe('of several entries', () => {
  test("the node's very ID beats the other byte order", () => {
    const main = mainOf(config('one', ORDER, OTHER_ORDER));
    expect(verdicts(main, resolveClaims(main, [node('w', OTHER_ORDER)], new Map()))).toEqual([
      'ClaimedByOther',
      'w',
    ]);
  });

  test("the branch's CR has the node, wherever it stands in the list", () => {
    const main = mainOf(config('one', 'i-1'), config('two', 'i-1'));
    const claims = resolveClaims(main, [node('w', 'i-1')], new Map([branch('w', 'i-1', 'two')]));
    expect(verdicts(main, claims)).toEqual(['ClaimedByOther', 'w']);
    expect(claims.byNode.get('w')!.config.ref.name).toBe('two');
  });

  test('for a node without a branch, the same one wins after a restart, which lists in another order', () => {
    for (const order of [
      ['one', 'two'],
      ['two', 'one'],
    ]) {
      const main = mainOf(...order.map((name) => config(name, 'i-1')));
      expect(resolveClaims(main, [node('w', 'i-1')], new Map()).byNode.get('w')!.config.ref.name).toBe('one');
    }
  });

  test('the one with the ID beats the one with the name', () => {
    const main = mainOf(config('one', `${UUID} w`, 'i-1 other'));
    const claims = resolveClaims(main, [node('w', 'i-1')], new Map([branch('w', 'i-1', 'one')]));
    expect(claims.byNode.get('w')!.entry.nodeId).toBe('i-1');
    expect(verdicts(main, claims)).toEqual(['ClaimedByOther', 'w']);
  });
});

describe('nothing can be said', () => {
  test('of two nodes with one ID', () => {
    const claims = resolveClaims(
      mainOf(config('one', 'i-1')),
      [node('w', 'i-1'), node('v', 'i-1')],
      new Map(),
    );
    expect([...claims.unclear].toSorted()).toEqual(['v', 'w']);
  });

  test('of a node whose CR has an entry without an ID, unless another entry speaks for it', () => {
    const main = mainOf(config('one', ' ', 'i-2'));
    const branches = new Map([
      branch('w', 'i-1', 'one'),
      branch('v', 'i-2', 'one'),
      branch('u', 'i-3', 'two'),
    ]);
    const claims = resolveClaims(main, [node('w', 'i-1'), node('v', 'i-2'), node('u', 'i-3')], branches);
    expect([...claims.unclear]).toEqual(['w']);
  });
});
