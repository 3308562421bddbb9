// Native git, as the probes use it: processes without a lock and without checks.

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { gitEnvironment } from '../src/store/git/git.ts';
import { importStream } from '../src/store/git/fast-import.ts';
import type { Batch } from '../src/store/model/batch.ts';
import type { Oid } from '../src/store/model/store-port.ts';

/**
 * The one commit of a batch by git alone: `fast-import` and `update-ref`.
 * @returns the commit
 */
export function bareWrite(dir: string, batch: Batch, ref: string, parent: Oid | null): Oid {
  const stream = importStream(batch.commits, [2_000_000_000]);
  const [oid = ''] = nativeGit(dir, ['fast-import', '--done', '--quiet'], stream).split('\n');
  const move = Buffer.from(`update ${ref} ${oid} ${parent ?? '0'.repeat(40)}\n`);
  nativeGit(dir, ['update-ref', '--stdin'], move);
  return oid as Oid;
}

/** @returns the output */
export function nativeGit(dir: string, args: string[], input: Buffer): string {
  const path = `${dir}.input`;
  writeFileSync(path, input);
  const file = openSync(path, 'r');
  try {
    const ended = spawnSync('git', ['-C', dir, ...args], {
      env: gitEnvironment(),
      stdio: [file, 'pipe', 'inherit'],
    });
    if (ended.status !== 0) throw new Error(`git ${args.join(' ')} failed`);
    return ended.stdout.toString('latin1');
  } finally {
    closeSync(file);
  }
}
