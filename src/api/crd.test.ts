import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generate } from '../../scripts/generate.ts';
import { crd } from './crd.ts';
import { GROUPS } from './api-groups.ts';
import { MultiNicBizConfigSpec, MultiNicBizConfigStatus } from './multinicbizconfig.ts';
import type { ConfigStatus } from './status.ts';

const folder = new URL('../../crds/', import.meta.url);

interface Definition {
  spec: {
    names: { shortNames: string[]; categories: string[] };
    versions: { schema: { openAPIV3Schema: Schema }; additionalPrinterColumns: { name: string }[] }[];
  };
}
interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  required?: string[];
  [key: string]: unknown;
}

function definition(group: (typeof GROUPS)[number], options = {}): Definition {
  return crd(group, options) as Definition;
}

function rootOf(group: (typeof GROUPS)[number]): Schema {
  return definition(group).spec.versions[0]!.schema.openAPIV3Schema;
}

function walk(schema: Schema, path: string, visit: (schema: Schema, path: string) => void): void {
  visit(schema, path);
  for (const [key, value] of Object.entries(schema.properties ?? {})) walk(value, `${path}.${key}`, visit);
  if (schema.items !== undefined) walk(schema.items, `${path}[]`, visit);
}

test('crds/ is what npm run generate writes', () => {
  const written = new Map(
    readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]),
  );
  expect(written).toEqual(generate());
});

test('the schema is structural: a type everywhere, and no keyword that the API server refuses', () => {
  const allowed = new Set(
    'type format description pattern minimum maximum required properties items x-kubernetes-list-type x-kubernetes-list-map-keys'.split(
      ' ',
    ),
  );
  const odd: string[] = [];
  for (const group of GROUPS) {
    walk(rootOf(group), '', (schema, path) => {
      if (!/^(object|array|string|integer|boolean)$/.test(schema.type ?? '')) odd.push(`${path}: no type`);
      for (const key of Object.keys(schema)) if (!allowed.has(key)) odd.push(`${path}: ${key}`);
    });
  }
  expect(odd).toEqual([]);
});

test('the spec asks for no more than it always has, and new fields for their types', () => {
  const spec = rootOf('multinic.io').properties?.['spec'];
  const constraints: Record<string, unknown> = {};
  walk(spec ?? {}, 'spec', ({ description: _, properties: __, items: ___, ...rest }, path) => {
    constraints[path] = rest;
  });
  const item = 'spec.nodeConfigs[].interfaces[]';
  expect(constraints).toEqual({
    spec: { type: 'object' },
    'spec.providerId': { type: 'string' },
    'spec.specHash': { type: 'string' },
    'spec.nodeConfigs': { type: 'array' },
    'spec.nodeConfigs[]': { type: 'object' },
    'spec.nodeConfigs[].attachedNodeId': { type: 'string' },
    'spec.nodeConfigs[].attachedNodeName': { type: 'string' },
    'spec.nodeConfigs[].interfaces': { type: 'array' },
    [item]: { type: 'object' },
    [`${item}.portId`]: { type: 'string' },
    [`${item}.takeover`]: { type: 'boolean' },
    [`${item}.macAddress`]: { type: 'string', pattern: '^([0-9A-Fa-f]{2}[:]){5}([0-9A-Fa-f]{2})$' },
    [`${item}.address`]: { type: 'string' },
    [`${item}.cidr`]: { type: 'string' },
    [`${item}.mtu`]: { type: 'integer', format: 'int64' },
    [`${item}.name`]: { type: 'string' },
    [`${item}.addresses`]: { type: 'array' },
    [`${item}.addresses[]`]: { type: 'string' },
    [`${item}.gateway`]: { type: 'string' },
    [`${item}.gateway6`]: { type: 'string' },
    [`${item}.linkOnly`]: { type: 'boolean' },
    [`${item}.routes`]: { type: 'array' },
    [`${item}.routes[]`]: { type: 'object' },
    [`${item}.routes[].to`]: { type: 'string' },
    [`${item}.routes[].via`]: { type: 'string' },
    [`${item}.routes[].metric`]: { type: 'integer', format: 'int64' },
    [`${item}.sourceRouting`]: { type: 'boolean' },
  });
});

test('nothing is required but the key of the condition list', () => {
  const found: string[] = [];
  walk(rootOf('multinic.io'), '', ({ required = [] }, path) => {
    found.push(...required.map((key) => `${path}.${key}`));
  });
  expect(found).toEqual(['.status.conditions[].type']);
});

test('names: the familiar ones belong to the group in which CRs are written, else to the only one', () => {
  const familiar = ['multinicclusterconfig', 'multinicclusterconfigs'];
  expect(definition('multinic.io').spec.names.shortNames).toEqual(['mnbc']);
  expect(definition('multinic.okestro.io').spec.names.shortNames).toEqual(familiar);
  expect(definition('multinic.io', { alone: true }).spec.names.shortNames).toEqual(['mnbc', ...familiar]);
  for (const group of GROUPS)
    expect(definition(group).spec.names.categories).toEqual(['multinicclusterconfigs']);
});

test('printer columns', () => {
  const columns = definition('multinic.io').spec.versions[0]?.additionalPrinterColumns as {
    name: string;
    priority?: number;
  }[];
  expect(columns.filter(({ priority = 0 }) => priority === 0).map(({ name }) => name)).toEqual([
    'Nodes',
    'Configured',
    'Failed',
    'Held',
    'Ready',
    'Age',
  ]);
});

test('every status that the controller writes keeps all its fields', () => {
  const status: Required<ConfigStatus> = {
    observedGeneration: 3,
    observedSpecHash: 'a1b2',
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'NodesHeld',
        message: 'm',
        observedGeneration: 3,
        lastTransitionTime: '2025-01-21T10:32:15Z',
      },
    ],
    nodeStatuses: [
      {
        attachedNodeId: 'i-1',
        attachedNodeName: 'w1',
        state: 'Configured',
        reason: 'InterfacesMissing',
        message: 'm',
        desiredCommit: 'c',
        appliedCommit: 'c',
        held: true,
        paused: false,
        lastProcessed: '2025-01-21T10:32:15Z',
        lastJobName: 'j',
      },
    ],
    nodeStatusesOmitted: 1,
    summary: { totalNodes: 1, configuredNodes: 1, failedNodes: 0, pendingNodes: 0, heldNodes: 1 },
  };
  expect(MultiNicBizConfigStatus.parse(status)).toEqual(status);
});

test('what the earlier agent stored is valid', () => {
  const spec = { providerId: 'p', specHash: 'h', nodeConfigs: [{}, { interfaces: [{}, { mtu: 68 }] }] };
  expect(MultiNicBizConfigSpec.parse(spec)).toEqual(spec);
  expect(MultiNicBizConfigSpec.parse({})).toEqual({});
});
