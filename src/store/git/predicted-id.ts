// Computes the id of a commit before git writes the commit, so that other commits of the same batch can name it.

import { MultinicError } from '../../api/errors.ts';
import type { Oid } from '../../api/oid.ts';
import { FOLDER, hashObject, hashTree, type FolderItem } from '../../network/git-object.ts';
import type { Commit, Mark, NewCommit, Reader } from '../model/store-port.ts';
import { TREE_MODE } from '../model/objects.ts';
import { commitText, isMark, RECORDED_MODE } from './fast-import.ts';

/** Contents of changed files by their path below a folder; null: removed. */
type Changes = ReadonlyMap<string, string | { readonly blob: Oid } | null>;

/** Marks of the commits that other commits of a batch name in their trailers. */
export function namedMarks(commits: readonly NewCommit[]): readonly Mark[] {
  const marks = commits.flatMap(({ trailers }) =>
    trailers.flatMap(([, value]) => (typeof value === 'string' ? [] : [value.mark])),
  );
  return [...new Set(marks)].map((mark) => ({ mark }));
}

/**
 * Computes the id that git will give to a commit of a batch. Reads the folders on the way to the changed files only.
 * @param time committer time, in seconds
 * @throws MultinicError `InvalidBatch` if a parent has no id yet
 */
export async function predictId(
  reader: Pick<Reader, 'commit' | 'folder'>,
  commit: NewCommit,
  time: number,
): Promise<Oid> {
  const parents: readonly Commit[] = await Promise.all(
    commit.parents.map((parent) => {
      if (!isMark(parent)) return reader.commit(parent);
      throw new MultinicError(
        'InvalidBatch',
        'a commit that builds on a commit of its own batch cannot be named in a trailer; name an earlier one',
      );
    }),
  );
  const start = commit.replace === true ? undefined : parents[0]?.tree;
  const tree = (await treeAfter(reader, start, commit.files)) ?? hashTree([]);
  const header = [`tree ${tree.toString('hex')}`, ...parents.map(({ oid }) => `parent ${oid}`)].join('\n');
  const text = `${header}\n${commitText(commit, time, [])}`;
  return hashObject('commit', Buffer.from(text)).toString('hex') as Oid;
}

/** @returns undefined: nothing is left, and git stores no empty folder */
async function treeAfter(
  reader: Pick<Reader, 'folder'>,
  tree: Oid | undefined,
  changes: Changes,
): Promise<Buffer | undefined> {
  const items = new Map<string, FolderItem>();
  for (const { mode, name, oid } of tree === undefined ? [] : await reader.folder(tree, ''))
    items.set(name, { mode: mode === TREE_MODE ? FOLDER : mode, name, oid: Buffer.from(oid, 'hex') });
  for (const [name, below] of byFirstName(changes)) {
    const item = await itemAfter(reader, name, items.get(name), below);
    if (item === undefined) items.delete(name);
    else items.set(name, item);
  }
  return items.size === 0 ? undefined : hashTree([...items.values()]);
}

async function itemAfter(
  reader: Pick<Reader, 'folder'>,
  name: string,
  before: FolderItem | undefined,
  changes: Changes,
): Promise<FolderItem | undefined> {
  // A change of the path itself: a file, or a folder that is removed as a whole.
  const content = changes.get('');
  if (content === null) return undefined;
  if (typeof content === 'string')
    return { mode: RECORDED_MODE, name, oid: hashObject('blob', Buffer.from(content)) };
  if (content !== undefined) return { mode: RECORDED_MODE, name, oid: Buffer.from(content.blob, 'hex') };
  const folder = before?.mode === FOLDER ? (before.oid.toString('hex') as Oid) : undefined;
  // A file has nothing below it, so there is nothing to remove.
  if (folder === undefined && [...changes.values()].every((each) => each === null)) return before;
  const oid = await treeAfter(reader, folder, changes);
  return oid && { mode: FOLDER, name, oid };
}

/** Groups paths by their first part; the path itself is the empty rest. */
function byFirstName(changes: Changes): Map<string, Map<string, string | { readonly blob: Oid } | null>> {
  const groups = new Map<string, Map<string, string | { readonly blob: Oid } | null>>();
  for (const [path, content] of changes) {
    const slash = path.indexOf('/');
    const name = slash === -1 ? path : path.slice(0, slash);
    const rest = slash === -1 ? '' : path.slice(slash + 1);
    const group = groups.get(name) ?? new Map<string, string | { readonly blob: Oid } | null>();
    groups.set(name, group.set(rest, content));
  }
  return groups;
}
