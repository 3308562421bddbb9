import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MultinicError } from '../../api/errors.ts';
import { runLocked } from './store-lock.ts';
import { WRITER_REF } from '../model/store-refs.ts';
import type { Oid } from '../model/store-port.ts';

export interface ResolvedMove {
  readonly ref: string;
  readonly to: Oid;
  readonly from: Oid | null;
}

/**
 * Number of new refs from which on the refs go into packed-refs, as in `git clone`: one file to fsync instead of
 * thousands (5,000: 0.1 s instead of 2 s).
 */
export const BULK_CREATIONS = 200;

/**
 * Moves refs in one transaction that holds only while `writer` is the store's writer: all of them, or none when a value
 * is not the expected one. A kill may leave any part moved.
 *
 * @throws MultinicError from git; the caller reads the refs to find the cause
 */
export async function moveRefs(dir: string, writer: Oid, moves: readonly ResolvedMove[]): Promise<void> {
  const created = moves.filter(({ from }) => from === null);
  if (created.length < BULK_CREATIONS) {
    const input = transaction(writer, moves);
    await runLocked(dir, 'shared', ['git', 'update-ref', '--stdin'], { inputs: [input] });
    return;
  }
  const packed = await packedWith(dir, created);
  const rest = transaction(
    writer,
    moves.filter(({ from }) => from !== null),
  );
  await runLocked(dir, 'shared', ['sh', '-c', CREATE_PACKED], { inputs: [rest, packed] });
}

/** The transaction of a take-over: from here on, the previous writer's transactions fail. */
export function takeOver(writer: Oid, before: Oid | undefined): string {
  return `start\n${update({ ref: WRITER_REF, to: writer, from: before ?? null })}prepare\ncommit\n`;
}

/**
 * Takes the new packed-refs from descriptor 3, and makes the lock as git makes it: with `set -C`, only if there is
 * none. Verifies the writer while the lock is held; no take-over happens meanwhile, because this process holds the
 * store's lock.
 */
const CREATE_PACKED = `set -eC
cat <&3 >"$GIT_DIR/packed-refs.lock"
trap 'rm -f "$GIT_DIR/packed-refs.lock"' EXIT
git update-ref --stdin
sync "$GIT_DIR/packed-refs.lock"
mv -T "$GIT_DIR/packed-refs.lock" "$GIT_DIR/packed-refs"
trap - EXIT`;

function transaction(writer: Oid, moves: readonly ResolvedMove[]): Buffer {
  return Buffer.from(`start\nverify ${WRITER_REF} ${writer}\n${moves.map(update).join('')}prepare\ncommit\n`);
}

function update({ ref, to, from }: ResolvedMove): string {
  return from === null ? `create ${ref} ${to}\n` : `update ${ref} ${to} ${from}\n`;
}

const PACKED_HEADER = '# pack-refs with: peeled fully-peeled sorted \n';

/**
 * Today's packed-refs with more refs in it. Only the store's writer creates or packs refs, so the file cannot change
 * between this read and the rename unless the writer changes too.
 */
async function packedWith(dir: string, created: readonly ResolvedMove[]): Promise<Buffer> {
  const lines = new Map<string, string>();
  let last = '';
  for (const line of (await readIfThere(join(dir, 'packed-refs'))).split('\n')) {
    // A line with `^` names the object that the tag in the line before it points at.
    if (line.startsWith('^')) lines.set(last, `${lines.get(last) ?? ''}${line}\n`);
    else if (line !== '' && !line.startsWith('#')) lines.set((last = line.slice(41)), `${line}\n`);
  }
  for (const { ref, to } of created) {
    if (lines.has(ref) || existsSync(join(dir, ref))) {
      throw new MultinicError('LostRace', `${ref} exists already; read the refs and decide anew`, {
        data: { ref },
      });
    }
    lines.set(ref, `${to} ${ref}\n`);
  }
  const sorted = [...lines].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.from(PACKED_HEADER + sorted.map(([, line]) => line).join(''));
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
