// Licences of the packages in the bundle: the image and the npm package contain them.

import { execa } from 'execa';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const NOTICES = join(ROOT, 'dist/THIRD-PARTY-NOTICES.txt');
const PACKAGE = /(node_modules\/.*?)?node_modules\/(@[^/]+\/[^/]+|[^/]+)(?=\/(?!.*node_modules\/))/;
const LICENCE_WORDS = /permission|redistribution|licen[cs]e|public domain/i;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Folders of the packages that the source maps of the bundle name, a list that does not depend on the build's own list. */
async function packagesInBundle(): Promise<string[]> {
  const folders = new Set<string>();
  for await (const file of glob('dist/**/*.map', { cwd: ROOT })) {
    const { sources } = JSON.parse(await readFile(join(ROOT, file), 'utf8')) as { sources: string[] };
    for (const source of sources) folders.add(PACKAGE.exec(source)?.[0] ?? '');
  }
  return [...folders].filter(Boolean);
}

/** One notice for each package: its head (name and version, licence, source), and the text below. */
async function notices(): Promise<Map<string, string>> {
  const [, ...parts] = (await readFile(NOTICES, 'utf8')).split(/\n=+\n/);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part]));
}

test('every package in the bundle has its licence and its text in THIRD-PARTY-NOTICES.txt', async () => {
  const found = await notices();
  const folders = await packagesInBundle();
  expect(folders.length).toBeGreaterThan(50);
  const without: string[] = [];
  for (const folder of folders) {
    const manifest = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
    const text = found.get(`${manifest.name} ${manifest.version}`) ?? '';
    const [head = '', ...rest] = text.split('\n\n');
    const licensed = head.includes(`\nLicence: ${manifest.license}`) && LICENCE_WORDS.test(rest.join('\n'));
    if (!licensed) without.push(folder);
  }
  expect(without).toEqual([]);
  expect(found.size).toBe(folders.length);
});

test('a licence text is the text that the package ships', async () => {
  const text = (await readFile(join(ROOT, 'node_modules/isomorphic-git/LICENSE.md'), 'utf8')).trim();
  expect(await readFile(NOTICES, 'utf8')).toContain(text);
});

test('the npm package has our licence, the notice and the licences of others', async () => {
  const { stdout } = await execa('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT });
  const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[];
  expect(packed!.files.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['LICENSE', 'NOTICE', 'dist/THIRD-PARTY-NOTICES.txt']),
  );
});

test('the image has the notices beside the bundle', async () => {
  expect(await readFile(join(ROOT, 'Dockerfile'), 'utf8')).toMatch(
    /^COPY --from=dist \/src\/dist \/opt\/multinic\/$/m,
  );
  expect((await readFile(join(ROOT, '.dockerignore'), 'utf8')).trim().split('\n')).toEqual([
    '# All that a build from a clean checkout needs, and dist for DIST=prebuilt.',
    '*',
    '!dist',
    '!src',
    '!scripts',
    '!crds',
    '!deploy',
    '!docs',
    '!LICENSE',
    '!NOTICE',
    '!package.json',
    '!package-lock.json',
    '!tsconfig.json',
    'dist/**/*.map',
  ]);
  for (const file of ['LICENSE', 'NOTICE'])
    expect(await readFile(join(ROOT, 'dist', file), 'utf8')).toBe(await readFile(join(ROOT, file), 'utf8'));
});
