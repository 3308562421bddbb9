// A folder in memory for the files of tests.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Free memory that the folder in memory needs. The ordinary tests use far less: a home of three nodes takes a few
 * megabytes.
 */
const MEMORY_BYTES = 1024 ** 3;

/**
 * A folder in memory, where an fsync costs nothing, if there is room and programs may run there (container runtimes
 * often forbid that). A person's own TMPDIR wins.
 */
export function memoryFolder(): string | undefined {
  if (process.env['TMPDIR'] !== undefined) return undefined;
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    if (bavail * bsize < MEMORY_BYTES) return undefined;
    const folder = mkdtempSync('/dev/shm/multinic-test-');
    const program = join(folder, 'true');
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    if (spawnSync(program).status === 0) return folder;
    rmSync(folder, { recursive: true });
  } catch {
    // The folder does not exist, or is not writable.
  }
  return undefined;
}
