import * as fs from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { MAX_FILE_BYTES } from '../../network/tree.ts';
import { BACKUP_FOLDER, keepBackup } from './backups.ts';
import { makeFolder, replaceFile, syncFolder, TEMPORARY } from './durable-file.ts';
import { guarded } from './io-error.ts';

/** A regular file of the host. */
export interface HostFile {
  readonly content: string;
  /** Permission bits. */
  readonly mode: number;
}

/** The kernel's limit on links in one path. */
const MAX_LINKS = 40;
const MAX_FOREIGN_BYTES = 1024 * 1024;

/**
 * The host's file system as seen from its own root: paths are resolved as they would be on the host, so a link leads
 * neither out of the root nor into the container that the agent runs in. Changes are refused outside `mayChange`.
 *
 * File operations are synchronous on purpose: the process does nothing else meanwhile, and a signal is then handled
 * between two operations, never within one.
 */
export class Root {
  readonly dir: string;
  readonly #mayChange: (path: string) => boolean;

  constructor(dir: string, mayChange: (path: string) => boolean) {
    this.dir = fs.realpathSync(dir);
    this.#mayChange = mayChange;
  }

  /** undefined: there is no such file. @throws MultinicError `ForeignFile` for links, folders, devices and huge files. */
  read(path: string, maxBytes = MAX_FILE_BYTES): HostFile | undefined {
    const real = this.resolve(path);
    return guarded(path, () => {
      const stat = fs.lstatSync(real, { throwIfNoEntry: false });
      if (stat === undefined) return undefined;
      if (!stat.isFile() || stat.size > maxBytes) {
        const what = stat.isSymbolicLink()
          ? 'a link'
          : stat.isFile()
            ? `larger than ${maxBytes / 1024} KiB`
            : 'not a regular file';
        throw new MultinicError(
          'ForeignFile',
          `${path} on the host is ${what}, so it is not ours; move it away, then run \`multinic retry\``,
          { data: { path } },
        );
      }
      // A link may have appeared since the check above, so the open refuses links.
      const fd = fs.openSync(real, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
      try {
        return { content: fs.readFileSync(fd, 'utf8'), mode: stat.mode & 0o7777 };
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  /** Identifies the version of a file, even between two versions with the same text; empty: the file does not exist. */
  version(path: string): string {
    const real = this.resolve(path);
    return guarded(path, () => {
      const stat = fs.lstatSync(real, { throwIfNoEntry: false, bigint: true });
      return stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    });
  }

  /** Names in a folder, sorted; none when it does not exist. */
  list(folder: string): string[] {
    const real = this.#walk(folder);
    return guarded(folder, () => {
      if (!fs.statSync(real, { throwIfNoEntry: false })?.isDirectory()) return [];
      return fs.readdirSync(real).sort();
    });
  }

  /** Replaces a file at one instant: after a kill it is wholly old or wholly new, and durable once this returns. */
  write(path: string, content: string, mode: number): void {
    const real = this.#changeable(path);
    guarded(path, () => {
      makeFolder(dirname(real));
      replaceFile(real, content, mode);
    });
  }

  remove(path: string): void {
    const real = this.#changeable(path);
    guarded(path, () => {
      fs.rmSync(real, { force: true });
      if (fs.existsSync(dirname(real))) syncFolder(dirname(real));
    });
  }

  /**
   * Copies a file to `backup/` beside it, where no network manager looks: `backup/90-multinic1.yaml.20250121T103200Z`.
   * The newest few of each name are kept.
   * @returns the copy's path, or undefined when there is no file
   */
  backup(path: string, at: Date): string | undefined {
    const file = this.read(path);
    if (file === undefined) return undefined;
    const real = this.#changeable(path);
    const folder = this.#walk(`${dirname(path)}/${BACKUP_FOLDER}`);
    return guarded(path, () => {
      const name = keepBackup(folder, basename(real), file, at);
      return `${dirname(path)}/${BACKUP_FOLDER}/${name}`;
    });
  }

  /** Reads any regular file of the host, through links too: for foreign configuration. */
  readForeign(path: string): HostFile | undefined {
    const real = this.#walk(path);
    return guarded(path, () => {
      const stat = fs.statSync(real, { throwIfNoEntry: false });
      if (!stat?.isFile() || stat.size > MAX_FOREIGN_BYTES) return undefined;
      return { content: fs.readFileSync(real, 'utf8'), mode: stat.mode & 0o7777 };
    });
  }

  /** Whether a path is a link to /dev/null, which hides a file of that name in weaker folders. */
  isMask(path: string): boolean {
    const real = this.resolve(path);
    return guarded(path, () => {
      if (fs.lstatSync(real, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return false;
      return posix.resolve('/', dirname(path), fs.readlinkSync(real)) === '/dev/null';
    });
  }

  /** Makes an empty folder of the agent's own. @returns its real path */
  makeScratch(path: string): string {
    this.removeScratch(path);
    const real = this.resolve(path);
    guarded(path, () => fs.mkdirSync(real, { recursive: true, mode: 0o700 }));
    return real;
  }

  removeScratch(path: string): void {
    const real = this.resolve(path);
    guarded(path, () => fs.rmSync(real, { recursive: true, force: true }));
  }

  /** Opens the agent's lock file, creates it if it is missing, and refuses a link. @returns a file descriptor */
  openLock(path: string): number {
    const real = this.resolve(path);
    return guarded(path, () => {
      fs.mkdirSync(dirname(real), { recursive: true });
      return fs.openSync(real, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o600);
    });
  }

  /** Removes half-written files that a killed run left in these folders and their backups. */
  removeTemporary(folders: readonly string[]): void {
    // The root itself has no backup folder of the agent: a folder /backup is foreign, and may be on a server that does
    // not answer.
    for (const folder of folders.flatMap((each) =>
      each === '' ? each : [each, `${each}/${BACKUP_FOLDER}`],
    )) {
      for (const name of this.list(folder)) {
        if (name.startsWith(TEMPORARY))
          guarded(folder, () => fs.rmSync(join(this.#walk(folder), name), { force: true }));
      }
    }
  }

  /** Whether a file can be written into a folder, as far as the agent can tell without writing. */
  assertWritable(folder: string): void {
    let real = this.#walk(folder);
    while (!fs.existsSync(real) && real !== this.dir) real = dirname(real);
    guarded(folder, () => {
      fs.accessSync(real, fs.constants.W_OK);
      const { bavail, bsize, ffree, files } = fs.statfsSync(real);
      if (bavail * bsize < 1024 * 1024 || (files > 0 && ffree < 64)) {
        throw Object.assign(new Error('less than 1 MiB or 64 inodes are free'), { code: 'ENOSPC' });
      }
    });
  }

  /**
   * The real path of a path of the host. Links in its parent folders are followed inside the root; a link at its end is
   * not.
   */
  resolve(path: string): string {
    const parts = path.split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
      throw new MultinicError(
        'InvalidPath',
        `${JSON.stringify(path)} is not a plain path below the root; report this tree`,
      );
    }
    return join(this.#walk(dirname(path)), basename(path));
  }

  #changeable(path: string): string {
    if (!this.#mayChange(path)) {
      throw new MultinicError(
        'UnmanagedPath',
        `${path} is not a file of ours, so it is never changed; report this tree`,
        {
          data: { path },
        },
      );
    }
    return this.resolve(path);
  }

  /** Follows links as after a chroot: absolute ones begin at the root, and the root's parent is the root. */
  #walk(path: string): string {
    let todo = path.split('/');
    let done: string[] = [];
    let links = 0;
    for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        done.pop();
        continue;
      }
      const at = join(this.dir, ...done, part);
      const stat = guarded(path, () => fs.lstatSync(at, { throwIfNoEntry: false }));
      if (!stat?.isSymbolicLink()) {
        done.push(part);
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) {
        throw new MultinicError(
          'LinkLoop',
          `${path} on the host goes round in links; mend it, then run \`multinic retry\``,
        );
      }
      const target = guarded(path, () => fs.readlinkSync(at));
      if (target.startsWith('/')) done = [];
      todo = [...target.split('/'), ...todo];
    }
    return join(this.dir, ...done);
  }
}
