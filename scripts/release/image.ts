// The image as an archive, without a registry. Its base is the stand-in of the tests: no registry is asked for another.
import { execa } from 'execa';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { baseImage, buildImage } from '../../test/cluster/base-image.ts';
import { missingBuilds } from '../../test/nodes/cache.ts';
import { copyShipped, setTimes } from './copy.ts';
import { NAME, type Part, type Release } from './part.ts';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const quiet = (): void => undefined;
const ELSEWHERE = 'build it with docker buildx, where a registry has the base (docs/release.md)';

export async function imagePart({ dir, names, version, commit, time }: Release): Promise<Part> {
  const own = ARCHITECTURES[process.arch] ?? process.arch;
  const others = Object.values(ARCHITECTURES).filter((each) => each !== own);
  const leftOut = others.map(
    (each) => `the image for ${each}: no base image for ${each} is on this machine: ${ELSEWHERE}`,
  );
  const lacking = await lackingForImages();
  if (lacking !== undefined) return { files: [], leftOut: [`the image for ${own}: ${lacking}`, ...leftOut] };
  const path = `${NAME}-${version}-${own}.tar`;
  const name = `${names.registry}/${NAME}:${version}`;
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
  return { files: [{ path, use }], leftOut };
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
