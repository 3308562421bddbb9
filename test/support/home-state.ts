// The parts of a home that must not change while a controller has nothing to do: refs, hosts, runs.

import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalRun } from './local.ts';

export interface HomeState {
  /** Refs to commits; the writer's, which each controller moves, is left out. */
  readonly refs: Readonly<Record<string, string>>;
  /** Files of all hosts: mode and content by path. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly runs: readonly string[];
}

export async function stateOf(local: LocalRun): Promise<HomeState> {
  return {
    refs: await refsOf(local),
    hosts: await filesBelow(join(local.dir, 'nodes')),
    runs: await runsOf(join(local.dir, 'jobs')),
  };
}

export async function refsOf(local: LocalRun): Promise<Record<string, string>> {
  const text = await local.git('for-each-ref', '--format=%(refname) %(objectname)');
  const refs = text.split('\n').map((line) => line.split(' ') as [string, string]);
  return Object.fromEntries(refs.filter(([name]) => name !== 'refs/meta/writer'));
}

async function filesBelow(dir: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { mode } = await stat(path);
    const content = entry.isSymbolicLink()
      ? await readlink(path)
      : entry.isFile()
        ? await readFile(path, 'utf8')
        : '';
    files[path.slice(dir.length + 1)] = `${(mode & 0o7777).toString(8)} ${content}`;
  }
  return files;
}

/** Names of runs that are pending or archived. */
async function runsOf(jobs: string): Promise<string[]> {
  const names = await readdir(jobs, { recursive: true });
  return names.filter((name) => /multinic-agent-[^/]+$/.test(name)).sort();
}
