// The refs of the store.

import { branchOfNode } from '../network/node.ts';
import { NODES } from '../network/node-ref.ts';
import { MAIN_REF } from '../store/model/ref-names.ts';

export const MAIN = MAIN_REF;
export const OUTCOMES = 'refs/heads/outcome/';
/** The commit of main that all branches are known to reflect. */
export const MIRRORED = 'refs/meta/mirrored';

export function outcomeRef(node: string): string {
  return OUTCOMES + branchOfNode(node);
}

/** The node of `refs/heads/node/…` or `refs/heads/outcome/…`; undefined for any other ref. */
export function nodeOfRef(ref: string): string | undefined {
  const prefix = [NODES, OUTCOMES].find((each) => ref.startsWith(each));
  if (prefix === undefined) return undefined;
  return ref.slice(prefix.length, ref.endsWith('.lock_') ? -1 : undefined);
}
