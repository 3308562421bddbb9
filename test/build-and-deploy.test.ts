// scripts/build-and-deploy.sh with stand-ins for docker, kubectl and helm, in a repository of its own.
import { execa } from 'execa';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-deploy-'));
  for (const folder of ['scripts', 'bin']) await mkdir(join(dir, folder));
  await copyFile(join(ROOT, 'package.json'), join(dir, 'package.json'));
  await copyFile(join(ROOT, 'scripts/build-and-deploy.sh'), join(dir, 'scripts/build-and-deploy.sh'));
  for (const name of ['docker', 'kubectl', 'helm', 'load']) {
    const file = join(dir, 'bin', name);
    await writeFile(file, `#!/bin/sh\necho "${name} $*" >> "${dir}/../${dir.split('/').pop()}.calls"\n`);
    await chmod(file, 0o755);
  }
  await git('init', '-q');
  await commit('first');
});

afterEach(async () => {
  await rm(dir, { recursive: true });
  await rm(`${dir}.calls`, { force: true });
});

function git(...args: readonly string[]) {
  const person = ['-c', 'user.name=a', '-c', 'user.email=a@example.org'];
  return execa('git', [...person, ...args], { cwd: dir });
}

async function commit(what: string): Promise<string> {
  await writeFile(join(dir, 'file'), what);
  await git('add', '-A');
  await git('commit', '-q', '-m', what);
  return (await git('rev-parse', '--short=10', 'HEAD')).stdout;
}

/** @returns the calls of the programs */
async function deploy(...args: readonly string[]): Promise<string> {
  await rm(`${dir}.calls`, { force: true });
  const env = { PATH: `${join(dir, 'bin')}:${process.env['PATH']}` };
  await execa('bash', [join(dir, 'scripts/build-and-deploy.sh'), '--type', 'dev', ...args], { env });
  return readFile(`${dir}.calls`, 'utf8');
}

function tagOf(calls: string): string | undefined {
  return /controller\.image\.tag=(\S+)/.exec(calls)?.[1];
}

test('each commit gets its own tag, which is built and deployed', async () => {
  const calls = await deploy();
  const first = tagOf(calls)!;
  expect(first).toMatch(/^\d+\.\d+\.\d+-[0-9a-f]{10}$/);
  expect(calls).toContain(`--tag multinic-agent:${first}`);
  expect(tagOf(await deploy())).toBe(first);
  const second = await commit('second');
  expect(tagOf(await deploy())).toBe(first.replace(/[0-9a-f]{10}$/, second));
});

test('uncommitted changes get a new tag each time', async () => {
  await writeFile(join(dir, 'file'), 'edited');
  expect(tagOf(await deploy())).toMatch(/-dirty-\d{14}$/);
});

test('the image goes to the registry, or to the nodes if there is no registry', async () => {
  const pushed = await deploy('--registry', 'registry.example.org/infra', '--tag', 'v1');
  expect(pushed).toContain('docker push registry.example.org/infra/multinic-agent:v1');
  const loaded = await deploy('--load', 'load image', '--tag', 'v1');
  expect(loaded).toMatch(/docker save --output (\S+) multinic-agent:v1\nload image \1\n/);
  expect(loaded).not.toContain('push');
});
