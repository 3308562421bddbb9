import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import type { RendererKind } from '../../network/node.ts';
import { NETPLAN_FOLDERS } from '../foreign/foreign-netplan.ts';
import { refuseOverridden, type NextBoot } from '../foreign/next-boot.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import type { Host } from '../host/host.ts';
import { isFileOf, RENDERERS, STAGING } from '../files/managed-files.ts';
import type { Plan } from '../plan/plan.ts';
import type { Root } from '../files/root.ts';

/**
 * Validates a plan in the staging folder of a run, which holds the host's lock.
 * @returns the files that will count at the next boot
 * @throws MultinicError `ValidationFailed`, `NotAtNextBoot`
 */
export async function validateStaged(
  root: Root,
  boot: Host['boot'],
  kind: RendererKind,
  plan: Plan,
  nics: readonly BootNic[],
): Promise<readonly NextBoot[]> {
  const boots = await foreseeBoots(root, boot, kind, plan, nics, STAGING);
  refuseOverridden(plan.present, boots, kind);
  return boots;
}

/**
 * Builds copies of the configuration folders with foreign files and our new ones, and has the OS's own generator read
 * them.
 * @param folder where the copies are: inside the host's root, so that a command of the host can see them
 * @returns the files that will count at the next boot
 * @throws MultinicError `ValidationFailed`
 */
export async function foreseeBoots(
  root: Root,
  boot: Host['boot'],
  kind: RendererKind,
  plan: Plan,
  nics: readonly BootNic[],
  folder: string,
): Promise<readonly NextBoot[]> {
  const renderers = RENDERERS.filter(
    (renderer) =>
      // A tree without interfaces may name a renderer that is not the host's.
      (renderer.kind === kind && plan.present.length > 0) ||
      plan.files.some((step) => isFileOf(renderer, step.path)),
  );
  const staging = root.makeScratch(folder);
  try {
    const usesNetplan = renderers.some((renderer) => renderer.kind === 'netplan');
    const folders = [...renderers.flatMap((renderer) => renderer.directories), ...NETPLAN_FOLDERS];
    for (const each of new Set(folders)) copyFolder(root, each, staging);
    for (const step of plan.files) {
      if (step.op === 'write') stage(staging, step.path, step.content, step.mode);
      else rmSync(join(staging, step.path), { force: true });
    }
    await boot.validate(
      renderers.map((renderer) => renderer.kind),
      staging,
    );
    if (!usesNetplan && hasNetplanFiles(root)) await generateOthers(boot, staging);
    return await boot.nextBoot(nics, kind, staging);
  } finally {
    root.removeScratch(folder);
  }
}

function copyFolder(root: Root, folder: string, staging: string): void {
  for (const name of root.list(folder)) {
    const path = `${folder}/${name}`;
    const file = root.readForeign(path);
    if (file !== undefined) stage(staging, path, file.content, file.mode);
    else if (root.isMask(path)) stage(staging, path, '', 0o644);
  }
}

function hasNetplanFiles(root: Root): boolean {
  return NETPLAN_FOLDERS.some((folder) => root.list(folder).some((name) => name.endsWith('.yaml')));
}

/**
 * Runs netplan's generator for a host with files of another renderer. Such a host may have netplan too, and netplan's
 * output counts at the next boot.
 */
async function generateOthers(boot: Host['boot'], staging: string): Promise<void> {
  try {
    await boot.validate(['netplan'], staging);
  } catch (error) {
    // At a boot, too, netplan generates nothing from files that it refuses, and nothing where it is absent.
    if (error instanceof MultinicError && ['ValidationFailed', 'NoNetplan'].includes(error.code)) return;
    throw error;
  }
}

/** Writes without fsync, because a crash may lose the copies. The folder is new, so it has no links. */
function stage(staging: string, path: string, content: string, mode: number): void {
  const real = join(staging, path);
  mkdirSync(dirname(real), { recursive: true });
  writeFileSync(real, content, { mode });
}
