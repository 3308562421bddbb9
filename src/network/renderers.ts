// All renderers, by their kind.

import { ifcfg } from './ifcfg.ts';
import { keyfile } from './keyfile.ts';
import { netplan } from './netplan.ts';
import type { RendererKind } from './node.ts';
import type { Renderer } from './renderer.ts';

const RENDERERS: Readonly<Record<RendererKind, Renderer>> = { netplan, ifcfg, keyfile };

export const RENDERER_KINDS = ['netplan', 'ifcfg', 'keyfile'] as const satisfies readonly RendererKind[];

export function rendererOf(kind: RendererKind): Renderer {
  return RENDERERS[kind];
}
