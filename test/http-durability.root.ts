import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { killServers, prepare, startProcess } from './support/http-crash.ts';
import { git, remoteUrl, TOKENS } from './support/http.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-crash-'));
});
afterEach(async () => {
  killServers();
  await rm(folder, { recursive: true, force: true });
});

test('the order of writes: objects, then the refs that name them, and all before the answer', async () => {
  const { dir, copy, next } = await prepare(folder);
  const trace = join(folder, 'trace');
  const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat';
  const { url } = await startProcess(dir, {}, ['strace', '-f', '-y', '-qq', '-e', calls, '-o', trace]);
  const from = (await readFile(trace, 'utf8')).length;
  expect((await git(copy, 'push', remoteUrl(url, TOKENS.write), 'node/worker-1')).code).toBe(0);
  const lines = (await readFile(trace, 'utf8')).slice(from).split('\n');
  const at = (pattern: RegExp, after = 0): number =>
    lines.findIndex((line, index) => index >= after && pattern.test(line));
  const fan = `objects/${next.slice(0, 2)}`;
  const objectSynced = at(/fsync\(\d+<[^>]*tmp_objdir[^>]*>/);
  const objectNamed = at(new RegExp(`(rename|link)\\w*\\(.*${fan}/${next.slice(2)}`));
  const folderSynced = at(new RegExp(`fsync\\(\\d+<[^>]*${fan}>`), objectNamed);
  const refSynced = at(/fsync\(\d+<[^>]*node\/worker-1\.lock>/);
  const refNamed = at(/rename\w*\(.*node\/worker-1\.lock/);
  const refFolderSynced = at(/fsync\(\d+<[^>]*refs\/heads\/node>/, refNamed);
  expect([objectSynced, objectNamed, folderSynced, refNamed, refFolderSynced]).toEqual(
    [objectSynced, objectNamed, folderSynced, refNamed, refFolderSynced].sort((a, b) => a - b),
  );
  expect(Math.min(objectSynced, objectNamed, folderSynced, refSynced)).toBeGreaterThanOrEqual(0);
  expect(refSynced).toBeLessThan(refNamed);
});
