// Reads the store: commits, trees and files through one long-lived object reader, walks and differences through git
// commands.

import { MultinicError } from '../api/errors.ts';
import { isOid } from '../api/oid.ts';
import { CatFile } from './git/cat-file.ts';
import type { GitObject } from './git/cat-file.ts';
import { git, gitFailure, tryGit } from './git/git.ts';
import { isRef } from './model/ref-names.ts';
import { parseCommit, parseTree, TREE_MODE } from './model/objects.ts';
import { RecentMap } from './git/recent.ts';
import type {
  Commit,
  FolderEntry,
  Listing,
  LogOptions,
  ObjectHead,
  Oid,
  Reader,
  TreeEntry,
} from './model/store-port.ts';
import { MAX_COMMIT_BYTES, NODE_TREE, OWN_TREE, type TreeBounds } from './model/tree-bounds.ts';

/** The empty tree, which git knows even if no store has it. */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

/** Size of the cache of commits. A parsed commit takes about 2.3 KB, so a full cache takes 19 MB. */
const KEPT_COMMITS = 8192;

/** Size of the cache of `isAncestor` answers: one for each node, about 150 bytes each. */
const KEPT_ANSWERS = 8192;

export interface ReaderOptions {
  /**
   * Environment that names further places of objects: the quarantine of a push, as git names it to a hook
   * (`GIT_OBJECT_DIRECTORY`…).
   */
  readonly objectEnv?: Readonly<Record<string, string>>;
}

/** Opens a store for reading. Starts a process with the first object that is read; `close` ends it. */
export function openReader(dir: string, options: ReaderOptions = {}): Reader {
  return new GitReader(dir, options.objectEnv ?? {});
}

