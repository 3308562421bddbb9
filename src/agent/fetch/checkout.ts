// The agent's copy of the newest commit of its branch. The agent fetches this commit alone (shallow) and reads it back
// whole.
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { MultinicError } from '../../api/errors.ts';
import { oidOfBytes, parseOid, type Oid } from '../../api/oid.ts';
import { MAX_FILE_BYTES } from '../../network/tree.ts';
import { MemoryFiles } from './memory-files.ts';
import { storeClient } from './checkout-http.ts';

export interface CheckoutRequest {
  /** The store's smart-HTTP URL. */
  readonly url: string;
  readonly token: string;
  /** Full name of the node's branch: `refs/heads/node/worker-1`. */
  readonly ref: string;
  /** One of the newest commits of the branch; absent: its newest one. */
  readonly commit?: Oid;
  readonly timeoutMs: number;
  /** PEM of the authority that signed the store's certificate. */
  readonly ca?: string;
  /** Name in the store's certificate; absent: the host of the URL. */
  readonly serverName?: string;
}

export interface CheckoutEntry {
  /**
   * The mode in git: `100644`, `100755`, `120000` (a link, its content is the target), `160000` (a submodule, empty).
   */
  readonly mode: string;
  readonly content: string;
}

export interface Checkout {
  /** Id of the commit that was fetched. */
  readonly tip: Oid;
  /** Files of the whole tree by path, as committed, before any check. */
  readonly entries: Map<string, CheckoutEntry>;
  /** Bytes that the store sent, without HTTP's own. */
  readonly bytes: number;
}

const MAX_FILES = 256;
const MAX_DEPTH = 16;
const MAX_BYTES = 32 * 1024 * 1024;
const GITDIR = '/git';
/** The ref names that isomorphic-git requires for a fetch. The agent keeps no refs under them. */
const CONFIG = '[remote "origin"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n';

/**
 * Fetches a commit of a node's branch and reads it back: commit, every tree, every file, each checked
 * against its id, because isomorphic-git ends a fetch without an error when the server refused to send objects.
 * @throws MultinicError `Unauthorized`, `NotFound` (no such branch or store), `StoreUnreachable` (also when it took too
 *   long), `TreeTooLarge`, `InvalidTree` (names or files that are no text), `CheckoutBroken` (the store did not send
 *   every object)
 */
export async function checkout(request: CheckoutRequest): Promise<Checkout> {
  const { url, ref, commit = ref, token, ca, serverName } = request;
  const fs = new MemoryFiles();
  const signal = AbortSignal.timeout(request.timeoutMs);
  const http = storeClient({
    url,
    token,
    signal,
    maxBytes: MAX_BYTES,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
  });
  try {
    const git = await loadGit();
    await fs.writeFile(`${GITDIR}/config`, CONFIG);
    const { fetchHead } = await git.fetch({
      fs,
      http,
      gitdir: GITDIR,
      url,
      ref,
      remoteRef: commit,
      remote: 'origin',
      singleBranch: true,
      depth: 1,
      tags: false,
    });
    const tip = parseOid(fetchHead ?? undefined);
    if (tip === undefined) throw new Error('the store shows no branch');
    const entries = await new Copy(git, fs).files(tip);
    return { tip, entries, bytes: http.bytes() };
  } catch (error) {
    throw explain(error, request, signal.aborted);
  } finally {
    http.close();
  }
}

type Git = typeof import('isomorphic-git');

/**
 * Loads isomorphic-git while V8's optimiser is off. Optimising the loops that fill its tables would cost 6 MB, a tenth
 * of the agent's memory.
 */
async function loadGit(): Promise<Git> {
  setFlagsFromString('--no-use-osr');
  try {
    // isomorphic-git is a CommonJS module, which is the default export. A bundle in several files has no other export.
    return (await import('isomorphic-git')).default;
  } finally {
    setFlagsFromString('--use-osr');
  }
}

/** The objects of a fetch. The id of each object is computed again before it is used. */
class Copy {
  readonly #git: Git;
  readonly #fs: MemoryFiles;
  readonly #cache = {};
  readonly #entries = new Map<string, CheckoutEntry>();

  constructor(git: Git, fs: MemoryFiles) {
    this.#git = git;
    this.#fs = fs;
  }

