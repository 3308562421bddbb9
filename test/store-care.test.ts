// Maintenance, backup and restore of a whole store.

import type { Oid } from '../src/api/oid.ts';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { expect, test, vi } from 'vitest';
import { FolderSync } from '../src/store/git/durability.ts';
import { Batch } from '../src/store/model/batch.ts';
import { backup, restore } from '../src/store/care/backup.ts';
import { maintain, Maintenance } from '../src/store/care/maintenance.ts';
import { WRITER_REF } from '../src/store/model/store-refs.ts';
import { openReader } from '../src/store/reader.ts';
import { Store } from '../src/store/store.ts';
import { inFolder, leftovers } from './support/store-crash.ts';
import { codeOf, valuesOf, VALUE_REFS, writeValue } from './support/store-values.ts';

async function inStore(check: (store: Store, folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const store = await Store.open(join(folder, 'store.git'));
    try {
      await check(store, folder);
    } finally {
      await store.close();
    }
  });
}

function looseObjects(dir: string): number {
  const counts = execFileSync('git', ['-C', dir, 'count-objects', '-v'], { encoding: 'utf8' });
  return Number(/^count: (\d+)$/m.exec(counts)?.[1]);
}

function unreachable(dir: string): string[] {
  const found = execFileSync('git', ['-C', dir, 'fsck', '--unreachable', '--no-progress', '--no-dangling'], {
    encoding: 'utf8',
  });
  return found.split('\n').filter((line) => line.startsWith('unreachable'));
}

