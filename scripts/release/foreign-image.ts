// The image for another architecture: a lowest layer of that architecture, and the layers of our image above its
// packages, which have no programs of any architecture.
import { execa } from 'execa';
import { mkdir, mkdtempDisposable, open, readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { layerDigest, writeArchive } from '../../test/cluster/image.ts';
import { NAME } from './part.ts';

interface ImageConfig {
  readonly config: object;
  readonly history: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[];
}

interface Assembly {
  /** docker-archive of the image for this machine. */
  readonly native: string;
  /** Lowest layer, with the packages of the Dockerfile. */
  readonly base: string;
  readonly architecture: string;
  /** Path of the docker-archive that is written. */
  readonly archive: string;
}

/** Layers of the Dockerfile that the base stands for: its own base image, and the packages. */
const REPLACED = 2;
const EPOCH = '1970-01-01T00:00:00Z';
const ELF = Buffer.from('\u007fELF', 'latin1');

/** @throws Error if a layer that is to be copied has a program of this machine's architecture */
export async function assembleImage({ native, base, architecture, archive }: Assembly): Promise<void> {
  await using work = await mkdtempDisposable(join(tmpdir(), 'multinic-foreign-'));
  await execa('tar', ['-C', work.path, '-xf', native]);
  const inside = async <T>(name: string): Promise<T> =>
    JSON.parse(await readFile(join(work.path, name), 'utf8')) as T;
  const [image] = await inside<{ Config: string; RepoTags: string[]; Layers: string[] }[]>('manifest.json');
  const { config, history } = await inside<ImageConfig>(image!.Config);
  const made = history.filter((step) => step.empty_layer !== true);
  if (
    made.length !== image!.Layers.length ||
    made[REPLACED - 1]?.created_by?.includes('apt-get install') !== true
  )
    throw new Error(`the second layer of ${native} is not that of the packages: mend foreign-image.ts`);
  const copied = image!.Layers.slice(REPLACED).map((name) => join(work.path, name));
  for (const [index, layer] of copied.entries()) await expectPortable(layer, join(work.path, `of-${index}`));
  const layers = [base, ...copied];
  await writeArchive(archive, image!.RepoTags[0]!, layers, {
    created: EPOCH,
    architecture,
    os: 'linux',
    config,
    history: layers.map(() => ({ created: EPOCH, created_by: `${NAME} release, of copies` })),
    rootfs: { type: 'layers', diff_ids: await Promise.all(layers.map(layerDigest)) },
  });
}

async function expectPortable(layer: string, folder: string): Promise<void> {
  await mkdir(folder);
  await execa('tar', ['-C', folder, '-xf', layer]);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await isProgram(path)))
      throw new Error(`${path.slice(folder.length)} is a program of this architecture: it cannot be copied`);
  }
}

async function isProgram(path: string): Promise<boolean> {
  if ((await stat(path)).size < ELF.length) return false;
  await using file = await open(path);
  const { buffer } = await file.read({ buffer: Buffer.alloc(ELF.length), position: 0 });
  return buffer.equals(ELF);
}
