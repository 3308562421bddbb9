// Reads the store: one object reader for everything that a commit's id names, git itself for walks and differences.

import { MultinicError } from '../api/errors.ts';
import { CatFile } from './git/cat-file.ts';
import type { GitObject } from './git/cat-file.ts';
import { git, gitFailure, tryGit } from './git/git.ts';
import { isOid, parseCommit, parseTree, TREE_MODE } from './model/objects.ts';
import { RecentMap } from './git/recent.ts';
import type { Commit, Listing, LogOptions, Oid, Reader, TreeEntry } from './model/store-port.ts';

/** git knows the empty tree without having it. */
const EMPTY_TREE: Oid = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

/** A parsed commit takes about 1.5 KB: this many are 12 MB. */
const KEPT_COMMITS = 8192;

export interface ReaderOptions {
  /** Where else objects are: the quarantine of a push, as git names it to a hook (`GIT_OBJECT_DIRECTORY`…). */
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
  readonly #commits = new RecentMap<Oid, Commit>(KEPT_COMMITS);

  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#dir = dir;
    this.#env = env;
    this.#objects = new CatFile(dir, env);
  }

  async ref(name: string): Promise<Oid | undefined> {
    // Only a full name, so that git has no rules to guess by.
    if (!name.startsWith('refs/')) return undefined;
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
      if (line !== '') refs.set(line.slice(41), line.slice(0, 40));
    }
    return refs;
  }

  async commit(oid: Oid): Promise<Commit> {
    const known = this.#commits.get(oid);
    if (known !== undefined) return known;
    const object = await this.#objects.contents(expectOid(oid));
    if (object?.type !== 'commit') throw notFound('commit', oid);
    const commit = parseCommit(oid, object.data);
    this.#commits.set(oid, commit);
    return commit;
  }

  commits(oids: readonly Oid[]): Promise<Commit[]> {
    return Promise.all(oids.map((oid) => this.commit(oid)));
  }

  async list(treeish: Oid, path = ''): Promise<Listing> {
    const listing = new Map<string, TreeEntry>();
    const root = await this.#tree(treeish, path);
    if (root !== undefined) await this.#walk(root, path === '' ? '' : `${path}/`, listing);
    return listing;
  }

  async blob(oid: Oid): Promise<string> {
    const object = await this.#objects.contents(expectOid(oid));
    if (object?.type !== 'blob') throw notFound('file', oid);
    try {
      return UTF8.decode(object.data);
    } catch (error) {
      throw new MultinicError('NotText', `file ${oid} is not UTF-8 text; store it as plain text`, {
        cause: error,
        data: { oid },
      });
    }
  }

  async files(treeish: Oid, path?: string): Promise<Map<string, string>> {
    const listing = await this.list(treeish, path);
    const entries = [...listing].filter(([, { mode }]) => mode !== GITLINK);
    const contents = await Promise.all(entries.map(([, { oid }]) => this.blob(oid)));
    return new Map(entries.map(([name], index) => [name, contents[index] ?? '']));
  }

  async log(from: Oid, options: LogOptions = {}): Promise<Commit[]> {
    await this.commit(from);
    const args = ['rev-list'];
    if (options.firstParent === true) args.push('--first-parent');
    if (options.limit !== undefined) args.push(`--max-count=${options.limit}`);
    if (options.reverse === true) args.push('--reverse');
    args.push(from);
    if (options.until !== undefined) args.push(`^${expectOid(options.until)}`);
    args.push('--', ...(options.paths ?? []).map(literalPath));
    const text = await this.#git(args);
    return this.commits(text.split('\n').filter((line) => line !== ''));
  }

  async isAncestor(ancestor: Oid, of: Oid): Promise<boolean> {
    // What a host or a person names need not be a commit, nor be here.
    if ((await this.#objects.info(expectOid(ancestor)))?.type !== 'commit') return false;
    const args = ['merge-base', '--is-ancestor', expectOid(ancestor), expectOid(of)];
    const ended = await tryGit(this.#dir, args, { env: this.#env });
    if (ended.code === 0) return true;
    if (ended.code === 1) return false;
    throw gitFailure('git merge-base', ended);
  }

  async diff(from: Oid | null, to: Oid, paths: readonly string[] = []): Promise<string> {
    const trees = [from === null ? EMPTY_TREE : expectOid(from), expectOid(to)];
    const args = ['diff', '--no-color', '--no-ext-diff', '--no-textconv', ...trees, '--'];
    return this.#git([...args, ...paths]);
  }

  async close(): Promise<void> {
    this.#objects.close();
  }

  async #tree(treeish: Oid, path: string): Promise<GitObject | undefined> {
    expectOid(treeish);
    const tree = await this.#objects.contents(path === '' ? `${treeish}^{tree}` : `${treeish}:${path}`);
    if (tree !== undefined) return tree.type === 'tree' ? tree : undefined;
    if (path === '' || (await this.#objects.info(treeish)) === undefined) throw notFound('tree', treeish);
    return undefined;
  }

  async #walk(tree: GitObject, prefix: string, listing: Map<string, TreeEntry>): Promise<void> {
    const items = parseTree(tree.data);
    // All folders of one level are asked for together; the listing keeps git's order.
    const folders = await Promise.all(
      items.map(({ mode, oid }) => (mode === TREE_MODE ? this.#objects.contents(oid) : undefined)),
    );
    for (const [index, item] of items.entries()) {
      const path = prefix + item.name;
      const folder = folders[index];
      if (item.mode !== TREE_MODE) listing.set(path, { mode: item.mode, oid: item.oid });
      else if (folder === undefined) throw notFound('tree', item.oid);
      else await this.#walk(folder, `${path}/`, listing);
    }
  }

  #git(args: readonly string[]): Promise<string> {
    return git(this.#dir, args, { env: this.#env });
  }
}

/** A commit of another repository stands in a tree, but is no file. */
const GITLINK = '160000';
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function literalPath(path: string): string {
  return `:(literal)${path}`;
}

/** An id goes on a command line: nothing else may. */
function expectOid(text: Oid): Oid {
  if (!isOid(text)) throw notFound('object', text);
  return text;
}

function notFound(what: string, oid: Oid): MultinicError {
  return new MultinicError(
    'NotFound',
    `the store has no ${what} ${oid}; list what there is with: multinic log`,
    {
      data: { oid },
    },
  );
}
