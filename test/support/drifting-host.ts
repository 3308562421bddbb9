// Hosts of a local home that drift: edits of the recorded machine, and waits for results of the outcome branch.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { LocalRun, TestHost } from './local.ts';

/** Results on an outcome branch, newest first, without the root commit. */
export async function results(local: LocalRun, node: string): Promise<string[]> {
  const text = await local.git(
    'log',
    '--first-parent',
    '--format=%(trailers:key=Result,valueonly)',
    `outcome/${node}`,
  );
  return text.split('\n').filter(Boolean);
}

/** Waits until the outcome branch has exactly these results, newest first. It runs git only when the branch has moved. */
export async function untilResults(
  local: LocalRun,
  node: string,
  expected: readonly string[],
): Promise<void> {
  let found: string[] = [];
  let tip: string | undefined;
  await local
    .until(`${node} has ${expected.join()}`, async () => {
      const before = tip;
      tip = await looseRef(local, `refs/heads/outcome/${node}`);
      if (tip !== undefined && tip === before) return false;
      found = await results(local, node);
      return found.join() === expected.join();
    })
    .catch((error: unknown) => {
      throw new Error(found.join(), { cause: error });
    });
}

/** Content of the ref's own file; undefined: the ref is packed or missing. */
function looseRef(local: LocalRun, ref: string): Promise<string | undefined> {
  return readFile(join(local.dir, 'store.git', ref), 'utf8').catch(() => undefined);
}

export const mtuOf = (host: TestHost): number => host.links.find(({ name }) => name === 'multinic0')!.mtu;

export const setMtu = (mtu: number) => (host: TestHost) => {
  host.links.find(({ name }) => name === 'multinic0')!.mtu = mtu;
};

export async function host(local: LocalRun, node: string): Promise<TestHost> {
  return parse((await local.hostFile(node, 'host.yaml'))!) as TestHost;
}
