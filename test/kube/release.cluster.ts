// A release on a cluster, from its folder alone: the archive of the image, the chart and the npm package, used as the quick
// start has it.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownArchitecture } from '../../scripts/release/image.ts';
import { readNames } from '../../scripts/release/names.ts';
import { baseImage } from '../cluster/base-image.ts';
import { startCluster, type Cluster } from '../cluster/cluster.ts';
import { Multinic, RELEASE } from '../cluster/install.ts';
import { helmProgram } from '../cluster/programs.ts';
import { run } from '../nodes/command.ts';
import { blocksOf, commandsOf } from '../support/documented.ts';
import { attach, BUILD_MS, hostFile, NAMESPACE, VERSION } from '../support/kube-cluster.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
/** The page whose lines are typed; the nodes are those of its CRs. */
const PAGE = 'docs/quick-start.md';
const UUIDS = ['5b6c7d8e-0f1a-4b2c-8d3e-4f5a6b7c8d9e', '7d8e9f0a-1b2c-4d3e-8f4a-5b6c7d8e9f0a'] as const;
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
    nodes: UUIDS.map((systemUUID, index) => ({ name: `worker-${index + 1}`, systemUUID })),
    log: console.log,
  });
  await attach(cluster, 'worker-1', '02:00:00:00:01:01');
  await attach(cluster, 'worker-2', '02:00:00:00:02:01');
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

/** Types lines in the folder of the release, on a machine that has helm, kubectl and Node. @param answer to a question */
function type(lines: string, answer?: string): Promise<string> {
  const laptop = join(dir, 'laptop');
  const programs = [join(laptop, 'bin'), dirname(helm), dirname(process.execPath), cluster.env['PATH']];
  const env = {
    ...cluster.env,
    PATH: programs.join(delimiter),
    npm_config_prefix: laptop,
    npm_config_cache: join(dir, 'npm-cache'),
    npm_config_offline: 'true',
  };
  const args = answer === undefined ? ['bash', '-e', '-c', lines] : ['script', '-qec', lines, '/dev/null'];
  return run(args[0]!, args.slice(1), { cwd: release, env, input: `${answer}\n`, timeoutMs: 400_000 });
}

/** Types the lines of one block of a section. @returns what each printed */
async function typeBlock(heading: string, index: number): Promise<Map<string, string>> {
  const said = new Map<string, string>();
  for (const line of commandsOf((await blocksOf(PAGE, heading))[index]!)) {
    // No test has an OpenStack.
    if (line.startsWith('openstack ')) continue;
    said.set(line, await type(line));
  }
  return said;
}

async function writeBlock(heading: string, index: number, file: string): Promise<void> {
  await writeFile(join(release, file), (await blocksOf(PAGE, heading))[index]!);
}

function said(lines: ReadonlyMap<string, string>, line: RegExp): string {
  return [...lines].find(([each]) => line.test(each))![1];
}

const firstFile = (): Promise<string | undefined> => hostFile(cluster, 'worker-1', FILE);

describe('the quick start, line by line:', () => {
  let begun: number;
  const seconds = (): string => ((performance.now() - begun) / 1000).toFixed(1);

  test('install', async () => {
    const archive = await imageFile();
    const [image] = await inImage<{ RepoTags: string[] }[]>('manifest.json');
    multinic = new Multinic(cluster, NAMESPACE, { name: image!.RepoTags[0]!, archive });
    // What a cluster with a registry and a storage class has already.
    await cluster.loadImage(archive);
    await multinic.makeVolume('worker-1');
    begun = performance.now();
    const lines = await typeBlock('Install', 0);
    console.log(`the controller runs ${seconds()} s after the first line`);
    expect(said(lines, /rollout status/)).toContain('successfully rolled out');
  }, 400_000);

  test('the first CR', async () => {
    const nodes = await typeBlock('The first CR', 0);
    // The kubelets of the tests write IDs without hyphens.
    expect(said(nodes, /SYSTEM_UUID/)).toMatch(new RegExp(`worker-1 +${UUIDS[0].replaceAll('-', '-?')}`));
    await writeBlock('The first CR', 2, 'first.yaml');
    const lines = await typeBlock('The first CR', 3);
    console.log(`the first node is configured ${seconds()} s after the first line`);
    expect(said(lines, /^multinic status/)).toMatch(/worker-1 +Configured/);
    expect(said(lines, /^multinic log/)).toMatch(/Applied[^]*add multinic0/);
    expect(await hostFile(cluster, 'worker-1', FILE)).toContain('192.168.100.11/24');
    const [client, server] = (await type('kubectl multinic version')).split('\n');
    expect(server).toBe(`server  ${/^client {2}(.+\)),/.exec(client!)![1]}`);
  }, 400_000);

  test('a second CR', async () => {
    await writeBlock('A second CR', 0, 'second.yaml');
    const lines = await typeBlock('A second CR', 1);
    expect(said(lines, /^kubectl get/)).toMatch(/second/);
    expect(await hostFile(cluster, 'worker-2', FILE)).toContain('192.168.100.12/24');
  }, 400_000);

  test('an edit, and back', async () => {
    const lines = commandsOf((await blocksOf(PAGE, 'An edit, and back'))[0]!);
    expect(lines.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'sed -i',
      'multinic wait',
      'multinic rollback',
      'multinic show',
      'multinic release',
    ]);
    await type(lines.slice(0, 2).join('\n'));
    expect(await firstFile()).toContain('mtu: 1400');
    const asked = stripVTControlCharacters(await type(lines[2]!, 'y'));
    expect(asked).toMatch(/Change 1 node\? \[y\/N\]/);
    await expect.poll(firstFile, { timeout: 60_000 }).toContain('mtu: 1500');
    expect(await type(lines[3]!)).toMatch(/held/i);
    await type(lines[4]!);
    await expect.poll(firstFile, { timeout: 60_000 }).toContain('mtu: 1400');
  }, 400_000);

  test('the next version: here the same, with nothing to do for any node', async () => {
    await type('multinic wait --timeout 5m');
    const tips = await multinic.git('for-each-ref', 'refs/heads');
    const lines = await typeBlock('The next version', 0);
    expect(said(lines, /^multinic status/)).toMatch(/worker-2 .+ Configured/);
    expect(await multinic.git('for-each-ref', 'refs/heads')).toBe(tips);
  }, 400_000);

  test('away again: the node of the deleted CR is clean, and the other one keeps its network', async () => {
    const [away, look, uninstall] = commandsOf((await blocksOf(PAGE, 'Away again'))[0]!);
    await type(away!);
    await expect
      .poll(() => type(look!), { timeout: 90_000, interval: 1_000 })
      .toMatch(/Applied[^]*?remove multinic0/);
    await type(uninstall!);
    console.log(`all lines took ${seconds()} s, with the waits of the tests in between`);
    expect(await hostFile(cluster, 'worker-1', FILE)).toBeUndefined();
    expect(await hostFile(cluster, 'worker-2', FILE)).toContain('192.168.100.12/24');
  }, 400_000);
});
