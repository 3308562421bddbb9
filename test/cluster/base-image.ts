// The base image of our Dockerfile, and the building of images on it, where no registry can be reached: a stand-in under
// the real one's name, made of the same Debian and a Node.
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cached, cacheRoot, type Log } from '../nodes/cache.ts';
import { run } from '../nodes/command.ts';
import { needCommands } from '../nodes/packages.ts';
import { writeImage } from './image.ts';

export const BASE_IMAGE = 'docker.io/library/node:24-trixie-slim';
export const SUITE = 'trixie';
/** Libraries that Node.js is linked to and Debian's smallest system lacks. */
export const PACKAGES = ['libstdc++6', 'ca-certificates'];
/** Version of the recipe: raise it when this file or image.ts gives another result for the same input. */
const RECIPE = '2';
const BUILD_LIMIT_MS = 900_000;

export interface ImageBuild {
  /** Folder with the Dockerfile. */
  readonly context: string;
  readonly dockerfile?: string;
  /** Full name with its tag, as pods will ask for it: `localhost/multinic-agent:dev`. */
  readonly name: string;
  /** Path of the docker-archive, which is replaced. */
  readonly archive: string;
  /** Build arguments, `NAME=value`. */
  readonly buildArgs?: readonly string[];
  readonly log?: Log;
}

/** @returns path of a docker-archive of `BASE_IMAGE` */
export async function baseImage(log: Log): Promise<string> {
  const node = nodeProgram();
  const recipe = [SUITE, ...PACKAGES, process.version, BASE_IMAGE, RECIPE];
  const dir = await cached('base-image', recipe, log, async (dir) => {
    await needCommands(['mmdebstrap', 'tar'], log);
    const root = join(dir, 'root');
    const include = `--include=${PACKAGES.join(',')}`;
    await run('mmdebstrap', ['--variant=minbase', '--quiet', include, SUITE, root], {
      timeoutMs: BUILD_LIMIT_MS,
    });
    await mkdir(join(root, 'usr/local/bin'), { recursive: true });
    await copyFile(node, join(root, 'usr/local/bin/node'));
    await run('useradd', ['--root', root, '--uid', '1000', '--create-home', '--shell', '/bin/bash', 'node']);
    await writeImage(join(dir, 'image.tar'), BASE_IMAGE, root, { command: ['node'] });
    await run('rm', ['-rf', root]);
  });
  return join(dir, 'image.tar');
}

/** Builds a Dockerfile as it is, on the stand-in base; nothing is fetched by the builder itself. */
export async function buildImage({
  context,
  dockerfile,
  name,
  archive,
  buildArgs = [],
  log = () => {},
}: ImageBuild): Promise<void> {
  await needCommands(['buildah'], log);
  const base = await baseImage(log);
  // One storage for each base: it holds the base unpacked, and the layers that did not change.
  const storage = join(cacheRoot(), `buildah-${basename(dirname(base))}`);
  await mkdir(storage, { recursive: true });
  const policy = join(storage, 'policy.json');
  await writeFile(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  const buildah = (...args: string[]) =>
    run('buildah', ['--root', join(storage, 'root'), '--runroot', join(storage, 'run'), ...args], {
      // Other isolations need a container runtime.
      env: { BUILDAH_ISOLATION: 'chroot' },
      timeoutMs: BUILD_LIMIT_MS,
    });

  const known = await buildah('images', '--noheading', '--format', '{{.Name}}:{{.Tag}}');
  if (!known.split('\n').includes(BASE_IMAGE))
    await buildah('pull', '--signature-policy', policy, `docker-archive:${base}`);
  const file = dockerfile ?? join(context, 'Dockerfile');
  const options = ['--signature-policy', policy, '--pull=never', '--layers', '--tag', name, '--file', file];
  await buildah('build', ...options, ...buildArgs.map((arg) => `--build-arg=${arg}`), context);
  // The writer of archives would append to an existing file.
  await run('rm', ['-f', archive]);
  await buildah('push', '--signature-policy', policy, name, `docker-archive:${archive}:${name}`);
}

/** The Node.js version of the project, not the one of the machine. */
function nodeProgram(): string {
  const require = createRequire(import.meta.url);
  return join(dirname(require.resolve('node/package.json')), 'bin/node');
}
