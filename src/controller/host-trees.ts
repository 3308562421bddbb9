// Keeps the files of drifted hosts in memory, from the observer's request until the observation is recorded. If the
// files are lost, the controller observes the host again.

import { MultinicError } from '../api/errors.ts';
import { HostTree } from '../api/observation.ts';
import { RENDERER_KINDS, rendererOf } from '../network/renderers.ts';
import { managedFiles, treeId } from '../network/tree.ts';
import type { Branches } from '../history/node-branch.ts';
import type { Reader } from '../store/model/store-port.ts';

/** Number of nodes whose files are kept; observations that run at once are fewer. */
const MAX_KEPT = 64;
/** A tree with more files cannot be read back as a node's tree. */
const MAX_FILES = 200;

export class HostTrees {
  readonly #reader: Reader;
  readonly #branches: Branches;
  readonly #kept = new Map<string, HostTree>();

  constructor(reader: Reader, branches: Branches) {
    this.#reader = reader;
    this.#branches = branches;
  }

  /**
   * Keeps the files of one host; the newest request of a node counts.
   * @throws MultinicError `NoSuchNode`, `BadRequest`
   */
  async put(node: string, body: unknown): Promise<void> {
    const tree = HostTree.parse(body);
    if (tree.node !== node) throw invalid(`it is about ${tree.node}, not about ${node}`);
    const branch = await this.#branches.get(node);
    if (!(await this.#reader.isAncestor(tree.commit, branch.tip.oid)))
      throw invalid(`${tree.commit.slice(0, 10)} is no commit of node/${node}`);
    const files = new Map(managedFiles(await this.#reader.files(tree.commit)));
    for (const [path, content] of Object.entries(tree.files)) {
      if (!RENDERER_KINDS.some((kind) => rendererOf(kind).manages(path)))
        throw invalid(`${path} is no file of ours`);
      if (content === null) files.delete(path);
      else files.set(path, content);
    }
    if (files.size > MAX_FILES) throw invalid(`it has ${files.size} files, at most ${MAX_FILES} are taken`);
    if (treeId(files) !== tree.tree)
      throw invalid('the tree ID of the files differs from the tree ID in the request');
    this.#kept.delete(node);
    this.#kept.set(node, tree);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
  }

  /** The files that an observation sent. */
  of(node: string, job: string): HostTree | undefined {
    const tree = this.#kept.get(node);
    return tree?.job === job ? tree : undefined;
  }

  drop(node: string): void {
    this.#kept.delete(node);
  }
}

function invalid(why: string): MultinicError {
  return new MultinicError(
    'BadRequest',
    `the files of the host are not taken: ${why}; look at the agent's version`,
  );
}
