import { cp, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './part.ts';

const filter = (path: string): boolean => !path.endsWith('.map');

/** Copies files and folders of the repository into a folder, without source maps. */
export async function copyShipped(names: readonly string[], folder: string): Promise<void> {
  for (const name of names) await cp(join(ROOT, name), join(folder, name), { recursive: true, filter });
}

/** Gives everything in a folder the same time, because builders of images keep the time of each file. */
export async function setTimes(folder: string, time: number): Promise<void> {
  for (const name of await readdir(folder, { recursive: true })) await utimes(join(folder, name), time, time);
}
