// Memory of a process with its children, and the size of a store, as the soak samples both.

import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from '../src/store/git/git.ts';

const MIB = 2 ** 20;

export interface Memory {
  readonly rssMiB: number;
  /** The part of it that no file has: the rest is the program of Node itself, which the kernel may drop. */
  readonly ownMiB: number;
  readonly heapMiB: number;
  /** Buffers outside of V8's heap. */
  readonly externalMiB: number;
  /** Memory of the process's children that no other process shares: `git cat-file`. */
  readonly childrenMiB: number;
  /** Processor time of the children since they started, in seconds. */
  readonly childrenSeconds: number;
  /** Files that are deleted, and that a child still has open or mapped. */
  readonly deletedMiB: number;
}

export interface Size {
  /** All files of the store. */
  readonly storeMiB: number;
  readonly packMiB: number;
  readonly packs: number;
  readonly looseMiB: number;
  readonly looseObjects: number;
}

/** @param pid this process */
export async function memoryOf(pid: number): Promise<Memory> {
  const { rss, heapUsed, external } = process.memoryUsage();
  const children = await childrenOf(pid);
  const own = await Promise.all(children.map(ownMemory));
  const deleted = await Promise.all(children.map(deletedBytes));
  return {
    rssMiB: rss / MIB,
    ownMiB: (await statusOf(pid, 'RssAnon')) / 1024,
    heapMiB: heapUsed / MIB,
    externalMiB: external / MIB,
    childrenMiB: sum(own) / MIB,
    childrenSeconds: sum(await Promise.all(children.map(processorSeconds))),
    deletedMiB: sum(deleted) / MIB,
  };
}

export async function sizeOf(dir: string): Promise<Size> {
  const text = await git(dir, ['count-objects', '-v']);
  const value = (key: string): number => Number(new RegExp(`^${key}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return {
    storeMiB: (await bytesOf(dir)) / MIB,
    packMiB: value('size-pack') / 1024,
    packs: value('packs'),
    looseMiB: value('size') / 1024,
    looseObjects: value('count'),
  };
}

/** Bytes on the disk of all files in a folder, in whole blocks. */
async function bytesOf(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const sizes: number[] = [];
  for (const entry of entries)
    if (entry.isFile()) sizes.push((await stat(join(entry.parentPath, entry.name))).blocks * 512);
  return sum(sizes);
}

async function childrenOf(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean);
}

/** A size of a process, in KiB. @see proc(5): status */
async function statusOf(pid: number, key: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

async function ownMemory(pid: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kib = [...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm)].map(([, value]) => Number(value));
  return 1024 * sum(kib);
}

/** @see proc(5): utime and stime, in hundredths of a second */
async function processorSeconds(pid: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
}

/** Bytes that deleted files still take, because the process has the files open or mapped. */
async function deletedBytes(pid: string): Promise<number> {
  const sizes = new Map<string, number>();
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
  for (const [, from, to, inode] of maps.matchAll(
    /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+) .* \(deleted\)$/gm,
  ))
    sizes.set(inode!, (sizes.get(inode!) ?? 0) + Number.parseInt(to!, 16) - Number.parseInt(from!, 16));
  for (const name of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const file = `/proc/${pid}/fd/${name}`;
    if (!(await readlink(file).catch(() => '')).endsWith(' (deleted)')) continue;
    const { ino, size } = await stat(file);
    sizes.set(String(ino), Math.max(size, sizes.get(String(ino)) ?? 0));
  }
  return sum([...sizes.values()]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
