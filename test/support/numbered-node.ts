// Nodes that are named by a number: node-0, node-1 and so on.

import type { InventoryNode } from '../../src/mirror/home-port.ts';

const two = (value: number): string => value.toString(16).padStart(2, '0');

/** The number in the name of a node. */
export function numberOf(node: string): number {
  return Number(node.slice('node-'.length));
}

/** MAC of a node's NIC. */
export function macOf(node: string, nic = 0): string {
  const number = numberOf(node);
  return `02:00:00:${two(nic)}:${two(number >> 8)}:${two(number & 255)}`;
}

export function numberedNode(number: number): InventoryNode & { readonly systemUUID: string } {
  return {
    name: `node-${number}`,
    systemUUID: `0c497169-a104-4448-afde-5ed12000${two(number >> 8)}${two(number & 255)}`,
    machineId: `machine-${number}`,
    bootID: 'boot',
    osImage: 'Ubuntu 22.04.4 LTS',
    ready: true,
    paused: false,
    annotations: {},
  };
}
