import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { initLocalHome, openLocalHome } from './home.ts';

const FIXTURE = join(import.meta.dirname, '../../fixtures/local');
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'multinic-home-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('a new home', () => {
  test.each(['new', '.'])('is made whole in %s', async (name) => {
    const home = join(dir, name);
    expect(await initLocalHome(home, FIXTURE)).toBe(true);
    expect((await readdir(home)).toSorted()).toEqual(['crs', 'inventory.yaml', 'nodes']);
    expect(await initLocalHome(home, FIXTURE)).toBe(false);
    expect((await readdir(dir)).filter((entry) => entry.startsWith('.'))).toEqual([]);
  });

  test('takes nobody else’s folder', async () => {
    await writeFile(join(dir, 'thesis.txt'), '');
    await expect(initLocalHome(dir, FIXTURE)).rejects.toMatchObject({ code: 'NotEmpty' });
    expect(await readdir(dir)).toEqual(['thesis.txt']);
  });
});

describe('an open home', () => {
  test('has one controller', async () => {
    await initLocalHome(dir, FIXTURE);
    const first = await openLocalHome(dir);
    const refused = await openLocalHome(dir).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'ControllerRunning',
      message: expect.stringMatching(new RegExp(`pid ${process.pid}, since .*; stop it`)) as string,
    });
    await first.close();
    await (await openLocalHome(dir)).close();
  });

  test('needs flock, and says so', async () => {
    await initLocalHome(dir, FIXTURE);
    vi.stubEnv('PATH', '/nowhere');
    await expect(openLocalHome(dir)).rejects.toThrow(/flock does not start .*install flock \(util-linux\)/);
    vi.unstubAllEnvs();
    await (await openLocalHome(dir)).close();
  });

  test('is not any folder', async () => {
    await mkdir(join(dir, 'crs'));
    await expect(openLocalHome(dir)).rejects.toThrow(/has no inventory\.yaml; .*--init fixtures\/local/);
  });

  test('that cannot be opened leaves no lock behind', async () => {
    await initLocalHome(dir, FIXTURE);
    await writeFile(join(dir, 'tokens.yaml'), 'x');
    await expect(openLocalHome(dir)).rejects.toMatchObject({ code: 'InvalidTokens' });
    await expect(openLocalHome(dir)).rejects.toMatchObject({ code: 'InvalidTokens' });
  });
});
