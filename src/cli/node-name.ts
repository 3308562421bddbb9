// Finds a node by any of its three names: Kubernetes', the attachedNodeName and the attachedNodeId of its entry.

import { hasCode, MultinicError } from '../api/errors.ts';
import type { NodeView } from '../controller/config-status.ts';

type Views = () => Promise<{ readonly nodes: readonly NodeView[] }>;

/** Views of the nodes that have a name. `node/NAME`, which `-o name` prints, is a name too. @throws MultinicError `NoSuchNode` */
export function findNodes(views: readonly NodeView[], text: string): NodeView[] {
  const name = text.replace(/^node\//, '');
  const found = views.filter(
    ({ node, attachedNodeName, attachedNodeId }) =>
      name !== '' && [node, attachedNodeName, attachedNodeId].includes(name),
  );
  if (found.length > 0) return found;
  throw new MultinicError('NoSuchNode', `there is no node ${name}: multinic status lists them all`, {
    data: { node: name },
  });
}

/** Kubernetes' name of the one node that has a name. @throws MultinicError `NoSuchNode` */
export function nodeNamed(views: readonly NodeView[], text: string): string {
  const nodes = [...new Set(findNodes(views, text).flatMap(({ node }) => node ?? []))];
  if (nodes.length === 1) return nodes[0]!;
  throw new MultinicError(
    'NoSuchNode',
    nodes.length === 0
      ? `${text} has no node yet: multinic status says why`
      : `${text} is a name of ${nodes.join(' and ')}: name one of them`,
    { data: { node: text } },
  );
}

/**
 * Calls `work` with the name as given, and again with Kubernetes' name of the node if no branch has the given one, so
 * that a command with the usual name needs no status.
 */
export async function withNode<T>(
  text: string,
  views: Views,
  work: (node: string) => Promise<T>,
): Promise<T> {
  const name = text.replace(/^node\//, '');
  try {
    return await work(name);
  } catch (error) {
    if (!hasCode(error, 'NoSuchNode', 'NodeNotFound')) throw error;
    const node = nodeNamed((await views()).nodes, name);
    if (node === name) throw error;
    return work(node);
  }
}
