// A release on a cluster, from its folder alone: the archive of the image, the chart and the npm package.
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ownArchitecture } from '../../scripts/release/image.ts';
import { readNames } from '../../scripts/release/names.ts';
import { baseImage } from '../cluster/base-image.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { Multinic, RELEASE } from '../cluster/install.ts';
import { helmProgram } from '../cluster/programs.ts';
import { run } from '../nodes/command.ts';
import { attach, BUILD_MS, config, entry, hostFile, NAMESPACE, VERSION } from '../support/kube-cluster.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const UUID = '5b6c7d8e-0f1a-4b2c-8d3e-4f5a6b7c8d9e';
const MAC = '02:00:00:00:01:01';
const FILE = '/etc/netplan/90-multinic0.yaml';

let dir: string;
let release: string;
let helm: string;
let cluster: Cluster;
let multinic: Multinic;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-release-'));
  release = join(dir, 'release');
  helm = join(await helmProgram(console.log), 'helm');
  await baseImage(console.log);
  await build();
  cluster = await startCluster({
    version: VERSION,
    nodes: [{ name: 'worker-1', systemUUID: UUID }],
    log: console.log,
  });
  await attach(cluster, 'worker-1', MAC);
}, BUILD_MS);

afterAll(async () => {
  await cluster?.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

async function build(): Promise<void> {
  const args = ['scripts/release.ts', '--output', release];
  await run(process.execPath, args, { cwd: REPOSITORY, env: { HELM: helm }, timeoutMs: 900_000 });
}

/** Path of the one file of the release whose name ends so. */
async function fileOf(pattern: RegExp): Promise<string> {
  const found = (await readdir(release)).filter((name) => pattern.test(name));
  expect(found).toHaveLength(1);
  return join(release, found[0]!);
}

const imageFile = (): Promise<string> => fileOf(new RegExp(`-${ownArchitecture()}\\.tar$`));
const chartFile = (): Promise<string> => fileOf(/^multinic-agent-[\d.]+\.tgz$/);
const cliFile = (): Promise<string> => fileOf(/^multinic-cli-[\d.]+\.tgz$/);

/** A JSON file in the archive of the image. */
async function inImage<T>(name: string): Promise<T> {
  return JSON.parse(await run('tar', ['-xOf', await imageFile(), name])) as T;
}

async function versionOfChart(): Promise<string> {
  const shown = await run(helm, ['show', 'chart', await chartFile()]);
  return /^version: (\S+)$/m.exec(shown)![1]!;
}

test('a second build of the same commit has the same bytes, the image and the chart among them', async () => {
  const sums = await readFile(join(release, 'SHA256SUMS'), 'utf8');
  expect(sums).toMatch(/ multinic-agent-[\d.]+\.tgz\n/);
  expect(sums).toMatch(/-(amd64|arm64)\.tar\n/);
  await build();
  expect(await readFile(join(release, 'SHA256SUMS'), 'utf8')).toBe(sums);
}, 900_000);

test('the image has the name that the chart expects, and reports its version', async () => {
  const { registry } = await readNames(join(REPOSITORY, 'release.config.json'));
  const version = await versionOfChart();
  const name = `${registry}/multinic-agent:${version}`;
  const [image] = await inImage<{ RepoTags: string[]; Config: string }[]>('manifest.json');
  expect(image!.RepoTags).toEqual([name]);
  const { config: made } = await inImage<{ config: { Labels: Record<string, string> } }>(image!.Config);
  expect(made.Labels).toMatchObject({ 'org.opencontainers.image.version': version });
  const rendered = await run(helm, ['template', RELEASE, await chartFile()]);
  const asked = [...rendered.matchAll(/image: "?([^"\s]+)/g)].map(([, each]) => each);
  expect(new Set(asked)).toEqual(new Set([name]));
});

test('an image for another architecture has the same name, settings and bundle, and programs of that architecture', async () => {
  const readme = await readFile(join(release, 'README.md'), 'utf8');
  const foreign = (await readdir(release)).filter(
    (name) => /-(amd64|arm64)\.tar$/.test(name) && !name.endsWith(`-${ownArchitecture()}.tar`),
  );
  const missing = /- the image for (amd64|arm64): .*npm run release -- --fetch/.test(readme);
  expect(foreign.length).toBe(missing ? 0 : 1);
  const [own] = await inImage<{ RepoTags: string[]; Config: string }[]>('manifest.json');
  for (const name of foreign) {
    const archive = join(release, name);
    const file = (path: string): Promise<string> => run('tar', ['-xOf', archive, path]);
    const [image] = JSON.parse(await file('manifest.json')) as (typeof own & { Layers: string[] })[];
    const made = JSON.parse(await file(image!.Config)) as { architecture: string; config: object };
    expect(image!.RepoTags).toEqual(own!.RepoTags);
    expect(name).toMatch(new RegExp(`-${made.architecture}\\.tar$`));
    expect(made.config).toEqual((await inImage<{ config: object }>(own!.Config)).config);
    const machine = { amd64: 'X86-64', arm64: 'AArch64' }[made.architecture]!;
    await run('tar', ['-C', dir, '-xf', archive, image!.Layers[0]!]);
    for (const program of ['git', 'flock', 'ip', '../local/bin/node', 'bash']) {
      const path = `./usr/bin/${program}`.replace('bin/../', '');
      await run('tar', ['-C', dir, '-xf', join(dir, image!.Layers[0]!), path]);
      expect(await run('readelf', ['--file-header', join(dir, path)])).toContain(machine);
    }
  }
}, 300_000);

test('image, chart and a CR are all that a node needs', async () => {
  const archive = await imageFile();
  const [image] = await inImage<{ RepoTags: string[] }[]>('manifest.json');
  multinic = new Multinic(cluster, NAMESPACE, { name: image!.RepoTags[0]!, archive });
  await Promise.all([cluster.loadImage(archive), multinic.makeNamespace()]);
  await multinic.makeVolume('worker-1');
  const install = ['install', RELEASE, await chartFile(), '--namespace', NAMESPACE];
  await cluster.helm(install, { timeoutMs: 300_000 });
  await multinic.rolledOut();
  await multinic.applyConfig(config('fleet', [entry(UUID, 'worker-1', [MAC])]));
  await multinic.waitReady('fleet');
  expect(await hostFile(cluster, 'worker-1', FILE)).toContain('10.120.1.1/16');
}, 400_000);

test('the npm package is a plugin of kubectl, and has the version of the controller', async () => {
  const laptop = join(dir, 'laptop');
  await mkdir(laptop);
  const quiet = ['--offline', '--no-audit', '--no-fund', '--cache', join(dir, 'npm-cache')];
  await run('npm', ['install', '--prefix', laptop, ...quiet, await cliFile()], { cwd: laptop });
  const programs = [join(laptop, 'node_modules/.bin'), dirname(process.execPath), cluster.env['PATH']];
  const env = { PATH: programs.join(delimiter) };
  const plugin = (...args: readonly string[]): Promise<string> =>
    cluster.kubectl(['multinic', ...args], { cwd: laptop, env });
  expect(await plugin('status')).toMatch(/worker-1.*Configured/);
  const [client, server] = (await plugin('version')).split('\n');
  expect(server).toBe(`server  ${/^client {2}(.+\)),/.exec(client!)![1]}`);
}, 120_000);

test('an uninstall leaves the network of the node as it is', async () => {
  await multinic.uninstall();
  expect(await hostFile(cluster, 'worker-1', FILE)).toContain('10.120.1.1/16');
}, 200_000);
