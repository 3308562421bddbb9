import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile, chmod, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { Store } from '../src/store/store.ts';
import { inFolder, leftovers, startWriter } from './support/store-crash.ts';
import { codeOf, valuesOf, VALUE_REFS, writeValue } from './support/store-values.ts';

interface Call {
  readonly name: string;
  /** First path of the call: the file that is synced, renamed or linked. */
  readonly from: string;
  readonly to: string;
}

/** File-system calls of a trace in their order, paths relative to the store; `say` is a line of the writer's. */
function parseTrace(text: string, dir: string): Call[] {
  const calls: Call[] = [];
  for (const line of text.split('\n')) {
    const match = /^\d+ +(\w+)\((.*)/.exec(line);
    if (match === null) continue;
    const [, name = '', rest = ''] = match;
    if (name === 'write') {
      if (rest.includes('acknowledged')) calls.push({ name: 'say', from: '', to: '' });
      continue;
    }
    const paths = [...rest.matchAll(/<([^>]+)>|"([^"]+)"/g)].map(([, fd, text]) => fd ?? text ?? '');
    const inStore = paths
      .map((path) => path.replace(`${dir}/`, '').replace(/^\.\//, ''))
      .filter((path) => path !== '');
    // `rename` of a relative path: git runs in the store.
    calls.push({ name, from: inStore[0] ?? '', to: inStore[1] ?? '' });
  }
  return calls;
}

test('a write is acknowledged after fsyncs of objects, their folders, refs and their folders, in this order', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const trace = join(folder, 'trace');
    const writer = startWriter(dir, 3, {}, [
      'strace',
      '-f',
      '-y',
      '-s',
      '200',
      '-o',
      trace,
      '-e',
      'trace=fsync,fdatasync,rename,link,write',
    ]);
    expect((await writer.end).code).toBe(0);
    const calls = parseTrace(await readFile(trace, 'utf8'), dir);
    const acknowledged = calls.flatMap(({ name }, index) => (name === 'say' ? [index] : []));
    expect(acknowledged).toHaveLength(3);
    const [, second = 0, third = 0] = acknowledged;
    const batch = calls.slice(second + 1, third);
    const synced = (path: string): number[] =>
      batch.flatMap(({ name, from }, index) => (name === 'fsync' && from === path ? [index] : []));

    const refs = batch.flatMap(({ name, from, to }, index) =>
      name === 'rename' && from.endsWith('.lock') ? [{ index, from, to }] : [],
    );
    expect(refs.map(({ to }) => to).sort()).toEqual([...VALUE_REFS].sort());
    for (const { index, from, to } of refs) {
      expect(
        synced(from).some((at) => at < index),
        `${from} before its rename`,
      ).toBe(true);
      expect(
        synced(join(dir, dirname(to)))
          .concat(synced(dirname(to)))
          .some((at) => at > index),
        `folder of ${to}`,
      ).toBe(true);
    }

    const firstMove = Math.min(...refs.map(({ index }) => index));
    const objects = batch.flatMap(({ name, from, to }, index) =>
      (name === 'rename' || name === 'link') && /^objects\/[0-9a-f]{2}\/[0-9a-f]{38}$/.test(to)
        ? [{ index, from, to }]
        : [],
    );
    // A commit, its root tree, etc, netplan and two files, for each ref; `value` is one and the same.
    expect(objects).toHaveLength(VALUE_REFS.length * 5 + 1);
    for (const { index, from, to } of objects) {
      expect(
        synced(from).some((at) => at < index),
        `${to} before it has its name`,
      ).toBe(true);
      const folderSynced = synced(dirname(to)).some((at) => at > index && at < firstMove);
      expect(folderSynced, `folder of ${to} before the first ref moves`).toBe(true);
    }
  });
});

const MIB = 1024 * 1024;

/** A file system that is really full is the only way to see what git does on one. */
async function onSmallDisk(check: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=100m', 'multinic-test', disk]);
    } catch (error) {
      throw new Error('the full-disk tests mount a small tmpfs: run them as root', { cause: error });
    }
    try {
      await check(disk);
    } finally {
      execFileSync('umount', ['--lazy', disk]);
    }
  });
}

test('below 64 MiB nothing is written, and writing goes on by itself when there is room', async () => {
  await onSmallDisk(async (folder) => {
    const store = await Store.open(join(folder, 'store.git'));
    await writeValue(store, 1);
    await writeFile(join(folder, 'filler'), Buffer.alloc(50 * MIB));
    expect(await writeValue(store, 2).catch(codeOf)).toBe('DiskFull');
    expect(await leftovers(store.dir)).toEqual([]);
    expect(new Set(await valuesOf(store.reader))).toEqual(new Set([1]));
    await rm(join(folder, 'filler'));
    await writeValue(store, 2);
    expect(new Set(await valuesOf(store.reader))).toEqual(new Set([2]));
    await store.fsck();
    await store.close();
  });
});

test.each(['fast-import', 'update-ref'])('a disk that fills up under git %s', async (command) => {
  await onSmallDisk(async (folder) => {
    // Someone else fills the disk after our look at it: a `git` that does so just before it runs.
    const bin = join(folder, 'bin');
    const path = process.env['PATH'] ?? '';
    await mkdir(bin);
    await writeFile(
      join(bin, 'git'),
      `#!/bin/sh
case "$*" in *${command}*)
  if [ -e '${folder}/armed' ]; then rm '${folder}/armed'; cat /dev/zero >'${folder}/filler' 2>/dev/null; fi ;;
esac
PATH='${path}' exec git "$@"
`,
    );
    await chmod(join(bin, 'git'), 0o755);
    const store = await Store.open(join(folder, 'store.git'));
    try {
      await writeValue(store, 1);
      process.env['PATH'] = `${bin}:${path}`;
      await writeFile(join(folder, 'armed'), '');
      expect(await writeValue(store, 2).catch(codeOf)).toBe('DiskFull');
      expect(await leftovers(store.dir)).toEqual([]);
      expect(await writeValue(store, 2).catch(codeOf)).toBe('DiskFull');
      expect(new Set(await valuesOf(store.reader))).toEqual(new Set([1]));
      await store.fsck();
      await rm(join(folder, 'filler'));
      await writeValue(store, 2);
      expect(new Set(await valuesOf(store.reader))).toEqual(new Set([2]));
      await store.fsck();
    } finally {
      process.env['PATH'] = path;
      await store.close();
    }
  });
});
