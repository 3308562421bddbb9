// Makes the CustomResourceDefinition from the schema. The result is a structural schema, because the API server accepts
// no other schema, and prunes and explains objects by it.

import * as z from 'zod';
import { KIND, PLURAL, VERSION, type Group } from './api-groups.ts';
import { MultiNicBizConfigSpec, MultiNicBizConfigStatus } from './multinicbizconfig.ts';

/** The two names that operators type for the resource. */
const FAMILIAR = ['multinicclusterconfig', 'multinicclusterconfigs'];

/**
 * A short name resolves to the alphabetically first group only, and hides the objects of the other group. So the
 * familiar names are short names of multinic.okestro.io, where CRs are written, and the plural is a category of both
 * groups, so that a list by the plural shows both.
 * @param alone the other group is not installed, so this group has the familiar names
 */
export function crd(group: Group, { alone = false }: { readonly alone?: boolean } = {}): object {
  const own = group === 'multinic.io' ? ['mnbc'] : [];
  const familiar = alone || group === 'multinic.okestro.io' ? FAMILIAR : [];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${PLURAL}.${group}`,
      labels: { 'app.kubernetes.io/name': 'multinic-agent' },
      // An earlier chart may have had the CRD as a template. Helm deletes any object that a later chart lacks, and all
      // CRs with the CRD.
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: PLURAL,
        singular: KIND.toLowerCase(),
        shortNames: [...own, ...familiar],
        categories: ['multinicclusterconfigs'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema() },
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS,
        },
      ],
    },
  };
}

/** Columns of priority 1, which kubectl shows with `-o wide` only. */
const COLUMNS = [
  { name: 'Nodes', type: 'integer', jsonPath: '.status.summary.totalNodes' },
  { name: 'Configured', type: 'integer', jsonPath: '.status.summary.configuredNodes' },
  { name: 'Failed', type: 'integer', jsonPath: '.status.summary.failedNodes' },
  { name: 'Held', type: 'integer', jsonPath: '.status.summary.heldNodes' },
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Pending', type: 'integer', priority: 1, jsonPath: '.status.summary.pendingNodes' },
  { name: 'Reason', type: 'string', priority: 1, jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  {
    name: 'Message',
    type: 'string',
    priority: 1,
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  },
  { name: 'Provider', type: 'string', priority: 1, jsonPath: '.spec.providerId' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

function schema(): object {
  const text = { type: 'string' };
  const spec = structural(MultiNicBizConfigSpec);
  const status = structural(MultiNicBizConfigStatus);
  // An atomic list: server-side apply would keep an owner for each item of a map list, for thousands of nodes.
  Object.assign(status.properties?.['nodeStatuses'] ?? {}, { 'x-kubernetes-list-type': 'atomic' });
  Object.assign(status.properties?.['conditions'] ?? {}, {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });
  return {
    type: 'object',
    description: 'The secondary network interfaces of Kubernetes nodes on OpenStack.',
    properties: { apiVersion: text, kind: text, metadata: { type: 'object' }, spec, status },
  };
}

interface Structural {
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Structural>>;
  readonly required?: readonly string[];
  readonly items?: Structural;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

function structural(type: z.ZodType): Structural {
  return strip(z.toJSONSchema(type, { target: 'openapi-3.0', io: 'input' }) as unknown as Structural);
}

/** Keeps the keys that a structural schema may have, in this order. An integer without bounds gets the format int64. */
function strip(node: Structural): Structural {
  const { type, description, pattern, minimum, maximum, required, properties, items } = node;
  const bounded = maximum !== Number.MAX_SAFE_INTEGER;
  return {
    type,
    ...(type === 'integer' && !bounded && { format: 'int64' }),
    ...(description !== undefined && { description }),
    ...(pattern !== undefined && { pattern }),
    ...(bounded && minimum !== undefined && { minimum }),
    ...(bounded && maximum !== undefined && { maximum }),
    ...(required !== undefined && { required }),
    ...(properties !== undefined && {
      properties: Object.fromEntries(Object.entries(properties).map(([key, value]) => [key, strip(value)])),
    }),
    ...(items !== undefined && { items: strip(items) }),
  };
}
