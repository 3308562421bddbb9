// The refs of the store.

import { branchOfNode } from '../network/node.ts';

export const MAIN = 'refs/heads/main';
export const NODES = 'refs/heads/node/';
export const OUTCOMES = 'refs/heads/outcome/';
/** The commit of main that all branches are known to reflect. */
export const MIRRORED = 'refs/meta/mirrored';

export function nodeRef(node: string): string {
  return NODES + branchOfNode(node);
}

export function outcomeRef(node: string): string {
  return OUTCOMES + branchOfNode(node);
}

/** The node of `refs/heads/node/…` or `refs/heads/outcome/…`; undefined for any other ref. */
export function nodeOfRef(ref: string): string | undefined {
  const prefix = [NODES, OUTCOMES].find((each) => ref.startsWith(each));
  if (prefix === undefined) return undefined;
  return ref.slice(prefix.length, ref.endsWith('.lock_') ? -1 : undefined);
}
