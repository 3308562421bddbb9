import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Root } from '../files/root.ts';

/** Name to content of the files of one folder, `etc/netplan`; a link to /dev/null is an empty file. */
export type ReadFolder = (folder: string) => ReadonlyMap<string, string>;

const GENERATED = /-netplan-/;

/**
 * Reads the folders that decide the next boot: as they are, or as they will be with the staged files and the files
 * generated from them.
 * @param staging folder within the root that stands for the root
 */
export function readBoot(root: Root, staging?: string): ReadFolder {
  const inside = staging === undefined ? undefined : relative(root.dir, staging);
  const read = (folder: string): ReadonlyMap<string, string> => {
    const isStaged = inside !== undefined && existsSync(join(root.dir, inside, folder));
    // A staged folder of /etc is complete, so the real folder is not read.
    const now = isStaged && folder.startsWith('etc/') ? [] : [...readFolder(root, folder)];
    // netplan's generator writes all of its files again at each boot.
    const stays =
      inside === undefined
        ? now
        : now.filter(([name]) => !(folder.startsWith('run/') && GENERATED.test(name)));
    return new Map([...stays, ...(isStaged ? readFolder(root, `${inside}/${folder}`) : [])]);
  };
  const known = new Map<string, ReadonlyMap<string, string>>();
  return (folder) => {
    const files = known.get(folder) ?? read(folder);
    known.set(folder, files);
    return files;
  };
}

/** Regular files of a folder of the host, and links to /dev/null, which hide files of their names. */
export function readFolder(root: Root, folder: string): Map<string, string> {
  return new Map(
    root.list(folder).flatMap((name) => {
      const path = `${folder}/${name}`;
      const content = root.readForeign(path)?.content ?? (root.isMask(path) ? '' : undefined);
      return content === undefined ? [] : [[name, content] as const];
    }),
  );
}
