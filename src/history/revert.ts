// Refuses a revert that changes interfaces which the reverted commit did not change. git may take two nearly equal
// files for a rename, and then merges the revert into the wrong file without a conflict.

import { isDeepStrictEqual } from 'node:util';
import { MultinicError } from '../api/errors.ts';
import type { Network } from '../network/interface.ts';
import { readTree } from '../network/tree.ts';
import type { Mac } from '../network/mac.ts';
import { MAX_COMMIT_BYTES } from '../store/model/tree-bounds.ts';
import type { Commit, Oid, Reader } from '../store/model/store-port.ts';
import { PUSHED_TREE } from './pushed-files.ts';

const REVERTS = /\bThis reverts commit ([0-9a-f]{7,40})\b/g;

/**
 * Refuses a revert that changes interfaces which the reverted commits did not change.
 * @throws MultinicError `StrayRevert`
 */
export async function refuseStrayRevert(
  objects: Reader,
  node: string,
  commit: Commit,
  before: Network,
  after: Network,
): Promise<void> {
  const targets = [...`${commit.subject}\n${commit.body}`.matchAll(REVERTS)].map(([, oid = '']) => oid);
  const named = new Set<Mac>();
  for (const target of targets) {
    const macs = await changedBy(objects, target);
    // A commit that is missing or cannot be read proves nothing.
    if (macs === undefined) return;
    for (const mac of macs) named.add(mac);
  }
  const stray = targets.length === 0 ? [] : changed(before, after).filter((mac) => !named.has(mac));
  if (stray.length === 0) return;
  const nics = stray.map((mac) => nameOf(mac, before, after)).join(' and ');
  const parent = `${(targets[0] ?? '').slice(0, 10)}~`;
  throw new MultinicError(
    'StrayRevert',
    `${commit.oid.slice(0, 10)} says that it reverts ${targets.map((oid) => oid.slice(0, 10)).join(' and ')}, and changes ${nics} besides, which that did not: git took one interface's file for the other's. Use git revert --strategy=recursive -X no-renames, or multinic rollback ${node} --to ${parent}`,
    { data: { node, commit: commit.oid, macs: stray } },
  );
}

/** MACs of the interfaces that a commit changed; undefined when its trees cannot be read. */
async function changedBy(objects: Reader, digits: string): Promise<Mac[] | undefined> {
  try {
    const found = await objects.resolve(digits);
    if (((await objects.head(found))?.size ?? Infinity) > MAX_COMMIT_BYTES) return undefined;
    const { oid, parents } = await objects.commit(found);
    const before = parents[0] === undefined ? [] : await networkOf(objects, parents[0]);
    return changed(before, await networkOf(objects, oid));
  } catch (error) {
    if (error instanceof MultinicError) return undefined;
    throw error;
  }
}

async function networkOf(objects: Reader, commit: Oid): Promise<Network> {
  return readTree(await objects.files(commit, '', PUSHED_TREE)).network;
}

function changed(before: Network, after: Network): Mac[] {
  const was = new Map(before.map((nic) => [nic.mac, nic]));
  const is = new Map(after.map((nic) => [nic.mac, nic]));
  return [...new Set([...was.keys(), ...is.keys()])].filter(
    (mac) => !isDeepStrictEqual(was.get(mac), is.get(mac)),
  );
}

function nameOf(mac: Mac, before: Network, after: Network): string {
  const nic = [...after, ...before].find((each) => each.mac === mac);
  return `${nic?.name ?? 'an interface'} (${mac})`;
}
