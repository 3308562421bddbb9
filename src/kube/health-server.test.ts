import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { backup, restore } from '../store/care/backup.ts';
import { Store } from '../store/store.ts';
import { storeProblems } from './health-server.ts';

const onFenced = vi.fn();
let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multinic-probes-'));
  onFenced.mockReset();
  store = await Store.open(join(folder, 'store.git'), { onFenced });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

test('a store that was restored meanwhile is noticed by the probe, which ends its controller', async () => {
  expect(await storeProblems(store)).toEqual([]);
  await backup(store.dir, join(folder, 'store.bundle'));
  await restore(join(folder, 'store.bundle'), store.dir, { force: true });
  expect(await storeProblems(store)).toEqual([expect.stringContaining('another controller took over')]);
  expect(onFenced).toHaveBeenCalledOnce();
});

test("a store that is not there cannot be read, and is nobody else's yet", async () => {
  expect(await storeProblems(store)).toEqual([]);
  await rename(store.dir, `${store.dir}.away`);
  expect(await storeProblems(store)).toEqual([expect.stringMatching(/^the store cannot be read/)]);
  await rename(`${store.dir}.away`, store.dir);
  expect(await storeProblems(store)).toEqual([]);
  expect(onFenced).not.toHaveBeenCalled();
});
