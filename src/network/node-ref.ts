// The ref of a node's branch. The store, the history and the agent name it alike.

import { branchOfNode } from './node.ts';

export const NODES = 'refs/heads/node/';

export function nodeRef(node: string): string {
  return NODES + branchOfNode(node);
}
