// A copy of fixtures/local with three configured nodes. The program makes it once in a run of the tests, and each test copies it.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import type { TestProject } from 'vitest/node';

const ROOT = resolve(import.meta.dirname, '../..');

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the home; no controller works on it. */
    configuredHome: string;
  }
}

/** Runs after the build. @returns the function that removes the home */
export default async function configuredHome({ provide }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-home-'));
  const home = join(folder, 'home');
  await cp(join(ROOT, 'fixtures/local'), home, { recursive: true });
  await execa(process.execPath, [join(ROOT, 'dist/multinic.js'), 'local', home, '--once']);
  provide('configuredHome', home);
  return () => rm(folder, { recursive: true });
}
