// A backup is one file, a git bundle with every ref. `git clone` reads it without this program.

import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MultinicError, systemCode } from '../../api/errors.ts';
import { checkpoint } from '../../api/checkpoint.ts';
import { run } from '../git/git-command.ts';
import { syncFolder } from '../git/durability.ts';
import { git, gitEnvironment, gitFailure } from '../git/git.ts';
import { runLocked } from '../git/store-lock.ts';
import { openReader } from '../reader.ts';
import { ensureRepository, isRepository } from '../git/repository.ts';
import { Store } from '../store.ts';
import type { Oid } from '../model/store-port.ts';
import { MAIN_REF } from '../model/store-refs.ts';

const TIMEOUT_MS = 3_600_000;

/**
 * Writes a bundle of all refs, the fence and the push audit among them, and reads the whole bundle back before it gets
 * its name. The store may be in use.
 * @param options `signal` aborts git
 * @returns the refs in the bundle
 * @throws MultinicError `NoStore`, `NotWritable`, or as git failed; `file` is then as it was
 */
export async function backup(
  dir: string,
  file: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Map<string, Oid>> {
  if (!isRepository(dir)) throw new MultinicError('NoStore', `${dir} is no store; give the store's folder`);
  const target = resolve(file);
  const partial = `${target}.partial`;
  const scratch = await mkdtemp(`${target}.check-`).catch((cause: unknown) => {
    throw notWritable(target, cause);
  });
  try {
    const bounds = { timeoutMs: TIMEOUT_MS, ...options };
    await git(resolve(dir), ['bundle', 'create', '--quiet', partial, '--all'], bounds);
    const refs = await readBack(partial, scratch, options);
    await chmod(partial, 0o600);
    await syncFile(partial);
    await rename(partial, target).catch((cause: unknown) => {
      throw notWritable(target, cause);
    });
    await syncFolder(dirname(target));
    return refs;
  } finally {
    await Promise.all([rm(partial, { force: true }), rm(scratch, { recursive: true, force: true })]);
  }
}

export function notWritable(file: string, cause: unknown): MultinicError {
  return new MultinicError(
    'NotWritable',
    `${file} cannot be written (${systemCode(cause)}); name a file in a folder that is there and that you may write`,
    { cause, data: { file } },
  );
}

export interface RestoreOptions {
  /** Replaces an existing store, which is kept as `<dir>.replaced-<time>`. */
  readonly force?: boolean;
  readonly clock?: () => number;
}

/**
 * Builds a store from a backup beside `dir`, checks it with fsck and renames it into place; the new store has a new
 * writer, so a controller on the old store is fenced. A kill leaves `dir` as it was, or absent in the last instant of a
 * forced restore: run the restore again then.
 *
 * @returns path of the replaced store, if there was one
 * @throws MultinicError `StoreExists` without `force`, `InvalidBackup`, `Locked` when the store is being written
 */
export async function restore(
  file: string,
  dir: string,
  options: RestoreOptions = {},
): Promise<string | undefined> {
  await checkBundle(resolve(file));
  const target = resolve(dir);
  const occupied = existsSync(target) && readdirSync(target).length > 0;
  if (occupied && options.force !== true) {
    throw new MultinicError(
      'StoreExists',
      `${target} exists already; restore into a new folder, or replace it with --force`,
      { data: { dir: target } },
    );
  }
  // The name is always the same, so that the next restore removes what a killed restore left.
  const fresh = `${target}.restoring`;
  await mkdir(dirname(target), { recursive: true });
  await rm(fresh, { recursive: true, force: true });
  try {
    await unpack(resolve(file), fresh);
    checkpoint('restore.unpacked');
    if (!occupied) {
      await rename(fresh, target);
      await syncFolder(dirname(target));
      return undefined;
    }
    const replaced = unusedName(`${target}.replaced-${timestamp((options.clock ?? Date.now)())}`);
    const swap = 'mv -T "$1" "$2"; mv -T "$3" "$1"';
    await runLocked(target, 'exclusive', ['sh', '-ec', swap, 'restore', target, replaced, fresh]);
    await syncFolder(dirname(target));
    return replaced;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** A name that is not in use: two restores may come within a second. */
function unusedName(path: string): string {
  let name = path;
  for (let again = 2; existsSync(name); again += 1) name = `${path}-${again}`;
  return name;
}

/** Checks the file first, so that a mistyped name is reported before an existing store is. */
async function checkBundle(file: string): Promise<void> {
  const refuse = (message: string, cause?: unknown): MultinicError =>
    new MultinicError('InvalidBackup', `${file} ${message}`, { cause, data: { file } });
  const handle = await open(file, 'r').catch((cause: unknown) => {
    throw refuse(`cannot be read (${systemCode(cause)}); name a file that multinic backup wrote`, cause);
  });
  try {
    const isFile = (await handle.stat()).isFile();
    const { buffer, bytesRead } = isFile
      ? await handle.read(Buffer.alloc(BUNDLE_START_BYTES), 0, BUNDLE_START_BYTES, 0)
      : { buffer: Buffer.alloc(0), bytesRead: 0 };
    if (!/^# v\d+ git bundle\n/.test(buffer.toString('latin1', 0, bytesRead)))
      throw refuse('is no git bundle; name a file that multinic backup wrote');
  } finally {
    await handle.close();
  }
}

/** Bytes to read of a file: enough for `# v3 git bundle`. */
const BUNDLE_START_BYTES = 32;

async function unpack(file: string, fresh: string): Promise<void> {
  try {
    await cloneBundle(file, fresh);
  } catch (error) {
    throw new MultinicError('InvalidBackup', `${file} cannot be restored; use another backup`, {
      cause: error,
      data: { file },
    });
  }
  // git accepts a bundle without refs, but the bundle would put an empty store in place of a full one.
  if (!(await refsOf(fresh)).has(MAIN_REF)) {
    throw new MultinicError(
      'InvalidBackup',
      `${file} has no main, so no store was saved in it; use another backup`,
      {
        data: { file },
      },
    );
  }
  await ensureRepository(fresh);
  const store = await Store.open(fresh);
  try {
    await store.fsck();
  } finally {
    await store.close();
  }
  // git clone leaves most of its writes to the page cache.
  await run('sync', ['--file-system', fresh], { env: gitEnvironment(), timeoutMs: TIMEOUT_MS });
}

/** Unpacks a bundle, which checks every byte of it; returns its refs. */
async function readBack(
  bundle: string,
  scratch: string,
  options: { readonly signal?: AbortSignal },
): Promise<Map<string, Oid>> {
  await cloneBundle(bundle, scratch, options);
  return refsOf(scratch);
}

async function refsOf(dir: string): Promise<Map<string, Oid>> {
  const reader = openReader(dir);
  try {
    return await reader.refs('refs/');
  } finally {
    await reader.close();
  }
}

async function cloneBundle(
  bundle: string,
  dir: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const ended = await run('git', ['clone', '--quiet', '--mirror', '--template=', bundle, dir], {
    env: gitEnvironment(),
    timeoutMs: TIMEOUT_MS,
    ...options,
  });
  if (ended.code !== 0) throw gitFailure('git clone', ended);
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}
