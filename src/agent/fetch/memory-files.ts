/** The part of a file system that isomorphic-git uses. Paths are absolute, folders are implied by their files. */
interface Stat {
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/**
 * A file system in memory for the few kilobytes of a shallow fetch. A run of the agent therefore leaves no file on the
 * node, needs no writable folder, and reads back exactly the bytes that the store sent.
 */
export class MemoryFiles {
  readonly #files = new Map<string, Buffer>();
  readonly #folders = new Set<string>();

  async readFile(path: string, options?: string | { readonly encoding?: string }): Promise<Buffer | string> {
    const bytes = this.#files.get(path);
    if (bytes === undefined) throw failure(this.#isFolder(path) ? 'EISDIR' : 'ENOENT', path);
    const encoding = typeof options === 'string' ? options : options?.encoding;
    return encoding === undefined ? bytes : bytes.toString();
  }

  async writeFile(path: string, content: Uint8Array | string): Promise<void> {
    this.#files.set(path, typeof content === 'string' ? Buffer.from(content) : Buffer.from(content));
  }

  async mkdir(path: string): Promise<void> {
    if (this.#isFolder(path)) throw failure('EEXIST', path);
    this.#folders.add(path);
  }

  async readdir(path: string): Promise<string[]> {
    if (!this.#isFolder(path)) throw failure('ENOENT', path);
    const names = [...this.#files.keys(), ...this.#folders]
      .filter((name) => name.startsWith(`${path}/`))
      .map((name) => name.slice(path.length + 1).split('/', 1)[0] ?? '');
    return [...new Set(names)];
  }

  async stat(path: string): Promise<Stat> {
    const bytes = this.#files.get(path);
    const folder = this.#isFolder(path);
    if (bytes === undefined && !folder) throw failure('ENOENT', path);
    return {
      size: bytes?.length ?? 0,
      mode: folder ? 0o40755 : 0o100644,
      mtimeMs: 0,
      ctimeMs: 0,
      isFile: () => !folder,
      isDirectory: () => folder,
      isSymbolicLink: () => false,
    };
  }

  lstat(path: string): Promise<Stat> {
    return this.stat(path);
  }

  async unlink(path: string): Promise<void> {
    if (!this.#files.delete(path)) throw failure('ENOENT', path);
  }

  async rmdir(path: string): Promise<void> {
    this.#folders.delete(path);
  }

  async readlink(path: string): Promise<string> {
    throw failure('EINVAL', path);
  }

  async symlink(_target: string, path: string): Promise<void> {
    throw failure('EPERM', path);
  }

  #isFolder(path: string): boolean {
    if (this.#folders.has(path)) return true;
    for (const name of this.#files.keys()) if (name.startsWith(`${path}/`)) return true;
    return false;
  }
}
