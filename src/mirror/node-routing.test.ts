import { describe, expect, test } from 'vitest';
import type { WantedInterface } from '../network/interface.ts';
import { mac } from '../../test/support/mac.ts';
import type { Claims } from './claim.ts';
import type { InventoryNode } from './home-port.ts';
import { autoRoutingOf, DEFAULT_ROUTING, routingWarnings } from './node-routing.ts';

const ref = { group: 'multinic.io', namespace: 'n', name: 'fleet' };
const listed = (fields: Partial<InventoryNode> = {}): InventoryNode => ({
  name: 'w1',
  systemUUID: 'u',
  machineId: 'm',
  bootID: 'b',
  osImage: 'Ubuntu 22.04.4 LTS',
  ready: true,
  paused: false,
  annotations: {},
  ...fields,
});
const nic = (index: number, fields: Partial<WantedInterface> = {}): WantedInterface => ({
  mac: mac(`fa:16:3e:00:00:0${index}`),
  address: `10.0.${index}.10`,
  prefix: 24,
  mtu: 1500,
  ...fields,
});

function warnings(
  wanted: readonly WantedInterface[],
  nodes: readonly InventoryNode[],
  settings = DEFAULT_ROUTING,
  annotations = {},
) {
  const claim = { config: { ref, annotations }, entry: { wanted } };
  const claims = { byNode: new Map([['w1', claim]]) } as unknown as Claims;
  const byName = new Map(nodes.map((node) => [node.name, node]));
  return routingWarnings(claims, byName, settings).get('multinic.io/n/fleet') ?? [];
}

test('the annotation of the Node comes before that of the CR, and both before the setting', () => {
  const key = 'multinic.io/source-routing';
  const on = (node: string | undefined, config: string | undefined, auto: boolean): boolean =>
    autoRoutingOf(
      listed(node === undefined ? {} : { annotations: { [key]: node } }),
      config === undefined ? undefined : { [key]: config },
      { ...DEFAULT_ROUTING, auto },
    ).on;
  expect(on(undefined, undefined, true)).toBe(true);
  expect(on(undefined, undefined, false)).toBe(false);
  expect(on(undefined, 'off', true)).toBe(false);
  expect(on('auto', 'off', false)).toBe(true);
  expect(on('off', 'auto', true)).toBe(false);
  expect(on('perhaps', undefined, true)).toBe(true);
});

describe('a NIC that needs source routing and has none', () => {
  const twins = [nic(1), nic(2, { address: '10.0.1.11' })];

  test('auto has it on: nothing to say', () => {
    expect(warnings(twins, [listed()])).toEqual([]);
  });

  test.each([
    ['by the setting', twins, { ...DEFAULT_ROUTING, auto: false }, {}, 2],
    ['by the annotation of the CR', twins, DEFAULT_ROUTING, { 'multinic.io/source-routing': 'off' }, 2],
    [
      'by the CR, for one of two',
      [{ ...twins[0]!, sourceRouting: false }, twins[1]!],
      DEFAULT_ROUTING,
      {},
      1,
    ],
  ] as const)('switched off %s', (_title, wanted, settings, annotations, count) => {
    const found = warnings(wanted, [listed()], settings, annotations);
    expect(found).toHaveLength(count);
    expect(found[0]).toMatchObject({ code: 'SourceRoutingOff', path: 'node w1, interfaces[0]' });
    expect(found[0]?.message).toContain('fa:16:3e:00:00:01 shares its subnet with 10.0.1.11/24');
  });

  test('in the subnet of the node', () => {
    const found = warnings([nic(1, { sourceRouting: false })], [listed({ addresses: ['10.0.1.1'] })]);
    expect(found).toMatchObject([{ code: 'SourceRoutingOff' }]);
    expect(found[0]?.message).toContain("the node's own address 10.0.1.1");
  });
});

describe('a network that is also another one', () => {
  test.each([
    [
      'a subnet and the pods of the node',
      nic(1),
      { podCIDRs: ['10.0.0.0/16'] },
      [],
      '10.0.1.0/24',
      '10.0.0.0/16',
    ],
    ['a subnet and the Services', nic(1), {}, ['10.0.1.128/25'], '10.0.1.0/24', '10.0.1.128/25'],
    [
      'a route and the Services',
      nic(1, { routes: [{ to: '10.96.0.0/16', via: '10.0.1.1' }] }),
      {},
      ['2001:db8::/64', '10.96.0.0/12'],
      '10.96.0.0/16',
      '10.96.0.0/12',
    ],
  ] as const)('%s: both are named', (_title, one, fields, clusterNetworks, mine, theirs) => {
    const found = warnings([one], [listed(fields)], { auto: true, clusterNetworks });
    expect(found).toMatchObject([{ code: 'NetworkOverlap', path: 'node w1, interfaces[0]' }]);
    expect(found[0]?.message).toContain(`${mine} of fa:16:3e:00:00:01 overlaps ${theirs}`);
  });

  test('the address of another node, unless it is a neighbour of this one', () => {
    const other = listed({ name: 'w2', addresses: ['10.0.1.12'] });
    const far = warnings([nic(1)], [listed({ addresses: ['192.0.2.1'] }), other]);
    expect(far).toMatchObject([{ code: 'NetworkOverlap' }]);
    expect(far[0]?.message).toContain(
      '10.0.1.0/24 of fa:16:3e:00:00:01 has 10.0.1.12, the address of a node',
    );
    expect(warnings([nic(1)], [listed({ addresses: ['10.0.1.11'] }), other])).toEqual([]);
  });

  test('networks apart: nothing to say', () => {
    const settings = { auto: true, clusterNetworks: ['10.96.0.0/12'] };
    expect(warnings([nic(1)], [listed({ podCIDRs: ['10.244.0.0/24'] })], settings)).toEqual([]);
  });
});

test('an entry is judged again only with another Node, other addresses, settings or annotations', () => {
  let judged = 0;
  const entry = {
    get wanted(): readonly WantedInterface[] {
      judged += 1;
      return [nic(1)];
    },
  };
  const claimsOf = (config: object): Claims =>
    ({ byNode: new Map([['w1', { config, entry }]]) }) as unknown as Claims;
  const config = { ref, annotations: {} };
  const nodes = new Map([['w1', listed()]]);
  const none = routingWarnings(claimsOf(config), nodes, DEFAULT_ROUTING);
  expect(none.size).toBe(0);
  expect(routingWarnings(claimsOf(config), nodes, DEFAULT_ROUTING)).toEqual(none);
  expect(judged).toBe(1);
  const ready = new Map([...nodes, ['w2', listed({ name: 'w2' })]]);
  routingWarnings(claimsOf({ ...config }), ready, DEFAULT_ROUTING);
  expect(judged).toBe(1);
  routingWarnings(claimsOf({ ...config, annotations: {} }), nodes, DEFAULT_ROUTING);
  expect(judged).toBe(2);
  const settings = { ...DEFAULT_ROUTING, clusterNetworks: ['10.0.0.0/16'] };
  expect(routingWarnings(claimsOf(config), nodes, settings).size).toBe(1);
  const joined = new Map([...nodes, ['w2', listed({ name: 'w2', addresses: ['10.0.1.20'] })]]);
  expect(routingWarnings(claimsOf(config), joined, DEFAULT_ROUTING).size).toBe(1);
  expect(judged).toBe(4);
});
