import { AUDIT_REFS } from '../model/store-refs.ts';
import { MultinicError } from '../../api/errors.ts';
import type { Principal } from '../model/store-port.ts';
import { nodeRef } from '../../network/node-ref.ts';

const NODE_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/**
 * The only branch that a principal may fetch; undefined: all branches.
 * @throws MultinicError `Forbidden` for a node's token that names no node
 */
export function onlyBranch(principal: Principal): string | undefined {
  if (principal.role !== 'node') return undefined;
  if (principal.node === undefined || !NODE_NAME.test(principal.node))
    throw new MultinicError('Forbidden', `the token of ${principal.name} names no node: make it anew`);
  return nodeRef(principal.node);
}

/**
 * git settings that show a node its one branch, which saves hundreds of kilobytes; `confine` decides what the node may
 * fetch, because a client that knows an ID can ask for a hidden commit. The last matching pattern counts, and HEAD is
 * hidden by its name because it is no `refs/…`.
 */
export function shown(branch: string | undefined): Record<string, readonly string[]> {
  const patterns =
    branch === undefined ? ['refs/', '!refs/heads/', `!${AUDIT_REFS}`] : ['HEAD', 'refs/', `!${branch}`];
  return { 'transfer.hideRefs': patterns };
}
