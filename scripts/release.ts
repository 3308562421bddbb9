// Builds everything of a version into release/, from the bundle in dist/; only --fetch needs the network. docs/release.md
// says what is there and how it is published.
import { Command, Option } from 'commander';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { assetsPart } from './release/assets.ts';
import { chartPart } from './release/chart.ts';
import { checksums } from './release/checksums.ts';
import { imagePart } from './release/image.ts';
import { krewPart } from './release/krew.ts';
import { readNames } from './release/names.ts';
import { npmPart } from './release/npm-package.ts';
import { ROOT, type Part, type Release } from './release/part.ts';
import { releaseReadme } from './release/readme.ts';
import { sbomPart } from './release/sbom.ts';
import { sourceOf } from './release/source.ts';

/** Parts that may be left out: the other parts need nothing but npm and tar. */
const OPTIONAL = { chart: chartPart, image: imagePart };
const SUMS = 'SHA256SUMS';
const NAMES = join(ROOT, 'release.config.json');

interface Options {
  readonly output: string;
  readonly fetch: boolean;
  readonly without: readonly (keyof typeof OPTIONAL)[];
}

const program = new Command('release')
  .description('Builds everything of this version into a folder; without --fetch it needs no network.')
  .option('-o, --output <dir>', 'folder of the release; a release that is there is replaced', 'release')
  .addOption(
    new Option('--without <part...>', 'parts to leave out').choices(Object.keys(OPTIONAL)).default([]),
  )
  .option('--fetch', 'get what images of other architectures are made of, once: from Debian and npm', false)
  .action(makeRelease);
await program.parseAsync().catch((error: unknown) => {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});

async function makeRelease({ output, without, fetch }: Options): Promise<void> {
  const target = resolve(output);
  await refuseOthers(target);
  const dir = `${target}.partial`;
  const release: Release = { ...(await sourceOf()), names: await readNames(NAMES), dir, fetch };
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const parts = await partsOf(release, without);
  const readme = releaseReadme(release, parts);
  await writeFile(join(dir, 'README.md'), readme);
  await writeFile(join(dir, SUMS), await checksums(dir));
  await rm(target, { recursive: true, force: true });
  await rename(dir, target);
  console.log(`${readme}\nAll of it is in ${target}`);
}

/** @throws Error if the folder has files and is no release, because it would be replaced */
async function refuseOthers(dir: string): Promise<void> {
  const names = existsSync(dir) ? await readdir(dir) : [];
  if (names.length > 0 && !names.includes(SUMS))
    throw new Error(`${dir} has files and is no release: name another folder with --output`);
}

async function partsOf(release: Release, without: Options['without']): Promise<Part[]> {
  const optional = (name: keyof typeof OPTIONAL): Promise<Part> =>
    without.includes(name)
      ? Promise.resolve({ files: [], leftOut: [`the ${name}: left out by --without`] })
      : OPTIONAL[name](release);
  const groups = await Promise.all([
    inOrder(release, [npmPart, krewPart]),
    optional('chart'),
    optional('image'),
    sbomPart(release),
    assetsPart(release),
  ]);
  return groups.flat();
}

/** One part after the other: the later ones read the files of the earlier ones. */
async function inOrder(
  release: Release,
  make: readonly ((release: Release) => Promise<Part>)[],
): Promise<Part[]> {
  const parts: Part[] = [];
  for (const each of make) parts.push(await each(release));
  return parts;
}
