import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { syncFolder } from './durability.ts';
import { installHooks, installRefusal, PUSH_HOOKS } from './hook.ts';
import { runLocked } from './store-lock.ts';

const MIB = 1024 * 1024;

/** Free space that no write may use, so that there is room to recover and to delete. */
const RESERVE_BYTES = 64 * MIB;

/**
 * Folder of the hooks for pushes by path. The store's configuration names it, relative to the store, because a pusher's
 * own configuration would win.
 */
const HOOKS = 'hooks';

/**
 * The store's whole configuration; git reads no other. gc is off because it prunes objects that a client may be about
 * to read; `core.fsync` adds loose objects and refs, which git leaves to the cache by default.
 */
const CONFIG = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	hooksPath = ${HOOKS}
	logAllRefUpdates = false
	fsync = objects,derived-metadata,reference
	fsyncMethod = fsync
	filesRefLockTimeout = 2000
	packedRefsTimeout = 5000
[fastimport]
	unpackLimit = 100
[receive]
	fsckObjects = true
	denyNonFastForwards = true
	denyDeletes = true
	denyCurrentBranch = ignore
	autogc = false
	maxInputSize = ${8 * MIB}
[transfer]
	fsckObjects = true
[gc]
	auto = 0
[maintenance]
	auto = false
[pack]
	threads = 1
	windowMemory = 32m
[repack]
	writeBitmaps = false
	updateServerInfo = false
[uploadpack]
	allowFilter = true
`;

/** Whether there is a store, or the beginning of one. */
export function isRepository(dir: string): boolean {
  return existsSync(join(dir, 'HEAD')) && existsSync(join(dir, 'objects')) && existsSync(join(dir, 'refs'));
}

/** Creates the bare repository if it does not exist, and updates its configuration. Repeatable at any point. */
export async function ensureRepository(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  if (!isRepository(dir)) {
    const init = ['git', 'init', '--quiet', '--bare', '--template=', '--initial-branch=main', dir];
    await runLocked(dir, 'exclusive', init, { env: { GIT_DIR: '.' } });
    for (const folder of ['objects/info', 'objects/pack', 'objects', 'refs/heads', 'refs', '.', '..']) {
      await syncFolder(join(dir, folder));
    }
  }
  await installHooks(join(dir, PUSH_HOOKS));
  // Write the hook before the configuration that names its folder.
  await installRefusal(join(dir, HOOKS));
  await ensureConfig(dir);
}

/** @throws MultinicError `DiskFull` when a write of `bytes` would eat into the reserve. */
export async function expectRoom(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const free = bavail * bsize;
  if (free >= RESERVE_BYTES + bytes) return;
  throw new MultinicError(
    'DiskFull',
    `${Math.floor(free / MIB)} MiB are free at ${dir}, and nothing is written below ${RESERVE_BYTES / MIB} MiB; make room, writing goes on by itself then`,
    { data: { dir, free, needed: RESERVE_BYTES + bytes } },
  );
}

/**
 * The cause of a failure, or `DiskFull`. The disk itself tells, because git and Node report a full disk in many ways.
 */
export async function orFullDisk(dir: string, cause: unknown): Promise<unknown> {
  try {
    await expectRoom(dir, 0);
    return cause;
  } catch (error) {
    if (!(error instanceof MultinicError)) return cause;
    return new MultinicError(error.code, error.message, { cause, data: error.data });
  }
}

async function ensureConfig(dir: string): Promise<void> {
  const path = join(dir, 'config');
  if (existsSync(path) && (await readFile(path, 'utf8')) === CONFIG) return;
  const next = join(dir, 'config.lock');
  const handle = await open(next, 'w', 0o644);
  try {
    await handle.writeFile(CONFIG);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, path);
  await syncFolder(dirname(path));
}