class GitReader implements Reader {
  readonly #dir: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #objects: CatFile;
  readonly #ancestors = new RecentMap<string, boolean>(KEPT_ANSWERS);
  readonly #commits = new RecentMap<Oid, Commit>(KEPT_COMMITS);

  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#dir = dir;
    this.#env = env;
    this.#objects = new CatFile(dir, env);
  }

  async ref(name: string): Promise<Oid | undefined> {
    // Take full names only: git completes any other name by its own rules.
    if (!isRef(name)) return undefined;
    return (await this.#objects.info(name))?.oid;
  }

  async resolve(digits: string): Promise<Oid> {
    const found = /^[0-9a-f]{4,40}$/.test(digits)
      ? await this.#objects.info(`${digits}^{commit}`)
      : undefined;
    if (found === undefined) throw notFound('commit', digits);
    return found.oid;
  }

  async refs(prefix: string): Promise<Map<string, Oid>> {
    const text = await this.#git(['for-each-ref', '--format=%(objectname) %(refname)', prefix]);
    const refs = new Map<string, Oid>();
    for (const line of text.split('\n')) {
      const oid = line.slice(0, 40);
      if (isOid(oid)) refs.set(line.slice(41), oid);
    }
    return refs;
  }

  async commit(oid: Oid): Promise<Commit> {
    const known = this.#commits.get(oid);
    if (known !== undefined) return known;
    const object = await this.#objects.contents(oid, MAX_COMMIT_BYTES);
    if (object?.type !== 'commit') throw notFound('commit', oid);
    const commit = parseCommit(oid, object.data, object.size);
    this.#commits.set(oid, commit);
    return commit;
  }

  commits(oids: readonly Oid[]): Promise<Commit[]> {
    return Promise.all(oids.map((oid) => this.commit(oid)));
  }

  async head(oid: Oid): Promise<ObjectHead | undefined> {
    const found = await this.#objects.info(oid);
    return found && { type: found.type, size: found.size };
  }

  async list(treeish: Oid, path = '', bounds = NODE_TREE): Promise<Listing> {
    const listing = new Map<string, TreeEntry>();
    const root = await this.#tree(treeish, path, bounds);
    if (root !== undefined)
      await this.#walk(root, path === '' ? '' : `${path}/`, { bounds, listing, entries: 0 });
    return listing;
  }

  async folder(treeish: Oid, path: string): Promise<readonly FolderEntry[]> {
    const tree = await this.#tree(treeish, path, OWN_TREE);
    return tree === undefined ? [] : parseTree(tree.data);
  }

  blob(oid: Oid): Promise<string> {
    return this.#text(oid, oid, OWN_TREE);
  }

  async files(treeish: Oid, path?: string, bounds = NODE_TREE): Promise<Map<string, string>> {
    const listing = await this.list(treeish, path, bounds);
    const entries = [...listing].filter(([, { mode }]) => mode !== GITLINK);
    const contents = await Promise.all(entries.map(([name, { oid }]) => this.#text(oid, name, bounds)));
    return new Map(entries.map(([name], index) => [name, contents[index] ?? '']));
  }

  async log(from: Oid, options: LogOptions = {}): Promise<Commit[]> {
    await this.commit(from);
    const args = ['rev-list'];
    if (options.firstParent === true) args.push('--first-parent');
    if (options.limit !== undefined) args.push(`--max-count=${options.limit}`);
    if (options.reverse === true) args.push('--reverse');
    args.push(from);
    if (options.until !== undefined) args.push(`^${options.until}`);
    args.push('--', ...(options.paths ?? []).map(literalPath));
    const text = await this.#git(args);
    return this.commits(text.split('\n').filter(isOid));
  }

  async isAncestor(ancestor: Oid, of: Oid): Promise<boolean> {
    // An ID from a host or a person may be no commit, or not be in this store.
    if ((await this.#objects.info(ancestor))?.type !== 'commit') return false;
    if (ancestor === of) return true;
    // Both commits are in the store, so the answer never changes: a pass that asks again needs no process.
    const key = `${ancestor} ${of}`;
    const known = this.#ancestors.get(key);
    if (known !== undefined) return known;
    const args = ['merge-base', '--is-ancestor', ancestor, of];
    const ended = await tryGit(this.#dir, args, { env: this.#env });
    if (ended.code !== 0 && ended.code !== 1) throw gitFailure('git merge-base', ended);
    this.#ancestors.set(key, ended.code === 0);
    return ended.code === 0;
  }

  async diff(from: Oid | null, to: Oid, paths: readonly string[] = []): Promise<string> {
    const trees = [from === null ? EMPTY_TREE : from, to];
    const args = ['diff', '--no-color', '--no-ext-diff', '--no-textconv', ...trees, '--'];
    return this.#git([...args, ...paths]);
  }

  renew(): void {
    this.#objects.renew();
  }

  async close(): Promise<void> {
    this.#objects.close();
  }

  /** @param name name of the file in messages */
  async #text(oid: Oid, name: string, bounds: TreeBounds): Promise<string> {
    const object = await this.#object(oid, bounds.fileBytes, bounds);
    if (object?.type !== 'blob') throw notFound('file', oid);
    if (object.size > bounds.fileBytes) throw fileTooLarge(name, object.size, bounds);
    try {
      return UTF8.decode(object.data);
    } catch (error) {
      throw new MultinicError('NotText', `file ${oid} is not UTF-8 text; store it as plain text`, {
        cause: error,
        data: { oid },
      });
    }
  }

  /** Reads an object, at most `limit` bytes of it. */
  async #object(spec: string, limit: number, { sizesFirst }: TreeBounds): Promise<GitObject | undefined> {
    if (sizesFirst !== true) return this.#objects.contents(spec, limit);
    const head = await this.#objects.info(spec);
    return head === undefined || head.size > limit ? head : this.#objects.contents(head.oid, limit);
  }

  async #tree(treeish: Oid, path: string, bounds: TreeBounds): Promise<GitObject | undefined> {
    const spec = path === '' ? `${treeish}^{tree}` : `${treeish}:${path}`;
    const tree = await this.#object(spec, bounds.folderBytes, bounds);
    if (tree !== undefined) return tree.type === 'tree' ? tree : undefined;
    if (path === '' || (await this.#objects.info(treeish)) === undefined) throw notFound('tree', treeish);
    return undefined;
  }

  async #walk(tree: GitObject, prefix: string, walk: TreeWalk, depth = 1): Promise<void> {
    const { bounds, listing } = walk;
    const at = prefix === '' ? 'the tree' : prefix;
    if (tree.size > bounds.folderBytes) throw treeTooLarge(`${at} has ${tree.size} bytes of names`);
    if (depth > bounds.depth) throw treeTooLarge(`${at} lies more than ${bounds.depth} folders deep`);
    const items = parseTree(tree.data);
    // Folders count too: a few trees that name one subtree again and again describe more paths than memory holds.
    walk.entries += items.length;
    if (walk.entries > bounds.entries)
      throw treeTooLarge(`it has more than ${bounds.entries} files and folders`);
    // Read all folders of one level together; the listing keeps git's order.
    const folders = await Promise.all(
      items.map(({ mode, oid }) =>
        mode === TREE_MODE ? this.#object(oid, bounds.folderBytes, bounds) : undefined,
      ),
    );
    for (const [index, item] of items.entries()) {
      const path = prefix + item.name;
      const folder = folders[index];
      if (item.mode !== TREE_MODE) listing.set(path, { mode: item.mode, oid: item.oid });
      else if (folder === undefined) throw notFound('tree', item.oid);
      else await this.#walk(folder, `${path}/`, walk, depth + 1);
    }
  }

  #git(args: readonly string[]): Promise<string> {
    return git(this.#dir, args, { env: this.#env });
  }
}

/** A listing under way. */
interface TreeWalk {
  readonly bounds: TreeBounds;
  readonly listing: Map<string, TreeEntry>;
  /** Files and folders so far. */
  entries: number;
}

/** Mode of a submodule: a tree entry that names a commit of another repository, and is no file. */
const GITLINK = '160000';
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function literalPath(path: string): string {
  return `:(literal)${path}`;
}

function treeTooLarge(why: string): MultinicError {
  return new MultinicError(
    'TreeTooLarge',
    `the commit is too large, ${why}: take out what multinic-agent does not manage`,
  );
}

function fileTooLarge(name: string, size: number, { fileBytes }: TreeBounds): MultinicError {
  return new MultinicError(
    'FileTooLarge',
    `${name} is larger than ${fileBytes / 1024} KiB (${size} bytes): write only the keys of one interface`,
    { data: { path: name, size } },
  );
}

function notFound(what: string, oid: string): MultinicError {
  return new MultinicError(
    'NotFound',
    `the store has no ${what} ${oid}: multinic log NODE lists the commits of a node`,
    { data: { oid } },
  );
}
