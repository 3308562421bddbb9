// The cluster's Nodes as the mirror and the scheduler see them.

import type { V1Node } from '@kubernetes/client-node';
import { MultinicError } from '../api/errors.ts';
import { ANNOTATIONS, ourAnnotations, readAnnotation } from '../api/annotations.ts';
import type { PausableInventory } from '../controller/sink-port.ts';
import type { InventoryNode } from '../mirror/home-port.ts';
import { kubectlCommand } from './pause.ts';

/** The part of an Informer that is read. */
export interface NodeLookup {
  list(): readonly InventoryNode[];
  readonly complete: boolean;
}

export class KubeNodeInventory implements PausableInventory {
  readonly #nodes: NodeLookup;

  constructor(nodes: NodeLookup) {
    this.#nodes = nodes;
  }

  async list(): Promise<readonly InventoryNode[]> {
    if (!this.#nodes.complete) {
      throw new MultinicError(
        'NodesUnknown',
        'the Nodes cannot be listed now: no node is judged until they can',
      );
    }
    return this.#nodes.list();
  }

  /** The controller may not write to Nodes: that right would be root on all of them. */
  async setPaused(nodes: readonly string[], paused: boolean): Promise<void> {
    throw new MultinicError(
      'UseKubectl',
      `the controller may not change Nodes: run ${kubectlCommand(nodes, paused)}`,
    );
  }
}

export function projectNode({ metadata, spec, status }: V1Node): InventoryNode {
  const annotations = ourAnnotations(metadata?.annotations);
  const info = status?.nodeInfo;
  const windows = info?.operatingSystem === 'windows';
  // Ready means that the kubelet answers, because the agent's pod has the host's network. `False` counts as ready: the
  // kubelet may wait for a CNI that waits for our NIC; `Unknown` does not: the kubelet is silent.
  const ready =
    status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds !== 'Unknown') ?? false;
  const addresses = status?.addresses?.filter(({ type }) => type === 'InternalIP') ?? [];
  const podCIDRs = spec?.podCIDRs ?? [];
  const hostname = metadata?.labels?.['kubernetes.io/hostname'];
  return {
    name: metadata?.name ?? '',
    systemUUID: info?.systemUUID ?? '',
    machineId: info?.machineID ?? '',
    bootID: info?.bootID ?? '',
    osImage: info?.osImage ?? '',
    ...(spec?.providerID !== undefined && { providerID: spec.providerID }),
    ...(hostname !== undefined && { hostname }),
    ...(addresses.length > 0 && { addresses: addresses.map(({ address }) => address) }),
    ...(podCIDRs.length > 0 && { podCIDRs }),
    ready: ready && !windows && metadata?.deletionTimestamp === undefined,
    ...(windows && { problem: 'a Windows node has no interfaces of ours: take its entry away' }),
    paused: readAnnotation(annotations, ANNOTATIONS.paused) ?? false,
    annotations,
  };
}
