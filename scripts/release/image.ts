// The images as archives, without a registry. Their base is the stand-in of the tests: no registry is asked for another.
import { execa } from 'execa';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseImage, buildImage } from '../../test/cluster/base-image.ts';
import { missingBuilds } from '../../test/nodes/cache.ts';
import { copyShipped, setTimes } from './copy.ts';
import { ARCHITECTURES, foreignBase, type Architecture } from './foreign-base.ts';
import { assembleImage } from './foreign-image.ts';
import { NAME, type Part, type Release, type ReleaseFile } from './part.ts';

const quiet = (): void => undefined;
const ELSEWHERE = 'build it with docker buildx, where a registry has the base (docs/release.md)';

/** The architecture of this machine, as images name it. */
export function ownArchitecture(): string {
  const found = Object.entries(ARCHITECTURES).find(([, name]) => name === process.arch);
  return found?.[0] ?? process.arch;
}

/** Name of the archive of an image. */
export function imageFile(version: string, architecture: string): string {
  return `${NAME}-${version}-${architecture}.tar`;
}

export async function imagePart(release: Release): Promise<Part> {
  const own = ownArchitecture();
  const others = (Object.keys(ARCHITECTURES) as Architecture[]).filter((each) => each !== own);
  const lacking = await lackingForImages();
  if (lacking !== undefined) {
    const leftOut = others.map(
      (each) => `the image for ${each}: it has layers of that for ${own}: ${ELSEWHERE}`,
    );
    return { files: [], leftOut: [`the image for ${own}: ${lacking}`, ...leftOut] };
  }
  const native = await ownImage(release, own);
  const parts = [];
  for (const each of others) parts.push(await foreignPart(release, join(release.dir, native.path), each));
  return {
    files: [native, ...parts.flatMap(({ files }) => files)],
    leftOut: parts.flatMap(({ leftOut = [] }) => leftOut),
  };
}

async function ownImage({ dir, names, version, commit, time }: Release, own: string): Promise<ReleaseFile> {
  const path = imageFile(version, own);
  // A tag has no plus; the chart asks for the same one.
  const name = `${names.registry}/${NAME}:${version.replaceAll('+', '_')}`;
  await using context = await mkdtempDisposable(join(tmpdir(), 'multinic-image-'));
  await copyShipped(['Dockerfile', 'dist'], context.path);
  await setTimes(context.path, time);
  await buildImage({
    context: context.path,
    name,
    archive: join(dir, path),
    buildArgs: ['DIST=prebuilt', `VERSION=${version}`, `REVISION=${commit}`],
    log: console.error,
  });
  const use = `the image \`${name}\` for ${own}, on a base of Debian 13 and Node ${process.versions.node} made here: \`docker load --input ${path}\`, \`ctr --namespace k8s.io images import ${path}\``;
  return { path, use };
}

/** The image for another architecture, which nothing on this machine can run. */
async function foreignPart(
  { dir, version, fetch }: Release,
  native: string,
  each: Architecture,
): Promise<Part> {
  const missing = fetch ? [] : await missingBuilds(() => foreignBase(each, quiet));
  if (missing.length > 0) {
    const remedy = `npm run release -- --fetch gets them from Debian and npm, once, or ${ELSEWHERE}`;
    return { files: [], leftOut: [`the image for ${each}: its packages are not here: ${remedy}`] };
  }
  const path = imageFile(version, each);
  const base = await foreignBase(each, console.error);
  await assembleImage({ native, base, architecture: each, archive: join(dir, path) });
  const use = `the same image for ${each}, put together from copies and never run: docs/release.md says how to try it`;
  return { files: [{ path, use }] };
}

/** The first thing that a build of images lacks here, with the remedy. */
async function lackingForImages(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'building it needs root';
  const { exitCode } = await execa('buildah', ['--version'], { reject: false });
  if (exitCode !== 0) return 'buildah is not here: apt-get install buildah';
  const missing = await missingBuilds(() => baseImage(quiet));
  return missing.length === 0
    ? undefined
    : `the base image is not here: npm run test:cluster -- main-line makes it once, or ${ELSEWHERE}`;
}
