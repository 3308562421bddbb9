// Thousands of generated CRs and edits through the pure functions: what is admitted is rendered and read back equal, names
// stay with their MACs, and nothing but InvalidInputError is ever thrown.

import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '../api/errors.ts';
import { admitConfig } from './admission.ts';
import { indexOfName, isLinkOnly, satisfies, type Network, type WantedInterface } from './interface.ts';
import { assignNames } from './nic-names.ts';
import type { NodeIdentity } from './node.ts';
import type { Files, Renderer } from './renderer.ts';
import { rendererOf, RENDERER_KINDS } from './renderers.ts';
import { managedFiles, readTree, renderTree } from './tree.ts';

const SEED = 20_250_121;
/** Edits are rendered, read and compared several times each: all 10,000 belong to `npm run test:matrix`. */
const IS_MATRIX = process.env['MATRIX'] !== undefined;
const EDIT_RUNS = IS_MATRIX ? 2_500 : 500;

/** Few MACs, so that edits meet the NICs of the CR before; one of them is a number to YAML 1.1. */
const MACS = ['12:34:56:12:34:56', ...Array.from({ length: 7 }, (_, index) => `FA:16:3e:5e:62:0${index}`)];
const host = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 254 }), fc.integer({ min: 8, max: 32 }), fc.nat({ max: 255 }))
    .map(([last, prefix, third]) => ({
      address: `10.7.${third}.${last}`,
      cidr: `10.7.${third}.${last}/${prefix}`,
      mtu: 1500,
    })),
  fc.tuple(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 16, max: 128 })).map(([last, prefix]) => {
    const address = `2001:DB8:0:0::${last.toString(16).padStart(4, '0')}`;
    return { address, cidr: `${address}/${prefix}`, mtu: 9000 };
  }),
  fc.nat({ max: 255 }).map((third) => ({ address: `192.168.${third}.9`, cidr: `192.168.${third}.0/24` })),
  fc.nat({ max: 255 }).map((third) => ({ cidr: `172.16.${third}.1/31`, mtu: 68 })),
);
const index = fc.nat({ max: 6 });
/** Routing of a NIC in 10.9.N.0/24. All values are valid, so that most generated CRs are admitted. */
const routed = fc
  .record(
    {
      third: fc.nat({ max: 255 }),
      addresses: fc.subarray([20, 21, 22]),
      addresses6: fc.subarray([0x20, 0x21]),
      gateway: fc.boolean(),
      gateway6: fc.boolean(),
      routes: fc.uniqueArray(
        fc.record(
          { second: fc.nat({ max: 255 }), metric: fc.integer({ min: 1, max: 999 }) },
          { requiredKeys: ['second'] },
        ),
        { maxLength: 4, selector: ({ second }) => second },
      ),
      sourceRouting: fc.boolean(),
    },
    { requiredKeys: ['third', 'addresses', 'addresses6', 'gateway', 'gateway6', 'routes'] },
  )
  .map(({ third, addresses, addresses6, gateway, gateway6, routes, sourceRouting }) => {
    const hex = third.toString(16);
    const hasGateway = gateway || (gateway6 && addresses6.length > 0);
    return {
      cidr: `10.9.${third}.10/24`,
      addresses: [
        ...addresses.map((last) => `10.9.${third}.${last}/24`),
        ...addresses6.map((last) => `2001:DB8:9:${hex}::${last.toString(16)}/64`),
      ],
      ...(gateway && { gateway: `10.9.${third}.1` }),
      ...(gateway6 && addresses6.length > 0 && { gateway6: `2001:db8:9:${hex}::1` }),
      routes: routes.map(({ second, ...rest }) => ({
        to: `172.31.${second}.0/24`,
        via: `10.9.${third}.1`,
        ...rest,
      })),
      ...(sourceRouting !== undefined && { sourceRouting: sourceRouting || hasGateway }),
    };
  });
