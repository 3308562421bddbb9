// A release from outside: two builds have the same bytes, the checksums fit, and the npm package works alone in a folder.

import { execa } from 'execa';
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { findHelm } from '../scripts/release/helm.ts';
import { placeholders, readNames } from '../scripts/release/names.ts';

const ROOT = resolve(import.meta.dirname, '..');
const NAMES = join(ROOT, 'release.config.json');
const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
const CLI = `multinic-cli-${version}.tgz`;

let dir: string;
let release: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-release-'));
  release = join(dir, 'release');
  await build(release);
});

afterAll(() => rm(dir, { recursive: true }));

afterEach(() => {
  vi.unstubAllEnvs();
});

function build(output: string) {
  const args = ['scripts/release.ts', '--output', output, '--without', 'chart', 'image'];
  return execa(process.execPath, args, { cwd: ROOT });
}

function read(name: string): Promise<string> {
  return readFile(join(release, name), 'utf8');
}

test('a second build of the same commit has the same bytes, and replaces the first', async () => {
  const sums = await read('SHA256SUMS');
  await writeFile(join(release, 'of-an-earlier-version'), '');
  await build(release);
  expect(await read('SHA256SUMS')).toBe(sums);
  expect(await readdir(release)).not.toContain('of-an-earlier-version');
});

