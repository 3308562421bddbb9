import { MultinicError } from '../../api/errors.ts';
import { CONTROLLER } from '../model/committer.ts';
import { runLocked } from './store-lock.ts';
import { cleanIdentity, formatMessage } from '../model/commit-message.ts';
import { expectPath } from '../model/ref-names.ts';
import { IMPORT_REF } from '../model/store-refs.ts';
import { isOid } from '../../api/oid.ts';
import type { Mark, NewCommit, Oid, Person } from '../model/store-port.ts';

/**
 * Writes commits as input for `git fast-import`, which then prints their ids in order. The import touches no ref: all
 * refs move together, later.
 *
 * @param times committer time of each commit, in seconds
 * @param ids ids of commits that trailers name by their marks, at the index of the mark
 * @throws MultinicError `InvalidBatch` for what a commit cannot hold
 */
export function importStream(
  commits: readonly NewCommit[],
  times: readonly number[],
  ids: readonly (Oid | undefined)[] = [],
): Buffer {
  const out: string[] = [];
  commits.forEach((commit, index) => {
    const [parent, ...others] = commit.parents;
    // Without `from`, fast-import continues from the branch's last commit and need not read that commit back.
    const continuesBranch = parent !== undefined && isMark(parent) && parent.mark === index;
    if (parent === undefined) out.push(`reset ${IMPORT_REF}\n`);
    const time = times[index] ?? 0;
    out.push(`commit ${IMPORT_REF}\nmark :${index + 1}\n`);
    out.push(stamps(commit, time), data(messageOf(commit, ids)));
    if (parent !== undefined && !continuesBranch) out.push(`from ${reference(parent, index)}\n`);
    for (const other of others) out.push(`merge ${reference(other, index)}\n`);
    if (commit.replace === true && parent !== undefined) out.push('deleteall\n');
    for (const [path, content] of commit.files) {
      expectPath(path);
      if (content === null) out.push(`D ${path}\n`);
      else if (typeof content === 'string') out.push(`M ${RECORDED_MODE} inline ${path}\n`, data(content));
      else out.push(`M ${RECORDED_MODE} ${content.blob} ${path}\n`);
    }
  });
  out.push(`reset ${IMPORT_REF}\n`);
  commits.forEach((_, index) => out.push(`get-mark :${index + 1}\n`));
  out.push('done\n');
  return Buffer.from(out.join(''));
}

/** Writes the objects of `importStream`; returns the ids of its commits in order. */
export async function importCommits(dir: string, stream: Buffer, count: number): Promise<Oid[]> {
  const command = ['git', '-c', 'core.warnAmbiguousRefs=false', 'fast-import', '--done', '--quiet'];
  const { stdout } = await runLocked(dir, 'shared', command, { inputs: [stream] });
  const oids = stdout.toString('latin1').split('\n').filter(isOid);
  if (oids.length === count) return oids;
  throw new MultinicError('GitFailed', `fast-import named ${oids.length} of ${count} commits; see the log`);
}

/** Mode of every file that the store writes. */
export const RECORDED_MODE = '100644';

/** A commit object's text after its tree and parents. @param ids as of `importStream` */
export function commitText(commit: NewCommit, time: number, ids: readonly (Oid | undefined)[]): string {
  return `${stamps(commit, time)}\n${messageOf(commit, ids)}`;
}

function stamps({ author }: NewCommit, time: number): string {
  return `author ${stamp(author, time)}\ncommitter ${stamp(CONTROLLER, time)}\n`;
}

function messageOf(commit: NewCommit, ids: readonly (Oid | undefined)[]): string {
  const trailers = commit.trailers.map(([key, value]) => {
    const text = typeof value === 'string' ? value : ids[value.mark - 1];
    if (text !== undefined) return [key, text] as const;
    throw new MultinicError(
      'InvalidBatch',
      `the trailer ${key} names a commit without id; name an earlier one`,
    );
  });
  return formatMessage({ ...commit, trailers });
}

export function isMark(target: Oid | Mark): target is Mark {
  return typeof target !== 'string';
}

function reference(target: Oid | Mark, index: number): string {
  if (!isMark(target)) return target;
  if (target.mark >= 1 && target.mark <= index) return `:${target.mark}`;
  throw new MultinicError(
    'InvalidBatch',
    `commit ${index + 1} of a batch cannot build on mark ${target.mark}; add parents first`,
  );
}

function stamp(person: Person, time: number): string {
  return `${cleanIdentity(person.name, 'unknown')} <${cleanIdentity(person.email, 'unknown')}> ${time} +0000`;
}

function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}\n`;
}
