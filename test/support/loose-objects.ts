// A bare repository whose objects a test writes itself, because git would not make them: two committers,
// a date before 1970, a tree that names itself a thousand times, 300 MB of zeros in a few kilobytes.

import { oid } from './oid.ts';
import type { Oid } from '../../src/api/oid.ts';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { execa } from 'execa';

export interface RawCommit {
  readonly tree: string;
  readonly parents?: readonly string[];
  /** Header lines after the parents; by default author and committer of `by`. */
  readonly headers?: readonly string[];
  /** `Alice <alice@example.org> 1700000000`. */
  readonly by?: string;
  readonly message?: string;
}

const ALICE = 'Alice <alice@example.org> 1700000000';

export class LooseObjects implements AsyncDisposable {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async open(): Promise<LooseObjects> {
    const dir = await mkdtemp(join(tmpdir(), 'multinic-objects-'));
    await execa('git', ['init', '-q', '--bare', dir]);
    return new LooseObjects(dir);
  }

  /** Writes into an existing repository. */
  static in(dir: string): LooseObjects {
    return new LooseObjects(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  put(type: string, content: Buffer): Oid {
    const data = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]);
    const id = oid(createHash('sha1').update(data).digest('hex'));
    const folder = join(this.dir, 'objects', id.slice(0, 2));
    const file = join(folder, id.slice(2));
    mkdirSync(folder, { recursive: true });
    if (!existsSync(file)) writeFileSync(file, deflateSync(data));
    return id;
  }

  blob(text: string): Oid {
    return this.put('blob', Buffer.from(text));
  }

  /** Writes one folder, with its entries in the given order. @param entries mode, name, object id */
  folder(entries: readonly (readonly [mode: string, name: string, oid: string])[]): Oid {
    return this.put(
      'tree',
      Buffer.concat(
        entries.flatMap(([mode, name, oid]) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')]),
      ),
    );
  }

  /** Writes a whole tree of files by path. @param mode of every file, or of the files that it names */
  tree(files: ReadonlyMap<string, string>, mode: (path: string) => string = () => '100644'): Oid {
    const folders = new Map<string, Map<string, string>>();
    const entries: [mode: string, name: string, oid: string][] = [];
    for (const [path, text] of files) {
      const slash = path.indexOf('/');
      if (slash === -1) entries.push([mode(path), path, this.blob(text)]);
      else {
        const name = path.slice(0, slash);
        const inner = folders.get(name) ?? new Map<string, string>();
        folders.set(name, inner.set(path.slice(slash + 1), text));
      }
    }
    for (const [name, inner] of folders)
      entries.push(['40000', name, this.tree(inner, (path) => mode(`${name}/${path}`))]);
    return this.folder(entries.toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)));
  }

  commit({ tree, parents = [], by = ALICE, headers, message = 'a change' }: RawCommit): Oid {
    const lines = [
      `tree ${tree}`,
      ...parents.map((oid) => `parent ${oid}`),
      ...(headers ?? [`author ${by} +0000`, `committer ${by} +0000`]),
      '',
      message,
    ];
    return this.put('commit', Buffer.from(lines.join('\n')));
  }
}

/** git sorts a folder as if its name ended in a slash. */
function sortKey([mode, name]: readonly [mode: string, name: string, oid: string]): string {
  return mode === '40000' ? `${name}/` : name;
}