const ports = fc.oneof(fc.uuid(), fc.constant('포트 # "1": [x]'), fc.stringMatching(/^[!-;=?-[\]-~]{1,40}$/));
const tame = fc
  .uniqueArray(
    fc.record(
      {
        macAddress: fc.constantFrom(...MACS),
        host: fc.oneof(host, routed, fc.constant({ linkOnly: true as const, mtu: 68 })),
        name: index.map((n) => `multinic${n}`),
        portId: ports,
        takeover: fc.constant(true as const),
      },
      { requiredKeys: ['macAddress', 'host'] },
    ),
    { maxLength: 5, selector: ({ macAddress }) => macAddress },
  )
  .map((nics) => ({
    nodeConfigs: [
      { attachedNodeId: 'i-1', interfaces: nics.map(({ host, ...rest }) => ({ ...rest, ...host })) },
    ],
  }));

/** Any JSON value at any place of the CR. */
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(...MACS),
  fc.ipV4(),
  fc.ipV6(),
);
const wildNic = fc.record(
  {
    macAddress: fc.oneof(fc.constantFrom(...MACS), text),
    address: fc.oneof(fc.ipV4(), fc.ipV6(), text),
    cidr: fc.oneof(
      text,
      fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat({ max: 130 })).map(([a, p]) => `${a}/${p}`),
    ),
    addresses: fc.array(
      fc.oneof(fc.ipV4(), fc.ipV6(), text).map((a) => `${a}/24`),
      { maxLength: 3 },
    ),
    gateway: fc.oneof(fc.ipV4(), text),
    gateway6: fc.oneof(fc.ipV6(), text),
    routes: fc.array(fc.oneof(fc.record({ to: text, via: text, metric: fc.integer() }), fc.anything()), {
      maxLength: 2,
    }),
    sourceRouting: fc.oneof(fc.boolean(), text),
    linkOnly: fc.oneof(fc.boolean(), text),
    mtu: fc.oneof(fc.integer({ min: 60, max: 9010 }), fc.double()),
    name: fc.oneof(
      index.map((n) => `multinic${n}`),
      text,
    ),
    portId: text,
  },
  { requiredKeys: [] },
);
const wild = fc.oneof(
  fc.anything(),
  fc.record({
    nodeConfigs: fc.array(
      fc.oneof(
        fc.anything(),
        fc.record({
          attachedNodeId: fc.oneof(fc.uuid(), text),
          interfaces: fc.array(fc.oneof(wildNic, fc.anything()), { maxLength: 3 }),
        }),
      ),
      { maxLength: 4 },
    ),
  }),
);

function admitted(raw: unknown): (readonly WantedInterface[])[] {
  try {
    return admitConfig({ spec: raw }).entries.flatMap(({ wanted }) => (wanted === undefined ? [] : [wanted]));
  } catch (error) {
    if (error instanceof InvalidInputError) return [];
    throw error;
  }
}

/** NICs whose CR does not set source routing. */
const auto = (nic: WantedInterface): boolean =>
  !isLinkOnly(nic) && Number.parseInt(nic.mac.slice(-1), 16) % 2 === 0;

/** undefined: the CR is refused. */
function parsed(renderer: Renderer, files: Files): Network | undefined {
  try {
    return renderer.parse(files);
  } catch (error) {
    if (error instanceof InvalidInputError) return undefined;
    throw error;
  }
}

function nodeOf(renderer: NodeIdentity['renderer']): NodeIdentity {
  return {
    name: 'worker-1',
    systemUUID: 'u',
    machineId: 'm',
    nodeId: 'i-1',
    os: { family: 'ubuntu', major: 22 },
    renderer,
    source: { group: 'multinic.io', namespace: 'n', name: 'c' },
  };
}