test('SHA256SUMS has every file but itself, and sha256sum verifies them', async () => {
  const entries = await readdir(release, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const sums = await read('SHA256SUMS');
  const summed = sums
    .trim()
    .split('\n')
    .map((line) => join(release, line.slice(66)));
  expect([...summed, join(release, 'SHA256SUMS')].toSorted()).toEqual(files.toSorted());
  await execa('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: release });
});

test('the README names every file, and says why a file is left out', async () => {
  const readme = await read('README.md');
  const names = (await readdir(release)).filter((name) => !['README.md', 'SHA256SUMS'].includes(name));
  expect(names.filter((name) => !readme.includes(`| \`${name}`))).toEqual([]);
  expect(readme).toContain('- the chart: left out by --without');
  expect(readme).toContain('- the image: left out by --without');
});

test('the npm package works alone in an empty folder, offline', async () => {
  const alone = join(dir, 'alone');
  await mkdir(alone);
  const quiet = ['--offline', '--no-audit', '--no-fund', '--cache', join(dir, 'npm-cache')];
  await execa('npm', ['install', '--prefix', alone, ...quiet, join(release, CLI)], { cwd: alone });
  const { npmName } = await readNames(NAMES);
  const [scope = ''] = npmName.split('/');
  expect((await readdir(join(alone, 'node_modules'))).toSorted()).toEqual(
    ['.bin', '.package-lock.json', scope].toSorted(),
  );
  const run = async (program: string, ...args: readonly string[]): Promise<string> => {
    const PATH = `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`;
    const env = { PATH, HOME: alone, KUBECONFIG: '', MULTINIC_DIR: '', NO_COLOR: '1' };
    const { stdout } = await execa(join(alone, 'node_modules/.bin', program), args, { cwd: alone, env });
    return stdout;
  };
  const said = await run('multinic', 'version');
  expect(said).toMatch(new RegExp(`^client  ${version.replaceAll('.', String.raw`\.`)} \\(.+\\), Node v`));
  expect(await run('kubectl-multinic', 'version', '--client')).toBe(said);

  const states = await run('multinic', 'local', 'home', '--init', 'fixtures/local', '--once');
  expect(states).toMatch(/k8s-worker-01 .*Configured/);

  const installed = join(alone, 'node_modules', npmName);
  const files = await readdir(installed, { recursive: true });
  expect(files.filter((file) => file.endsWith('.map'))).toEqual([]);
  expect(files).toEqual(
    expect.arrayContaining(['LICENSE', 'NOTICE', 'README.md', 'dist/THIRD-PARTY-NOTICES.txt']),
  );
  const completion = await readFile(join(installed, 'completion/multinic.bash'), 'utf8');
  expect(completion.trim()).toBe(await run('multinic', 'completion', 'bash'));
  const linked = join(alone, 'node_modules/.bin/kubectl_complete-multinic');
  expect((await readFile(linked, 'utf8')).trim()).toBe(await run('multinic', 'completion', 'kubectl'));
  await access(linked, constants.X_OK);
});

test('the bill of materials has every package that the notices name, and no development dependency', async () => {
  const sbom = JSON.parse(await read(`multinic-agent-${version}.cdx.json`)) as {
    metadata: { component: { version: string } };
    components: { 'bom-ref': string }[];
  };
  expect(sbom.metadata.component.version).toBe(version);
  const listed = sbom.components.map((component) => component['bom-ref']);
  const [, ...notices] = (await read('THIRD-PARTY-NOTICES.txt')).split(/\n=+\n/);
  const bundled = notices.map((notice) => notice.slice(0, notice.indexOf('\n')).replace(' ', '@'));
  expect(bundled.length).toBeGreaterThan(50);
  expect(bundled.filter((name) => !listed.includes(name))).toEqual([]);
  expect(listed.filter((name) => /^(esbuild|vitest|typescript)@/.test(name))).toEqual([]);
});

test('the manifest for krew names the npm package by its checksum', async () => {
  const names = await readNames(NAMES);
  const { metadata, spec } = parse(await read(`${names.krewName}.krew.yaml`)) as {
    metadata: { name: string };
    spec: { version: string; homepage: string; platforms: { uri: string; sha256: string; bin: string }[] };
  };
  expect(metadata.name).toBe(names.krewName);
  expect([spec.version, spec.homepage]).toEqual([`v${version}`, names.homepage]);
  expect(spec.platforms).toHaveLength(1);
  const [{ uri, sha256, bin }] = spec.platforms as [(typeof spec.platforms)[0]];
  expect(uri).toBe(`${names.downloads.replace('{version}', version)}/${CLI}`);
  expect(await read('SHA256SUMS')).toContain(`${sha256}  ${CLI}\n`);
  const { stdout } = await execa('tar', ['-tzf', join(release, CLI)]);
  expect(stdout.split('\n')).toContain(`package/${bin}`);
});

test('a folder with foreign files is left as it is', async () => {
  const other = join(dir, 'other');
  await mkdir(other);
  await writeFile(join(other, 'thesis.txt'), 'mine');
  await expect(build(other)).rejects.toThrow(/has files and is no release: name another folder/);
  expect(await readdir(other)).toEqual(['thesis.txt']);
});

test('without helm the chart is left out; a named helm that does not run is an error', async () => {
  const empty = join(dir, 'empty');
  await mkdir(empty);
  vi.stubEnv('HELM', '');
  vi.stubEnv('PATH', empty);
  vi.stubEnv('XDG_CACHE_HOME', empty);
  expect(await findHelm()).toBeUndefined();
  vi.stubEnv('HELM', '/nowhere/helm');
  await expect(findHelm()).rejects.toThrow(/HELM=\/nowhere\/helm does not run/);
});

test('example names are recognised, and a wrong name is refused', async () => {
  const names = await readNames(NAMES);
  const own = {
    registry: 'quay.io/acme',
    npmName: '@acme/multinic',
    krewName: 'multinic',
    homepage: 'https://acme.dev',
    documentation: 'https://acme.dev/docs',
    downloads: 'https://acme.dev/v{version}',
  };
  expect(Object.keys(own)).toEqual(Object.keys(names));
  expect(placeholders(own)).toEqual([]);
  expect(placeholders({ ...own, registry: 'registry.example.org/a' })).toEqual(['registry']);
  const file = join(dir, 'names.json');
  await writeFile(file, JSON.stringify({ ...own, npmName: 'Acme Multinic' }));
  await expect(readNames(file)).rejects.toThrow(/a name of npm/);
});
