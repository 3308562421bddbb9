// How much of a tree or a commit is read: what somebody pushed may name more than any memory holds.

export interface TreeBounds {
  /** Files and folders. */
  readonly entries: number;
  /** Folders, one in the other. */
  readonly depth: number;
  /** Bytes of one folder as git keeps it. */
  readonly folderBytes: number;
  /** Bytes of one file. */
  readonly fileBytes: number;
  /** Ask for type and size before each object, so that git does not unpack one that is too large either. */
  readonly sizesFirst?: true;
}

const KIB = 1024;

/** A node's tree has one file, and two more for each of its interfaces at most; the agent takes as much. */
export const NODE_TREE: TreeBounds = {
  entries: 256,
  depth: 16,
  folderBytes: 64 * KIB,
  fileBytes: 64 * KIB,
};

/** Trees that the controller alone writes: `main` has a file for each node. */
export const OWN_TREE: TreeBounds = {
  entries: Infinity,
  depth: Infinity,
  folderBytes: Infinity,
  fileBytes: Infinity,
};

/** Bytes of a commit: the push policy takes no more, and of a stored one no more is read. */
export const MAX_COMMIT_BYTES = 64 * KIB;
