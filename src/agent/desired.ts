import { InvalidInputError, type Problem } from '../api/errors.ts';
import type { NodeIdentity } from '../network/node.ts';
import { managedFiles, readTree } from '../network/tree.ts';
import type { Desired } from './plan.ts';

/** A branch as it was checked out, unjudged. */
export interface Checkout {
  /** The branch's newest commit. */
  readonly tip: string;
  /** Path to git's mode and the content of every entry of its tree. */
  readonly entries: ReadonlyMap<string, { readonly mode: string; readonly content: string }>;
}

const MAX_ENTRIES = 256;

/**
 * Judges a node's tree as if nobody had judged it before: whoever wrote it, this host carries it out.
 * @throws InvalidInputError `InvalidTree`
 */
export function readDesired(
  commit: string,
  node: string,
  { entries }: Checkout,
): { desired: Desired; node: NodeIdentity } {
  const problems = [...entries].flatMap(([path, entry]) => judgeEntry(path, entry.mode));
  if (entries.size > MAX_ENTRIES)
    problems.push(problem('', `has ${entries.size} files, more than ${MAX_ENTRIES}; revert the commit`));
  if (problems.length > 0)
    throw new InvalidInputError('InvalidTree', `commit ${commit.slice(0, 10)}`, problems);
  const files = new Map([...entries].map(([path, { content }]) => [path, content]));
  const tree = readTree(files);
  if (tree.node.name !== node) {
    throw new InvalidInputError('InvalidTree', `commit ${commit.slice(0, 10)}`, [
      problem('node.yaml', `is that of ${tree.node.name}, not of ${node}; revert the commit`),
    ]);
  }
  return {
    node: tree.node,
    desired: { commit, kind: tree.node.renderer, network: tree.network, files: managedFiles(files) },
  };
}

/** The tree without interfaces: what a cleanup applies. No commit stands behind it. */
export const NOTHING: Desired = {
  commit: '0'.repeat(40),
  kind: 'netplan',
  network: [],
  files: new Map(),
};

function judgeEntry(path: string, mode: string): Problem[] {
  if (mode === '120000') return [problem(path, 'is a link; commit a plain file')];
  if (mode !== '100644') return [problem(path, `has mode ${mode}; commit it with mode 100644`)];
  return [];
}

function problem(path: string, message: string): Problem {
  return { path, code: 'InvalidTree', message };
}
