// The refs of the store. A node name may end in `.lock`, a ref may not; `_` never occurs in a node name.

export const MAIN = 'refs/heads/main';
export const NODES = 'refs/heads/node/';
export const OUTCOMES = 'refs/heads/outcome/';
/** The commit of main that all branches are known to reflect. */
export const MIRRORED = 'refs/meta/mirrored';

export function nodeRef(node: string): string {
  return NODES + escape(node);
}

export function outcomeRef(node: string): string {
  return OUTCOMES + escape(node);
}

/** The node of `refs/heads/node/…` or `refs/heads/outcome/…`; undefined for any other ref. */
export function nodeOfRef(ref: string): string | undefined {
  const prefix = [NODES, OUTCOMES].find((each) => ref.startsWith(each));
  if (prefix === undefined) return undefined;
  return ref.slice(prefix.length, ref.endsWith('.lock_') ? -1 : undefined);
}

function escape(node: string): string {
  return node.replace(/\.lock$/, '.lock_');
}
