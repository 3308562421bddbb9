// A fleet of 5,000 nodes in ten CRs, as the benches need it.

import { pino } from 'pino';
import { Branches } from '../src/history/node-branch.ts';
import { Mirror } from '../src/mirror/mirror.ts';
import type { ConfigList, ConfigObject, InventoryNode } from '../src/mirror/home-port.ts';
import type { Store } from '../src/store/store.ts';

export const CONFIGS = 10;
export const NODES_PER_CONFIG = 500;
const NICS = 3;

const IMAGES = [
  'Ubuntu 22.04.4 LTS',
  'Rocky Linux 8.9 (Green Obsidian)',
  'Red Hat Enterprise Linux 9.4 (Plow)',
];

export function inventory(): InventoryNode[] {
  return Array.from({ length: CONFIGS * NODES_PER_CONFIG }, (_, node) => ({
    name: `worker-${node}`,
    systemUUID: idOf(node),
    machineId: idOf(node).replaceAll('-', ''),
    bootID: 'b',
    osImage: IMAGES[node % IMAGES.length]!,
    ready: true,
    paused: false,
    annotations: {},
  }));
}

/** @param mtu MTU of the first NIC, by node, where it is not 1500 */
export function configs(
  mtu: ReadonlyMap<number, number> = new Map(),
  generations: ReadonlyMap<number, number> = new Map(),
): ConfigList {
  const objects = Array.from({ length: CONFIGS }, (_, config): ConfigObject => ({
    ref: { group: 'multinic.okestro.io', namespace: 'multinic-system', name: `cluster-${config}` },
    uid: `uid-${config}`,
    generation: generations.get(config) ?? 1,
    annotations: {},
    writer: { name: 'viola', email: 'viola@example.com' },
    spec: {
      providerId: 'p',
      nodeConfigs: Array.from({ length: NODES_PER_CONFIG }, (_, index) =>
        entryOf(config * NODES_PER_CONFIG + index, mtu),
      ),
    },
  }));
  return { configs: objects, doubt: () => undefined };
}

export function mirrorOf(store: Store): Mirror {
  return new Mirror(store, new Branches(store.reader), { log: pino({ level: 'silent' }), sliceMs: Infinity });
}

function idOf(node: number): string {
  return `00000000-0000-4000-8000-${String(node).padStart(12, '0')}`;
}

function entryOf(node: number, mtu: ReadonlyMap<number, number>): object {
  return {
    attachedNodeId: idOf(node),
    attachedNodeName: `worker-${node}`,
    interfaces: Array.from({ length: NICS }, (_, nic) => ({
      portId: `port-${node}-${nic}`,
      macAddress: macOf(node, nic),
      address: `10.${nic}.${node >> 8}.${node & 255}`,
      cidr: `10.${nic}.0.0/16`,
      mtu: nic === 0 ? (mtu.get(node) ?? 1500) : 1500,
    })),
  };
}

function macOf(node: number, nic: number): string {
  return ['02', '00', nic, node >> 16, (node >> 8) & 255, node & 255]
    .map((part) => (typeof part === 'string' ? part : part.toString(16).padStart(2, '0')))
    .join(':');
}
