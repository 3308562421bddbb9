// The ref of a node's branch. The store, the history and the agent name it alike.

export const NODES = 'refs/heads/node/';

export function nodeRef(node: string): string {
  return NODES + branchOfNode(node);
}

/** A node's name as the end of a ref. A ref may not end in `.lock`, a node name may; `_` occurs in no node name. */
export function branchOfNode(name: string): string {
  return name.replace(/\.lock$/, '.lock_');
}
