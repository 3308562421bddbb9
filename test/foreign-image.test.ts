// An image that is put together for another architecture, from archives of this one.
import { execa } from 'execa';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assembleImage } from '../scripts/release/foreign-image.ts';
import { layerDigest, packLayer, writeArchive } from './cluster/image.ts';

const NAME = 'registry.example.org/multinic-agent:1.0.0';
const STEPS = ['base', '/bin/sh -c apt-get update && apt-get install git', 'COPY dist', 'RUN ln'];
const SETTINGS = { User: '1000:1000', Entrypoint: ['multinic'], Labels: { a: 'b' } };

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-foreign-test-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function layer(name: string, content: string | Buffer): Promise<string> {
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, `${name}.txt`), content);
  await packLayer(join(dir, name), join(dir, `${name}.tar`));
  return join(dir, `${name}.tar`);
}

/** An archive with a layer for each step, whose third layer has this content. */
async function native(content: string | Buffer, steps: readonly string[] = STEPS): Promise<string> {
  const layers = await Promise.all([
    layer('base', 'x86'),
    layer('packages', 'x86'),
    layer('bundle', content),
    layer('links', 'links'),
  ]);
  const archive = join(dir, 'native.tar');
  await writeArchive(archive, NAME, layers, {
    architecture: 'amd64',
    config: SETTINGS,
    history: [...steps.map((created_by) => ({ created_by })), { created_by: 'LABEL a=b', empty_layer: true }],
  });
  return archive;
}

const json = async <T>(archive: string, path: string): Promise<T> =>
  JSON.parse((await execa('tar', ['-xOf', archive, path])).stdout) as T;

test('has the other base, the upper layers as they are, and the same name and settings', async () => {
  const archive = join(dir, 'assembled.tar');
  const base = await layer('foreign', 'aarch64');
  await assembleImage({ native: await native('#!/usr/bin/env node'), base, architecture: 'arm64', archive });
  const [image] = await json<{ Config: string; RepoTags: string[]; Layers: string[] }[]>(
    archive,
    'manifest.json',
  );
  expect(image!.RepoTags).toEqual([NAME]);
  const made = await json<{ rootfs: { diff_ids: string[] } }>(archive, image!.Config);
  expect(made).toMatchObject({ architecture: 'arm64', os: 'linux', config: SETTINGS });
  const wanted = ['foreign.tar', 'bundle.tar', 'links.tar'].map((name) => join(dir, name));
  expect(made.rootfs.diff_ids).toEqual(await Promise.all(wanted.map(layerDigest)));
  for (const [index, name] of image!.Layers.entries()) {
    const { stdout } = await execa('tar', ['-xOf', archive, name], { encoding: 'buffer' });
    expect(Buffer.from(stdout).equals(await readFile(wanted[index]!))).toBe(true);
  }
});

test('is refused if an upper layer has a program, or if the second layer is not that of the packages', async () => {
  const base = await layer('foreign', 'aarch64');
  const rest = { base, architecture: 'arm64', archive: join(dir, 'assembled.tar') };
  const program = await native(Buffer.from('\u007fELF and more', 'latin1'));
  await expect(assembleImage({ ...rest, native: program })).rejects.toThrow(
    '/bundle.txt is a program of this architecture',
  );
  for (const name of ['base', 'packages', 'bundle', 'links']) await rm(join(dir, name), { recursive: true });
  const other = await native('text', STEPS.toReversed());
  await expect(assembleImage({ ...rest, native: other })).rejects.toThrow('not that of the packages');
});
