// Keeps a small file beside the store whose loss does no harm, such as observed.json. A rename replaces the file, so
// that nobody reads half of it.

import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './git/durability.ts';

export class SideFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Reads the file; undefined: the file is missing or unreadable, and counts as lost. */
  async read(): Promise<string | undefined> {
    return readFile(this.#path, 'utf8').catch(() => undefined);
  }

  async write(text: string): Promise<void> {
    // A fixed temporary name leaves at most one file behind after kills. Only one process writes beside a store.
    const next = `${this.#path}.next`;
    try {
      const file = await open(next, 'w', 0o644);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(next, this.#path);
    } catch (error) {
      await rm(next, { force: true });
      throw error;
    }
    await syncFolder(dirname(this.#path));
  }
}
