// Container images without a registry and without a Dockerfile: archives made of a folder.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cached, type Log } from '../nodes/cache.ts';
import { run } from '../nodes/command.ts';
import { pauseProgram } from './programs.ts';

/** Image of the container that containerd starts first in every pod. */
export const PAUSE_IMAGE = 'localhost/multinic-test/pause:1';

/** Version of the recipe: raise it when `writeImage` writes other content. */
const RECIPE = '2';
const EPOCH = '1970-01-01T00:00:00Z';

export interface ImageConfig {
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: readonly string[];
}

/** @returns the archive's path, as `docker save` makes them */
export async function pauseImage(log: Log): Promise<string> {
  const program = await pauseProgram(log);
  const dir = await cached('pause-image', [program, PAUSE_IMAGE, RECIPE], log, async (dir) => {
    await writeImage(join(dir, 'image.tar'), PAUSE_IMAGE, program, { entrypoint: ['/pause'] });
  });
  return join(dir, 'image.tar');
}

/**
 * Writes a docker-archive with one layer: the folder as it is.
 * @param name with its tag, such as `localhost/base:1`
 */
export async function writeImage(
  archive: string,
  name: string,
  root: string,
  config: ImageConfig,
): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'multinic-image-'));
  try {
    const layer = join(work, 'layer.tar');
    await packLayer(root, layer);
    await writeArchive(archive, name, [layer], {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: {
        Entrypoint: config.entrypoint ?? null,
        Cmd: config.command ?? null,
        Env: config.env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      },
      // Builders expect one entry for each layer.
      history: [{ created: EPOCH, created_by: 'multinic-agent test' }],
      created: EPOCH,
      rootfs: { type: 'layers', diff_ids: [await layerDigest(layer)] },
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Packs a folder as a layer. The same files give the same bytes. */
export async function packLayer(root: string, layer: string): Promise<void> {
  await tar(root, layer, ['.']);
}

export async function layerDigest(layer: string): Promise<string> {
  return `sha256:${await sha256(layer)}`;
}

/**
 * Writes a docker-archive.
 * @param layers tars, the lowest first
 * @param config the image's configuration, with the digest of each layer
 */
export async function writeArchive(
  archive: string,
  name: string,
  layers: readonly string[],
  config: object,
): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'multinic-archive-'));
  try {
    const image = JSON.stringify(config);
    const configFile = `${createHash('sha256').update(image).digest('hex')}.json`;
    const names = layers.map((_, index) => (layers.length === 1 ? 'layer.tar' : `layer-${index}.tar`));
    for (const [index, layer] of layers.entries()) await symlink(resolve(layer), join(work, names[index]!));
    const manifest = [{ Config: configFile, RepoTags: [name], Layers: names }];
    await writeFile(join(work, configFile), image);
    await writeFile(join(work, 'manifest.json'), JSON.stringify(manifest));
    await tar(work, `${archive}.partial`, ['--dereference', 'manifest.json', configFile, ...names]);
    await rename(`${archive}.partial`, archive);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function tar(dir: string, output: string, names: readonly string[]): Promise<void> {
  const same = ['--sort=name', '--mtime=@0', '--numeric-owner', '--owner=0', '--group=0'];
  await run('tar', [...same, '-C', dir, '-cf', output, ...names], { timeoutMs: 300_000 });
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
