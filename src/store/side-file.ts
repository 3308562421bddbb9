// A small file beside the store, for what may be lost. It is replaced at one instant, so nobody reads half of it.

import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './git/durability.ts';

export class SideFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Reads the file; undefined: it cannot be read, so it counts as lost. */
  async read(): Promise<string | undefined> {
    return readFile(this.#path, 'utf8').catch(() => undefined);
  }

  async write(text: string): Promise<void> {
    // One process writes beside a store, and a name of its own would leave files behind after kills.
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
