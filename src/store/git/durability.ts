// git fsyncs a file and renames it, but does not fsync the folder that has the new name. Until the folder is on disk
// too, a power cut may take the file away again.

import { readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A kernel's clock for folders ticks every few ms, so a later change may get the same time as a recent one. */
const RACY_MS = 50;

/** Fsyncs those folders of a store that changed since they were last seen. */
export class FolderSync {
  readonly #dir: string;
  readonly #syncedAt = new Map<string, number>();
  #turn: Promise<void> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The folders of objects: fan-out, packs, and their parents. */
  objects(): Promise<void> {
    return this.#inTurn(() => {
      const root = join(this.#dir, 'objects');
      const folders = readdirSync(root).filter((name) => /^([0-9a-f]{2}|pack|info)$/.test(name));
      return [root, ...folders.map((name) => join(root, name))];
    });
  }

  /** The folders that hold these refs, up to the store itself (packed-refs). */
  refs(refs: Iterable<string>): Promise<void> {
    return this.#inTurn(() => {
      const folders = new Set([this.#dir]);
      for (const ref of refs) {
        for (let folder = dirname(ref); folder !== '.'; folder = dirname(folder)) {
          folders.add(join(this.#dir, folder));
        }
      }
      return [...folders];
    });
  }

  /**
   * Runs syncs one after the other: a call that sees no change must wait for the fsync of the call that saw the change.
   */
  #inTurn(folders: () => string[]): Promise<void> {
    const turn = this.#turn.then(() => this.#sync(folders()));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #sync(folders: readonly string[]): Promise<void> {
    const now = Date.now();
    const changed: [folder: string, changedAt: number][] = [];
    for (const folder of folders) {
      // Synchronous: 260 folders take half a millisecond, and ten times that through the thread pool.
      const changedAt = statSync(folder, { throwIfNoEntry: false })?.ctimeMs;
      if (changedAt !== undefined && this.#syncedAt.get(folder) !== changedAt)
        changed.push([folder, changedAt]);
    }
    await Promise.all(changed.map(([folder]) => syncFolder(folder)));
    for (const [folder, changedAt] of changed) {
      if (Math.abs(now - changedAt) > RACY_MS) this.#syncedAt.set(folder, changedAt);
      else this.#syncedAt.delete(folder);
    }
  }
}

/** Makes the names in a folder durable. A folder that pack-refs removed has no names, so its absence is no error. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}
