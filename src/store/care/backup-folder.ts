// A folder of backups, each named after the time when it began: the newest ones are kept.

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../api/errors.ts';
import { expectRoom } from '../git/repository.ts';
import { backup, notWritable } from './backup.ts';
import { storeSize } from './size.ts';

const NAME = /^multinic-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.bundle$/;
/** Files of a backup that did not end. */
const LEFTOVER = /^multinic-\d{8}T\d{6}Z\.bundle\.(partial|check-.+)$/;
/** Free space that a backup needs, in sizes of the store: the bundle, and the clone that checks the bundle. */
const ROOM = 2;

export interface WriteOptions {
  /** Number of backups that stay, 1 or more. */
  readonly keep: number;
  readonly now: number;
  /** Aborts the backup. */
  readonly signal?: AbortSignal;
}

export class BackupFolder {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Start of the newest backup, in milliseconds since 1970. A backup from the future does not count. */
  async newestAt(now: number): Promise<number | undefined> {
    return (await this.#names()).map(timeOf).findLast((at) => at <= now);
  }

  /**
   * Writes a backup of the store, checked, and deletes the oldest backups beyond `keep`. One backup at a time.
   *
   * @returns path of the backup
   * @throws MultinicError `DiskFull` when there is no room, `NotWritable`, or as git failed; every earlier backup is there
   *   still, but for the oldest one that had to make room
   */
  async write(storeDir: string, { keep, now, signal }: WriteOptions): Promise<string> {
    await this.#clearLeftovers();
    await this.#expectRoom(storeDir, keep);
    const file = join(this.dir, nameOf(now));
    await backup(storeDir, file, signal === undefined ? {} : { signal });
    const others = (await this.#names()).filter((name) => name !== nameOf(now));
    for (const name of others.slice(0, Math.max(0, others.length + 1 - keep))) await rm(join(this.dir, name));
    return file;
  }

  /**
   * Deletes the oldest backup of a full folder, because the next backup would replace it anyway. Never deletes the only
   * backup.
   */
  async #expectRoom(storeDir: string, keep: number): Promise<void> {
    const needed = ROOM * (await storeSize(storeDir)).bytes;
    try {
      await expectRoom(this.dir, needed);
    } catch (error) {
      const [oldest, ...others] = await this.#names();
      if (!hasCode(error, 'DiskFull') || oldest === undefined) throw error;
      if (others.length === 0 || others.length + 1 < keep) throw error;
      await rm(join(this.dir, oldest));
      await expectRoom(this.dir, needed);
    }
  }

  async #clearLeftovers(): Promise<void> {
    for (const name of await this.#entries())
      if (LEFTOVER.test(name)) await rm(join(this.dir, name), { recursive: true, force: true });
  }

  /** Names of the backups, the oldest first. */
  async #names(): Promise<string[]> {
    return (await this.#entries()).filter((name) => NAME.test(name)).sort();
  }

  async #entries(): Promise<string[]> {
    return readdir(this.dir).catch((cause: unknown) => {
      throw notWritable(this.dir, cause);
    });
  }
}

function nameOf(time: number): string {
  return `multinic-${new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '')}.bundle`;
}

function timeOf(name: string): number {
  const [, year, month, day, hour, minute, second] = NAME.exec(name)!;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
