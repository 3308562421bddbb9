// Bounds on reading a tree or a commit: pushed objects may describe more than memory holds.

export interface TreeBounds {
  /** Number of files and folders. */
  readonly entries: number;
  /** Depth of nested folders. */
  readonly depth: number;
  /** Bytes of one folder's tree object. */
  readonly folderBytes: number;
  /** Bytes of one file. */
  readonly fileBytes: number;
  /** Reads type and size before each object, so that git does not unpack an object that is too large. */
  readonly sizesFirst?: true;
}

const KIB = 1024;

/** Bounds of a node's tree, the same as the agent's: node.yaml, and at most four files for each interface. */
export const NODE_TREE: TreeBounds = {
  entries: 256,
  depth: 16,
  folderBytes: 64 * KIB,
  fileBytes: 64 * KIB,
};

/** Bounds of trees that only the controller writes: `main` has a file for each node. */
export const OWN_TREE: TreeBounds = {
  entries: Infinity,
  depth: Infinity,
  folderBytes: Infinity,
  fileBytes: Infinity,
};

/** Largest commit, in bytes: the push policy refuses a larger one, and the reader cuts a stored one. */
export const MAX_COMMIT_BYTES = 64 * KIB;
