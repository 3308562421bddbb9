// A cache, outside the repository, of builds that take minutes and depend only on their recipe.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { withLock } from './lock.ts';

const BUILD_LIMIT_MS = 45 * 60_000;

/** Set while builds are only listed: collects their names. */
const survey = new AsyncLocalStorage<Set<string>>();

export type Log = (line: string) => void;

export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'multinic-agent');
}

/**
 * The folder that `build` fills now or filled earlier. Two runs never build the same thing twice, and what
 * a killed run left half-built is thrown away.
 * @param recipe everything that the result depends on; another recipe is another folder
 * @returns the folder's path; it is read-only by agreement
 */
export async function cached(
  name: string,
  recipe: readonly string[],
  log: Log,
  build: (dir: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(recipe.join('\0')).digest('hex').slice(0, 12);
  const path = join(cacheRoot(), `${name}-${hash}`);
  if (await exists(path)) return path;
  const missing = survey.getStore();
  if (missing !== undefined) {
    missing.add(name);
    return path;
  }

  await mkdir(cacheRoot(), { recursive: true });
  const onWait = () => log(`${name}: another run is building it; waiting`);
  return withLock(`${path}.lock`, { timeoutMs: BUILD_LIMIT_MS, onWait }, async () => {
    if (await exists(path)) return path;
    const start = performance.now();
    log(`${name}: building`);
    const partial = `${path}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true, mode: 0o755 });
    await build(partial);
    await rename(partial, path);
    log(`${name}: built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    return path;
  });
}

/** @returns names of what `work` would build; nothing is built, so what it returns may not be there */
export async function missingBuilds(work: () => Promise<unknown>): Promise<string[]> {
  const missing = new Set<string>();
  await survey.run(missing, work);
  return [...missing];
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
