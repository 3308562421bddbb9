import { MultinicError } from '../api/errors.ts';
import type { Principal } from './port.ts';

const NODE_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** The branch of a node. A node name may end in `.lock`, a ref may not; `_` never occurs in a node name. */
function nodeBranch(node: string): string {
  return `refs/heads/node/${node.replace(/\.lock$/, '.lock_')}`;
}

/**
 * git's settings for what a principal is shown; of `transfer.hideRefs` the last match decides.
 *
 * For a node this is access control, which holds in protocol v0 only: there git takes wants of what it has shown
 * and of its ancestors, while v2 serves any object that is named. HEAD is no `refs/…`, so it is hidden by its name.
 * @throws MultinicError `Forbidden` for a node's token that names no node
 */
export function visibility(principal: Principal): Record<string, string | readonly string[]> {
  if (principal.role !== 'node') return { 'transfer.hideRefs': ['refs/', '!refs/heads/', '!refs/audit/'] };
  if (principal.node === undefined || !NODE_NAME.test(principal.node))
    throw new MultinicError('Forbidden', `the token of ${principal.name} names no node: make it anew`);
  return {
    'transfer.hideRefs': ['HEAD', 'refs/', `!${nodeBranch(principal.node)}`],
    'uploadpack.allowFilter': 'false',
    'uploadpack.allowTipSHA1InWant': 'false',
    'uploadpack.allowReachableSHA1InWant': 'false',
    'uploadpack.allowAnySHA1InWant': 'false',
  };
}
