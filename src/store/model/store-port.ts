// The store's vocabulary: what callers hand in and get back. No I/O here.

import type { MultinicError } from '../../api/errors.ts';
import type { Oid } from '../../api/oid.ts';
import type { TreeBounds } from './tree-bounds.ts';

export type { Oid };

export interface Person {
  readonly name: string;
  readonly email: string;
}

export interface Stamp extends Person {
  /** Seconds since 1970. */
  readonly time: number;
}

/** A parsed commit. Immutable, so anything derived from it may be cached by its id. */
export interface Commit {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly author: Stamp;
  readonly committer: Stamp;
  readonly subject: string;
  /** Message without subject and without trailers. */
  readonly body: string;
  /** Trailers of the last paragraph, in order; a key may occur more than once. */
  readonly trailers: readonly (readonly [key: string, value: string])[];
  /**
   * Description of a defect of the headers that two readers could read differently; the push policy refuses such a
   * commit.
   */
  readonly flaw?: string;
  /** Name of the part that was cut because it is too long: `a subject`. */
  readonly long?: string;
}

export interface TreeEntry {
  /** `100644`, `100755`, `120000`, `160000`. */
  readonly mode: string;
  readonly oid: Oid;
}

/** A file or folder of one folder. */
export interface FolderEntry extends TreeEntry {
  readonly name: string;
}

export interface ObjectHead {
  /** `commit`, `tree`, `blob`, `tag`. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
}

/** Recursive listing of a tree: path to entry, blobs only. */
export type Listing = ReadonlyMap<string, TreeEntry>;

export interface LogOptions {
  readonly firstParent?: boolean;
  readonly limit?: number;
  /** Stop before this commit and its ancestors. */
  readonly until?: Oid;
  readonly paths?: readonly string[];
  /** Oldest first. */
  readonly reverse?: boolean;
}

/** Read access to objects and refs. The agent, the policy and the commands read through this interface alone. */
export interface Reader {
  ref(name: string): Promise<Oid | undefined>;
  /**
   * The commit that a person means by its first digits (4 to 40).
   * @throws MultinicError `NotFound`, also when they are ambiguous
   */
  resolve(digits: string): Promise<Oid>;
  /** All refs below a prefix (`refs/heads/node/`), by full name. */
  refs(prefix: string): Promise<Map<string, Oid>>;
  /** A commit; a message that is too long is cut, with a note. @throws MultinicError `NotFound` when there is no such commit. */
  commit(oid: Oid): Promise<Commit>;
  /** Many at once, pipelined; order kept. */
  commits(oids: readonly Oid[]): Promise<Commit[]>;
  /** Type and size of an object, read without unpacking the object; undefined: the store does not have it. */
  head(oid: Oid): Promise<ObjectHead | undefined>;
  /**
   * The whole tree of a commit or tree, or of a folder in it (empty when that does not exist).
   * @param bounds by default those of a node's tree
   * @throws MultinicError `TreeTooLarge`
   */
  list(treeish: Oid, path?: string, bounds?: TreeBounds): Promise<Listing>;
  /**
   * The files and folders of one folder, without what lies deeper; empty when the commit does not have the folder.
   * @param path of the folder; empty: the root
   */
  folder(treeish: Oid, path: string): Promise<readonly FolderEntry[]>;
  blob(oid: Oid): Promise<string>;
  /**
   * Contents of all files of a commit or tree, by path.
   * @throws MultinicError `TreeTooLarge`, `FileTooLarge`, `NotText`
   */
  files(treeish: Oid, path?: string, bounds?: TreeBounds): Promise<Map<string, string>>;
  log(from: Oid, options?: LogOptions): Promise<Commit[]>;
  /** Whether a commit is an ancestor of another, or the same. A commit that the store does not have is no ancestor. */
  isAncestor(ancestor: Oid, of: Oid): Promise<boolean>;
  /** Unified diff as `git diff` prints it, of what the pathspecs select; null stands for the empty tree. */
  diff(from: Oid | null, to: Oid, pathspecs?: readonly string[]): Promise<string>;
  /** Lets go of packs that maintenance deleted, while reads go on. */
  renew(): void;
  close(): Promise<void>;
}

/** A commit of a batch that has no id yet. */
export interface Mark {
  readonly mark: number;
}

export interface NewCommit {
  /** First parent first; the tree starts as the first parent's unless `replace`. */
  readonly parents: readonly (Oid | Mark)[];
  /** Path to new content, to an existing blob, or to null (removed; a folder too). */
  readonly files: ReadonlyMap<string, string | { readonly blob: Oid } | null>;
  /** Start from the empty tree instead of the first parent's. */
  readonly replace?: boolean;
  /** The person or client that asked for the commit; the committer is always the controller. */
  readonly author: Person;
  readonly subject: string;
  readonly body?: string;
  /** A mark as a value stands for the id of an earlier commit of the batch whose parents have ids. */
  readonly trailers: readonly (readonly [key: string, value: string | Mark])[];
  /**
   * Earliest time of the commit, in seconds since 1970, or an earlier commit of the batch. A commit is never older than
   * the commit of main that asks for it, even if the clock is behind.
   */
  readonly notBefore?: number | Mark;
}

/** The authenticated caller, with its rights. */
export interface Principal {
  readonly name: string;
  /** `node`: reads one node's branch. `read`: reads everything. `write`: also pushes and commands. */
  readonly role: 'node' | 'read' | 'write';
  /** With role `node`. */
  readonly node?: string;
}

export interface Push {
  readonly principal: Principal;
  /** Full ref name, `refs/heads/node/worker-1`. */
  readonly ref: string;
  /** All zeros: the ref does not exist. */
  readonly old: Oid;
  /** All zeros: the push deletes the ref. */
  readonly new: Oid;
}

/** Decides whether a push may land. Implemented by history. */
export interface PushPolicy {
  /**
   * Judges the refs of a push before git unpacks its objects.
   * @param tip the commit that the ref names; undefined: the store has no such ref
   * @returns the refusal for the pusher; undefined: the push may go on
   */
  judgeRef(push: Push, tip: Oid | undefined): MultinicError | undefined;
  /**
   * @param objects sees the pushed objects, which are still in quarantine
   * @returns what the push changes, in lines for the pusher
   * @throws MultinicError with the reason and the remedy, as the pusher shall read it
   */
  check(push: Push, objects: Reader): Promise<readonly string[]>;
}
