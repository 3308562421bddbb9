// The refs of the history. The refs that the store itself writes are in src/store/model/store-refs.ts, and the ref of a
// node's branch is in src/network/node-ref.ts, because the agent names it too.

import { branchOfNode, NODES } from '../network/node-ref.ts';
import { MAIN_REF } from '../store/model/store-refs.ts';

export const MAIN = MAIN_REF;
export const OUTCOMES = 'refs/heads/outcome/';
/** The commit of main that all branches are known to reflect. */
export const MIRRORED = 'refs/meta/mirrored';

export function outcomeRef(node: string): string {
  return OUTCOMES + branchOfNode(node);
}

const NODE_BRANCH = /^refs\/heads\/node\/[a-z0-9][a-z0-9._-]*$/;

/** Whether a ref may be the branch of a node. */
export function isNodeBranch(ref: string): boolean {
  return NODE_BRANCH.test(ref);
}

/** The node of `refs/heads/node/…` or `refs/heads/outcome/…`; undefined for any other ref. */
export function nodeOfRef(ref: string): string | undefined {
  const prefix = [NODES, OUTCOMES].find((each) => ref.startsWith(each));
  if (prefix === undefined) return undefined;
  return ref.slice(prefix.length, ref.endsWith('.lock_') ? -1 : undefined);
}
