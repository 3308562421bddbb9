// The fence: one ref names the only process that may write the store.

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import { git } from './git/git.ts';
import { WRITER_REF } from './model/store-refs.ts';
import type { Oid } from './model/store-port.ts';

export class Fence {
  readonly #dir: string;
  readonly #onLost: () => void;
  #writer: Oid | undefined;
  #isLost = false;
  /** The packed-refs in which git found this process as the writer. */
  #packed: string | undefined;

  /** @param onLost called when another process took the store over */
  constructor(dir: string, onLost: () => void) {
    this.#dir = dir;
    this.#onLost = onLost;
  }

  /** The commit that `refs/meta/writer` names while this process is the writer. */
  get writer(): Oid {
    if (this.#writer === undefined) throw this.#error();
    return this.#writer;
  }

  take(writer: Oid): void {
    this.#writer = writer;
  }

  /** Checks without asking the store. @throws MultinicError `Fenced` when the fence is known to be lost */
  expectNotLost(): void {
    if (this.#isLost) throw this.#error();
  }

  /** Asks the store. @throws MultinicError `Fenced` */
  async expect(): Promise<void> {
    this.expectNotLost();
    if (await this.isTakenOver()) throw this.lose();
  }

  /**
   * Whether the store names another writer. Reads the loose ref itself, which is authoritative and needs no process: an
   * open reader still reads the old store after a restore. Once maintenance has packed the ref, git reads each new
   * packed-refs once, because that file is replaced and never written in place.
   */
  async isTakenOver(): Promise<boolean> {
    const loose = await readFile(join(this.#dir, WRITER_REF), 'utf8').catch(() => undefined);
    if (loose !== undefined) return loose.trim() !== this.#writer;
    const packed = await versionOf(join(this.#dir, 'packed-refs'));
    if (packed !== undefined && packed === this.#packed) return false;
    const writer = await git(this.#dir, ['for-each-ref', '--format=%(objectname)', WRITER_REF]);
    const isOurs = writer.trim() === this.#writer;
    this.#packed = isOurs ? packed : undefined;
    return !isOurs;
  }

  /** Notes that another process is the writer. @returns the error to throw */
  lose(cause?: unknown): MultinicError {
    this.#isLost = true;
    this.#onLost();
    return this.#error(cause);
  }

  #error(cause?: unknown): MultinicError {
    return new MultinicError(
      'Fenced',
      `another controller took over the store at ${this.#dir}; this one must exit, and run only one`,
      { cause, data: { dir: this.#dir } },
    );
  }
}

/** Text that differs for each file that ever had this path; undefined: there is no file. */
async function versionOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}