test('a refused write leaves no objects, or maintenance removes them, also during a push', async () => {
  await inStore(async (store) => {
    const { dir } = store;
    await writeValue(store, 1);
    await maintain(store);
    expect(store.hasUnreferenced).toBe(false);
    // A write that is refused before it begins writes no object.
    const [ref = '', other = ''] = VALUE_REFS;
    const tips = await store.reader.refs('refs/heads/');
    const batchFrom = (from: Oid): Batch => {
      const batch = new Batch();
      for (const each of [ref, other]) {
        const commit = batch.commit({
          parents: [tips.get(each)!],
          files: new Map([['value', 'late']]),
          author: { name: 'writer', email: '' },
          subject: 'late',
          trailers: [],
        });
        batch.move(each, commit, each === ref ? from : tips.get(each)!);
      }
      return batch;
    };
    const main = tips.get('refs/heads/main')!;
    await expect(store.write(batchFrom(main))).rejects.toMatchObject({
      code: 'LostRace',
      data: { refs: [ref] },
    });
    expect(unreachable(dir)).toEqual([]);

    // One ref moves after the objects are written: the other ref is written all the same.
    const sync = vi.spyOn(FolderSync.prototype, 'objects').mockImplementationOnce(async () => {
      const tip = tips.get(ref)!;
      const identity = ['-c', 'user.name=x', '-c', 'user.email=x@example.org'];
      const made = execFileSync(
        'git',
        ['-C', dir, ...identity, 'commit-tree', `${tip}^{tree}`, '-p', tip, '-m', 'first'],
        {
          encoding: 'utf8',
        },
      );
      execFileSync('git', ['-C', dir, 'update-ref', ref, made.trim()]);
    });
    const { rejected, oids } = await store.writeEach(batchFrom(tips.get(ref)!));
    sync.mockRestore();
    expect(rejected).toEqual([ref]);
    expect(await store.reader.ref(other)).toBe(oids[1]);
    expect(store.hasUnreferenced).toBe(true);
    expect(unreachable(dir).length).toBeGreaterThan(0);

    // During a push, maintenance does not wait and removes none of its objects.
    const push = spawn('flock', ['-s', store.lockFile, 'sh', '-c', 'echo; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(push.stdout, 'data');
    await maintain(store);
    expect(unreachable(dir).length).toBeGreaterThan(0);
    push.stdin.end();
    await once(push, 'close');
    await maintain(store);
    expect(unreachable(dir)).toEqual([]);
    expect(store.hasUnreferenced).toBe(false);
    await store.fsck();
  });
});

test('maintenance packs everything and prunes unreachable objects, and an open reader goes on', async () => {
  await inStore(async (store, folder) => {
    const { dir } = store;
    const reader = openReader(dir);
    for (let value = 1; value <= 5; value += 1) await writeValue(store, value);
    const tips = await Promise.all(VALUE_REFS.map(async (ref) => (await reader.ref(ref))!));
    await writeFile(join(folder, 'lost'), 'lost\n');
    execFileSync('git', ['-C', dir, 'hash-object', '-w', join(folder, 'lost')]);
    expect(unreachable(dir)).toHaveLength(1);
    expect(looseObjects(dir)).toBeGreaterThan(0);

    await maintain(store);
    expect(looseObjects(dir)).toBe(0);
    expect(existsSync(join(dir, VALUE_REFS[0] ?? ''))).toBe(false);
    expect(existsSync(join(dir, 'objects/pack/multi-pack-index'))).toBe(true);
    expect(await leftovers(dir)).toEqual([]);
    expect(new Set(await valuesOf(reader))).toEqual(new Set([5]));
    for (const tip of tips) expect(await reader.log(tip)).toHaveLength(5);
    expect(unreachable(dir)).toEqual([]);

    for (let value = 6; value <= 8; value += 1) await writeValue(store, value);
    const writes = writeValue(store, 9).then(() => writeValue(store, 10));
    await Promise.all([maintain(store), writes, valuesOf(reader)]);
    expect(new Set(await valuesOf(reader))).toEqual(new Set([10]));
    await store.fsck();
    await reader.close();
  });
});

test('maintenance is due after a number of commits, also if the process before made them', async () => {
  await inStore(async (store) => {
    const maintenance = new Maintenance(store, 2 * VALUE_REFS.length);
    expect(await maintenance.runIfDue()).toBe(false);
    await writeValue(store, 1);
    expect(await maintenance.due()).toBe(false);
    await writeValue(store, 2);
    expect(await maintenance.due()).toBe(true);
    expect(await new Maintenance(store, VALUE_REFS.length).due()).toBe(true);
    expect(await maintenance.runIfDue()).toBe(true);
    expect(await maintenance.due()).toBe(false);
  });
});

test('maintenance does not wait for a push that holds the lock', async () => {
  await inStore(async (store) => {
    await writeValue(store, 1);
    // A push holds the lock while its audit record waits for its turn among the writes.
    const push = spawn('flock', ['-s', '-F', store.lockFile, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    push.stdin.write('holding\n');
    await new Promise((resolve) => push.stdout.once('data', resolve));
    try {
      await Promise.all([maintain(store), writeValue(store, 2)]);
      expect(new Set(await valuesOf(store.reader))).toEqual(new Set([2]));
      expect(looseObjects(store.dir)).toBeLessThan(VALUE_REFS.length * 6);
    } finally {
      push.stdin.end();
    }
  });
});

test('a backup restores every ref and object into a new folder', async () => {
  await inStore(async (store, folder) => {
    for (let value = 1; value <= 3; value += 1) await writeValue(store, value);
    const file = join(folder, 'store.bundle');
    const saved = await backup(store.dir, file);
    expect(saved).toEqual(await store.reader.refs('refs/'));
    execFileSync('git', ['bundle', 'verify', '--quiet', file], { cwd: store.dir, stdio: 'ignore' });

    const target = join(folder, 'restored.git');
    expect(await restore(file, target)).toBeUndefined();
    const restored = await Store.open(target);
    try {
      const refs = await restored.reader.refs('refs/');
      saved.delete('refs/meta/writer');
      refs.delete('refs/meta/writer');
      expect(refs).toEqual(saved);
      expect(await valuesOf(restored.reader)).toEqual(await valuesOf(store.reader));
      expect(await readFile(join(target, 'config'), 'utf8')).toBe(
        await readFile(join(store.dir, 'config'), 'utf8'),
      );
      await writeValue(restored, 4);
      await restored.fsck();
    } finally {
      await restored.close();
    }
    expect(await leftovers(target)).toEqual([]);
  });
});

/** Counts the processes that some work starts. */
async function processesOf(work: () => Promise<unknown>): Promise<number> {
  let started = 0;
  const count = (): number => (started += 1);
  subscribe('child_process', count);
  try {
    await work();
  } finally {
    unsubscribe('child_process', count);
  }
  return started;
}

test('after maintenance a look at the fence starts no process', async () => {
  await inStore(async (store) => {
    const looks = async (): Promise<void> => {
      for (let look = 0; look < 5; look += 1) await store.expectFence();
    };
    expect(await processesOf(looks)).toBe(0);
    for (const value of [1, 2]) {
      await writeValue(store, value);
      await maintain(store);
      expect(existsSync(join(store.dir, WRITER_REF))).toBe(false);
      // git reads each packed-refs once.
      expect(await processesOf(looks)).toBe(1);
      expect(await processesOf(looks)).toBe(0);
    }
  });
});

/** Deleted packs that a process has open or mapped. */
async function deletedPacks(pid: number): Promise<string[]> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
  const links = (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`));
  const files = [...maps.split('\n'), ...(await Promise.all(links))];
  return files.filter((file) => /\.(pack|idx) \(deleted\)$/.test(file));
}

test('after maintenance the reader lets go of deleted packs, and reads under way have their answers', async () => {
  await inStore(async (store) => {
    const readers: ChildProcess[] = [];
    const note = (message: unknown): void =>
      void readers.push((message as { readonly process: ChildProcess }).process);
    subscribe('child_process', note);
    const reader = (): ChildProcess =>
      readers.findLast(({ spawnargs, exitCode }) => spawnargs.includes('cat-file') && exitCode === null)!;
    try {
      for (const value of [1, 2, 3]) {
        await writeValue(store, value);
        await maintain(store);
        // Another process reads from the new packs.
        expect(new Set(await valuesOf(store.reader))).toEqual(new Set([value]));
        const before = reader().pid!;
        const [now] = await Promise.all([valuesOf(store.reader), maintain(store), valuesOf(store.reader)]);
        expect(new Set(now)).toEqual(new Set([value]));
        expect(new Set(await valuesOf(store.reader))).toEqual(new Set([value]));
        expect(reader().pid).not.toBe(before);
        expect(await deletedPacks(reader().pid!)).toEqual([]);
        await vi.waitFor(() => expect(existsSync(`/proc/${before}/exe`)).toBe(false));
      }
    } finally {
      unsubscribe('child_process', note);
    }
  });
});

test.each([false, true])(
  'a controller whose fence is packed notices another one, also when that one has packed its own: %s',
  async (packs) => {
    await inStore(async (store) => {
      await writeValue(store, 1);
      await maintain(store);
      await store.expectFence();
      const next = await Store.open(store.dir);
      try {
        await writeValue(next, 2);
        if (packs) await maintain(next);
        expect(existsSync(join(store.dir, WRITER_REF))).toBe(!packs);
        expect(await store.expectFence().catch(codeOf)).toBe('Fenced');
        await expect(next.expectFence()).resolves.toBeUndefined();
      } finally {
        await next.close();
      }
    });
  },
);

test('a restore replaces a store only with --force, and fences a controller that still runs on it', async () => {
  await inStore(async (store, folder) => {
    const file = join(folder, 'store.bundle');
    await writeValue(store, 1);
    await backup(store.dir, file);
    await writeValue(store, 2);
    expect(await restore(file, store.dir).catch(codeOf)).toBe('StoreExists');
    expect(new Set(await valuesOf(store.reader))).toEqual(new Set([2]));

    const replaced = (await restore(file, store.dir, { force: true, clock: () => 0 })) ?? '';
    expect(replaced).toBe(`${store.dir}.replaced-19700101T000000Z`);
    expect(await store.expectFence().catch(codeOf)).toBe('Fenced');
    expect(await writeValue(store, 3).catch(codeOf)).toBe('Fenced');
    const [now, before] = [openReader(store.dir), openReader(replaced)];
    expect(new Set(await valuesOf(now))).toEqual(new Set([1]));
    expect(new Set(await valuesOf(before))).toEqual(new Set([2]));
    await Promise.all([now.close(), before.close()]);
  });
});

test('a restore that is killed before its end leaves the old store, and the next restore succeeds', async () => {
  await inStore(async (store, folder) => {
    const file = join(folder, 'store.bundle');
    await writeValue(store, 1);
    await backup(store.dir, file);
    await writeValue(store, 2);
    const module = new URL('../src/store/care/backup.ts', import.meta.url).href;
    const script = `const { restore } = await import(${JSON.stringify(module)});
      await restore(${JSON.stringify(file)}, ${JSON.stringify(store.dir)}, { force: true });`;
    const killed = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, MULTINIC_KILL_AT: 'restore.unpacked' },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(existsSync(`${store.dir}.restoring`)).toBe(true);
    await store.expectFence();
    await writeValue(store, 3);

    await restore(file, store.dir, { force: true });
    expect(existsSync(`${store.dir}.restoring`)).toBe(false);
    const reader = openReader(store.dir);
    expect(new Set(await valuesOf(reader))).toEqual(new Set([1]));
    await reader.close();
  });
});

test('a damaged backup is refused and leaves the store alone; a failed backup leaves the file alone', async () => {
  await inStore(async (store, folder) => {
    const file = join(folder, 'store.bundle');
    await writeValue(store, 1);
    await backup(store.dir, file);
    const bytes = await readFile(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 60) ^ 0xff, bytes.length - 60);
    const damaged = join(folder, 'damaged.bundle');
    await writeFile(damaged, bytes);
    expect(await restore(damaged, store.dir, { force: true }).catch(codeOf)).toBe('InvalidBackup');
    expect(await restore(join(folder, 'none'), join(folder, 'new.git')).catch(codeOf)).toBe('InvalidBackup');
    expect(existsSync(join(folder, 'new.git'))).toBe(false);
    expect(existsSync(`${store.dir}.restoring`)).toBe(false);
    expect(new Set(await valuesOf(store.reader))).toEqual(new Set([1]));
    await store.expectFence();

    expect(await backup(folder, file).catch(codeOf)).toBe('NoStore');
    await restore(file, join(folder, 'still-good.git'));
  });
});

test('fsck names a store that lost an object', async () => {
  await inStore(async (store) => {
    await writeValue(store, 1);
    await store.fsck();
    const tip = (await store.reader.ref(VALUE_REFS[0]!))!;
    const { tree } = await store.reader.commit(tip);
    execFileSync('rm', [join(store.dir, 'objects', tree.slice(0, 2), tree.slice(2))]);
    expect(await store.fsck().catch(codeOf)).toBe('Corrupt');
  });
});