  async files(commit: Oid): Promise<Map<string, CheckoutEntry>> {
    const text = (await this.#read(commit, 'commit')).toString();
    const tree = parseOid(/^tree (\S+)\n/.exec(text)?.[1]);
    if (tree === undefined) throw broken(`commit ${commit} names no tree`);
    await this.#walk(tree, '', MAX_DEPTH);
    return this.#entries;
  }

  async #walk(tree: Oid, prefix: string, depth: number): Promise<void> {
    if (depth === 0) throw tooLarge(`${prefix} lies more than ${MAX_DEPTH} folders deep`);
    for (const { mode, name, oid } of parseTree(await this.#read(tree, 'tree'), prefix)) {
      const path = `${prefix}${name}`;
      if (mode === '40000') await this.#walk(oid, `${path}/`, depth - 1);
      else if (mode === '160000') this.#add(path, { mode, content: '' });
      else this.#add(path, { mode, content: decode(await this.#read(oid, 'blob', path), path) });
    }
  }

  #add(path: string, entry: CheckoutEntry): void {
    if (this.#entries.size === MAX_FILES) throw tooLarge(`it has more than ${MAX_FILES} files`);
    this.#entries.set(path, entry);
  }

  async #read(oid: Oid, type: string, path?: string): Promise<Buffer> {
    const read = await this.#git.readObject({
      fs: this.#fs,
      gitdir: GITDIR,
      oid,
      format: 'content',
      cache: this.#cache,
    });
    const bytes = Buffer.from(read.object as Uint8Array);
    if (path !== undefined && bytes.length > MAX_FILE_BYTES)
      throw tooLarge(`${path} has ${bytes.length} bytes, at most ${MAX_FILE_BYTES} are taken`);
    const hash = createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
    if (read.type !== type || hash !== oid) throw broken(`${type} ${oid} is not what its id says`);
    return bytes;
  }
}

interface TreeItem {
  readonly mode: string;
  readonly name: string;
  readonly oid: Oid;
}

/** Reads a tree in git's format: for each entry the mode, a space, the name, NUL and the twenty bytes of the id. */
function parseTree(bytes: Buffer, prefix: string): TreeItem[] {
  const items: TreeItem[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const end = bytes.indexOf(0, space);
    if (space < 0 || end < 0 || end + 21 > bytes.length)
      throw broken(`the tree of ${prefix || 'the commit'} is cut`);
    items.push({
      mode: bytes.toString('latin1', at, space),
      name: decode(bytes.subarray(space + 1, end), `a name in ${prefix || 'the tree'}`),
      oid: oidOfBytes(bytes.subarray(end + 1, end + 21)),
    });
    at = end + 21;
  }
  return items;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Buffer, what: string): string {
  try {
    return UTF8.decode(bytes);
  } catch (error) {
    throw new MultinicError('InvalidTree', `${what} is not UTF-8 text: revert the commit that brought it`, {
      cause: error,
    });
  }
}

function tooLarge(why: string): MultinicError {
  return new MultinicError('TreeTooLarge', `the commit is too large, ${why}: revert it`);
}

function broken(why: string, cause?: unknown): MultinicError {
  return new MultinicError(
    'CheckoutBroken',
    `the store did not send the whole commit, ${why}: the run is repeated`,
    {
      cause,
    },
  );
}

/** Turns errors of isomorphic-git and Node into errors with a code and a remedy. */
function explain(error: unknown, { url, ref, timeoutMs }: CheckoutRequest, timedOut: boolean): MultinicError {
  if (error instanceof MultinicError) return error;
  const data = { url, ref };
  if (timedOut)
    return new MultinicError(
      'StoreUnreachable',
      `the store at ${url} did not answer within ${timeoutMs} ms: look at the controller and the way to it`,
      { cause: error, data },
    );
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const message = error instanceof Error ? error.message : String(error);
  if (code === 'NotFoundError' && !message.includes(ref)) return broken(message, error);
  if (code === 'NotFoundError' || message === 'the store shows no branch')
    return new MultinicError('NotFound', `the store has no ${ref} for this token: add the node to a CR`, {
      cause: error,
      data,
    });
  if (/^E[A-Z]+$|^ERR_TLS|CERT|SIGNED|SIGNATURE/.test(code))
    return new MultinicError(
      'StoreUnreachable',
      `the store at ${url} cannot be reached (${code}): look at the controller and the way to it`,
      { cause: error, data },
    );
  return broken(message, error);
}