// Seconds on an idle machine; the timeout is for a loaded one.
describe('generated CRs', { timeout: 240_000 }, () => {
  test('what is admitted reads back equal, edit upon edit', () => {
    let taken = 0;
    const kinds = fc.constantFrom(...RENDERER_KINDS);
    fc.assert(
      fc.property(fc.array(tame, { minLength: 4, maxLength: 4 }), kinds, (edits, kind) => {
        const node = nodeOf(kind);
        let tip: Network = [];
        let base: Network = [];
        for (const wanted of edits.flatMap(admitted)) {
          taken += 1;
          const network = assignNames(wanted, tip, base, auto);
          const files = renderTree(node, network);
          assert.deepEqual(readTree(files), { node, network });
          assert(satisfies(network, wanted));
          assert.deepEqual(assignNames(wanted, network, base, auto), network);
          assertNamesKept(wanted, tip, network);
          base = tip;
          tip = network;
        }
      }),
      { seed: SEED, numRuns: EDIT_RUNS },
    );
    // Names and addresses may repeat, and such a CR is refused. A test in which few CRs are admitted would show
    // nothing.
    expect(taken).toBeGreaterThan(2.8 * EDIT_RUNS);
  });

  test('nothing that is written throws but InvalidInputError, and what is admitted reads back', () => {
    fc.assert(
      fc.property(wild, fc.constantFrom(...RENDERER_KINDS), (raw, kind) => {
        for (const wanted of admitted(raw)) {
          const network = assignNames(wanted, [], [], auto);
          assert.deepEqual(readTree(renderTree(nodeOf(kind), network)).network, network);
        }
      }),
      { seed: SEED, numRuns: 3_000 },
    );
  });

  test('the YAML reader agrees with the quick one', () => {
    const renderer = rendererOf('netplan');
    fc.assert(
      fc.property(tame, (raw) => {
        for (const wanted of admitted(raw)) {
          const network = assignNames(wanted, [], [], auto);
          const files = managedFiles(renderTree(nodeOf('netplan'), network));
          const noted = new Map([...files].map(([path, content]) => [path, `${content}# a note\n`]));
          assert.deepEqual(renderer.parse(noted), network);
        }
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test('a file in which anything is changed is refused, or what it means is rendered and read as the same', () => {
    let refused = 0;
    const junk = fc.string({ maxLength: 3 });
    fc.assert(
      fc.property(tame, fc.constantFrom(...RENDERER_KINDS), fc.nat(), junk, (raw, kind, at, junk) => {
        const renderer = rendererOf(kind);
        for (const wanted of admitted(raw).filter(({ length }) => length > 0)) {
          const files = managedFiles(renderTree(nodeOf(kind), assignNames(wanted, [], [], auto)));
          const broken = new Map([...files].map(([path, content]) => [path, splice(content, at, junk)]));
          const network = parsed(renderer, broken);
          refused += network === undefined ? 1 : 0;
          const again = new Map((network ?? []).flatMap((nic) => [...renderer.render(nic)]));
          assert.deepEqual(renderer.parse(again), network ?? []);
        }
      }),
      { seed: SEED, numRuns: 1_500 },
    );
    expect(refused).toBeGreaterThan(500);
  });
});

/** A NIC without a stated name keeps the tip's, unless another one's stated name took it; names are never shared. */
function assertNamesKept(wanted: readonly WantedInterface[], tip: Network, network: Network): void {
  const stated = new Set(wanted.map(({ name }) => name));
  const before = new Map(tip.map(({ mac, name }) => [mac, name]));
  const unnamed = new Set(wanted.filter(({ name }) => name === undefined).map(({ mac }) => mac));
  for (const { mac, name } of network) {
    const old = before.get(mac);
    const kept = old !== undefined && unnamed.has(mac) && !stated.has(old) ? old : name;
    assert.equal(name, kept);
  }
  const indexes = network.map(({ name }) => indexOfName(name) ?? -1);
  assert.deepEqual(
    indexes,
    [...new Set(indexes)].sort((a, b) => a - b),
  );
}

function splice(text: string, at: number, junk: string): string {
  const index = at % text.length;
  return text.slice(0, index) + junk + text.slice(index + 1);
}
