// The local home: a folder instead of a cluster. It implements the controller's ports with files and processes.
import { access, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import { ConfigFolder } from './config.ts';
import { isErrno } from './file.ts';
import { InventoryFile } from './inventory.ts';
import { ChildRunner, type ChildRunnerOptions } from './jobs.ts';
import { lockController } from './controller-lock.ts';
import { Tokens } from './tokens.ts';
import { watchHome, type Watch } from './watch.ts';

/** `DIR` of `multinic local DIR`, with this process as its only controller. */
export interface LocalHome {
  /** Absolute. */
  readonly dir: string;
  readonly storeDir: string;
  readonly inventory: InventoryFile;
  readonly tokens: Tokens;
  readonly configs: ConfigFolder;
  runner(options: Omit<ChildRunnerOptions, 'dir' | 'token'>): Promise<ChildRunner>;
  watch(changed: () => void, failed: (error: unknown) => void): Promise<Watch>;
  /** Releases the home for another controller. The caller closes what `runner` and `watch` returned. */
  close(): Promise<void>;
}

/**
 * Checks that the folder is a home, and only reads, so that a mistyped path makes no folder.
 * @throws MultinicError `NotAHome`
 */
export async function expectHome(folder: string): Promise<void> {
  const dir = resolve(folder);
  await access(join(dir, 'inventory.yaml')).catch((cause: unknown) => {
    const remedy = 'name the folder that has it, or make one with --init fixtures/local';
    throw new MultinicError('NotAHome', `${dir} has no inventory.yaml; ${remedy}`, { cause });
  });
}

/** @throws MultinicError `NotAHome`, `ControllerRunning`, `InvalidTokens` */
export async function openLocalHome(folder: string): Promise<LocalHome> {
  const dir = resolve(folder);
  await expectHome(dir);
  const lock = await lockController(join(dir, 'controller.lock'));
  try {
    const tokens = await Tokens.open(join(dir, 'tokens.yaml'));
    return {
      dir,
      storeDir: join(dir, 'store.git'),
      inventory: new InventoryFile(dir),
      tokens,
      configs: new ConfigFolder(join(dir, 'crs')),
      runner: (options) => ChildRunner.open({ ...options, dir, token: (node) => tokens.node(node) }),
      watch: (changed, failed) => watchHome(dir, changed, failed),
      close: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/**
 * Makes a home from a template (fixtures/local), whole or not at all.
 * @returns false: it is a home already, and stays as it is
 * @throws MultinicError `NotEmpty`
 */
export async function initLocalHome(folder: string, from: string): Promise<boolean> {
  const dir = resolve(folder);
  await access(join(from, 'inventory.yaml')).catch((cause: unknown) => {
    throw new MultinicError(
      'NotAHome',
      `${from} is no template of a home: it has no inventory.yaml; name one such as fixtures/local`,
      { cause },
    );
  });
  await mkdir(dirname(dir), { recursive: true });
  const temporary = await mkdtemp(join(dirname(dir), `.${basename(dir)}-`));
  try {
    const template = join(temporary, 'home');
    await cp(from, template, { recursive: true });
    // A rename replaces an empty folder and fails on any other.
    await rename(template, dir);
    return true;
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
    if ((await readdir(dir).catch(() => [] as string[])).includes('inventory.yaml')) return false;
    throw new MultinicError('NotEmpty', `${dir} is in use for something else; name a new folder`, {
      cause: error,
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
