// Makes the identity that a node's node.yaml should have.

import { ANNOTATIONS, readAnnotation } from '../api/annotations.ts';
import { MultinicError } from '../api/errors.ts';
import { osOfImage, type Os } from '../network/os.ts';
import { areOtherMachines } from '../network/machine-ids.ts';
import type { ConfigRef, NodeIdentity, RendererKind } from '../network/node.ts';
import { RENDERER_KINDS } from '../network/renderers.ts';
import { isPlainText } from '../network/text.ts';
import type { InventoryNode } from './home-port.ts';

/**
 * A node's identity from the inventory and its claim. The renderer is chosen at birth and when another machine takes
 * the node's place; otherwise only an annotation changes it.
 * @throws MultinicError `UnknownOS`, `UnknownRenderer`, `InvalidIdentity`
 */
export function identityOf(
  node: InventoryNode,
  claim: { readonly nodeId: string; readonly source: ConfigRef } | undefined,
  before: NodeIdentity | undefined,
): NodeIdentity {
  expectPlain(node, 'systemUUID', node.systemUUID);
  expectPlain(node, 'machineID', node.machineId);
  const image = osOfImage(node.osImage);
  const asked = askedRenderer(node);
  const reborn = before === undefined || areOtherMachines(node, before);
  if (asked === undefined && image?.lacks !== undefined) throw tooOld(node, image.lacks);
  const renderer = asked ?? (reborn ? image?.renderer : before.renderer);
  const os = osOf(node, image, before, renderer);
  if (renderer === undefined || os === undefined) {
    throw new MultinicError(
      'UnknownOS',
      `node ${node.name} runs "${node.osImage}", which we don't know: annotate the node with ${ANNOTATIONS.renderer.key}=netplan, ifcfg or keyfile`,
      {
        data: { node: node.name, osImage: node.osImage },
      },
    );
  }
  return {
    name: node.name,
    systemUUID: node.systemUUID || (before?.systemUUID ?? ''),
    machineId: node.machineId || (before?.machineId ?? ''),
    nodeId: claim?.nodeId ?? before?.nodeId ?? '',
    os,
    renderer,
    source: (claim?.source ?? before?.source)!,
  };
}

/** The OS of a node. An unknown OS counts as one of the family whose renderer the Node's annotation names. */
function osOf(
  { osImage }: InventoryNode,
  image: Os | undefined,
  before: NodeIdentity | undefined,
  renderer: RendererKind | undefined,
): NodeIdentity['os'] | undefined {
  if (image !== undefined) return { family: image.family, major: image.major };
  if (before !== undefined || renderer === undefined) return before?.os;
  const major = Number(/\b[1-9]\d{0,5}\b/.exec(osImage)?.[0] ?? 1);
  return { family: renderer === 'netplan' ? 'debian' : 'rhel', major };
}

function tooOld({ name, osImage }: InventoryNode, lacks: string): MultinicError {
  return new MultinicError(
    'UnknownOS',
    `node ${name} runs "${osImage}": ${lacks}; give it a newer OS (RHEL 8, Ubuntu 18.04, Debian 10) or take it out of the MultiNicBizConfig; where it has a newer systemd, annotate the node with ${ANNOTATIONS.renderer.key}=netplan, ifcfg or keyfile`,
    { data: { node: name, osImage } },
  );
}

/** Refuses a machine's text that would make node.yaml, and so its branch, unreadable. */
function expectPlain(node: InventoryNode, field: string, text: string): void {
  if (text === '' || isPlainText(text)) return;
  throw new MultinicError(
    'InvalidIdentity',
    `node ${node.name} says that its ${field} is ${JSON.stringify(text)}: mend it on the machine, one line of at most 253 visible characters`,
    { data: { node: node.name, field } },
  );
}

export function sameIdentity(a: NodeIdentity, b: NodeIdentity): boolean {
  return (
    a.name === b.name &&
    a.systemUUID === b.systemUUID &&
    a.machineId === b.machineId &&
    a.nodeId === b.nodeId &&
    a.renderer === b.renderer &&
    a.os.family === b.os.family &&
    a.os.major === b.os.major &&
    a.source.group === b.source.group &&
    a.source.namespace === b.source.namespace &&
    a.source.name === b.source.name
  );
}

/** A changed identity in a person's words. */
export function describeIdentity(before: NodeIdentity, after: NodeIdentity): string {
  const parts: string[] = [];
  if (areOtherMachines(before, after)) parts.push('new machine');
  if (before.renderer !== after.renderer) parts.push(`renderer ${after.renderer}`);
  if (before.os.family !== after.os.family || before.os.major !== after.os.major)
    parts.push(`${after.os.family} ${after.os.major}`);
  if (
    before.source.name !== after.source.name ||
    before.source.namespace !== after.source.namespace ||
    before.source.group !== after.source.group
  ) {
    parts.push(`now of ${after.source.namespace}/${after.source.name}`);
  }
  return parts.join(', ') || 'identity changed';
}

function askedRenderer(node: InventoryNode): RendererKind | undefined {
  const asked = node.annotations[ANNOTATIONS.renderer.key];
  if (asked === undefined) return undefined;
  const kind = readAnnotation(node.annotations, ANNOTATIONS.renderer);
  if (kind !== undefined) return kind;
  throw new MultinicError(
    'UnknownRenderer',
    `node ${node.name}: ${ANNOTATIONS.renderer.key} is "${asked}": use ${RENDERER_KINDS.join(', ')}`,
    { data: { node: node.name, asked } },
  );
}
