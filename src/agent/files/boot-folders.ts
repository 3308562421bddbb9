import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { BOOT_FOLDERS } from './next-boot.ts';
import type { ReadFolder } from './generator.ts';
import type { Root } from './root.ts';

const GENERATED = /-netplan-/;

/**
 * The folders that decide the next boot, as they are, or as they will be with what was staged and generated from it.
 * @param staging a folder within the root that stands for it
 */
export function readBoot(root: Root, staging?: string): ReadFolder {
  const inside = staging === undefined ? undefined : relative(root.dir, staging);
  const list = (folder: string): [string, string][] =>
    root.list(folder).flatMap((name) => {
      const content = root.readForeign(`${folder}/${name}`)?.content;
      return content === undefined ? [] : [[name, content]];
    });
  const files = new Map(
    BOOT_FOLDERS.map((folder) => {
      const staged = inside !== undefined && existsSync(join(root.dir, inside, folder));
      const now = staged && folder.startsWith('etc/') ? [] : list(folder);
      // netplan's generator makes all of its own anew at each boot.
      const stays =
        inside === undefined
          ? now
          : now.filter(([name]) => !(folder.startsWith('run/') && GENERATED.test(name)));
      return [folder, new Map([...stays, ...(staged ? list(`${inside}/${folder}`) : [])])] as const;
    }),
  );
  return (folder) => files.get(folder) ?? new Map();
}
