// Orphans: managed files on the host that the commit does not have, or whose NIC is gone. A run backs each up
// (files/backups.ts keeps five) and removes it.
import type { Files } from '../../network/renderer.ts';
import type { ManagedNic } from '../files/managed-files.ts';

/** A managed file that the run removes, and the reason. */
export interface Orphan {
  readonly path: string;
  readonly why: 'NotInCommit' | 'NicGone';
}

/**
 * @param managed our files on the host, of every renderer
 * @param wanted paths that the run writes or keeps
 * @param committed the commit's files, by path
 */
export function findOrphans(
  managed: readonly ManagedNic[],
  wanted: ReadonlySet<string>,
  committed: Files,
): Orphan[] {
  const paths = managed.flatMap(({ files }) => [...files.keys()]).filter((path) => !wanted.has(path));
  return paths.map((path) => ({ path, why: committed.has(path) ? 'NicGone' : 'NotInCommit' }));
}
