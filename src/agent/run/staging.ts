import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RendererKind } from '../../network/node.ts';
import { refuseLosers, type BootNic, type NextBoot } from '../files/next-boot.ts';
import type { Host } from '../host/host.ts';
import { RENDERERS, STAGING } from '../files/managed-files.ts';
import type { Plan } from '../plan/plan.ts';
import type { Root } from '../files/root.ts';

/**
 * Builds the configuration folders as they will be, everybody's files and ours, beside the real ones, and has the
 * OS's own generator read them. They lie inside the host's root, where a command of the host can see them.
 * @returns what will count at the next boot
 * @throws MultinicError `ValidationFailed`, `NotAtNextBoot`
 */
export async function validateStaged(
  root: Root,
  host: Host,
  kind: RendererKind,
  plan: Plan,
  nics: readonly BootNic[],
): Promise<readonly NextBoot[]> {
  const renderers = RENDERERS.filter(
    (renderer) =>
      // A tree without interfaces is no host's in particular.
      (renderer.kind === kind && plan.present.length > 0) ||
      plan.files.some((step) => renderer.manages(step.path)),
  );
  const staging = root.makeScratch(STAGING);
  try {
    for (const folder of renderers.flatMap((renderer) => renderer.directories)) {
      for (const name of root.list(folder)) {
        const file = root.readForeign(`${folder}/${name}`);
        if (file !== undefined) stage(staging, `${folder}/${name}`, file.content, file.mode);
      }
    }
    for (const step of plan.files) {
      if (step.op === 'write') stage(staging, step.path, step.content, step.mode);
      else rmSync(join(staging, step.path), { force: true });
    }
    await host.validate(
      renderers.map((renderer) => renderer.kind),
      staging,
    );
    const boots = await host.nextBoot(nics, kind, staging);
    refuseLosers(plan.present, boots, kind);
    return boots;
  } finally {
    root.removeScratch(STAGING);
  }
}

/** Nothing here has to survive a crash, so nothing is synced; the folder is new, so it holds no links. */
function stage(staging: string, path: string, content: string, mode: number): void {
  const real = join(staging, path);
  mkdirSync(dirname(real), { recursive: true });
  writeFileSync(real, content, { mode });
}
