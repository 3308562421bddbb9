// strace kills git at a system call; store-crash.test.ts kills the writer itself.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acknowledged, deadlyGit, expectRecovered, inFolder, startWriter } from './support/store-crash.ts';

// In `update-ref` the fsyncs are of lock files (prepare: nothing moved), the renames are the moves (commit).
const CHILD_KILLS = [
  { command: 'fast-import', syscall: 'fsync', nth: 1, moved: 0 },
  { command: 'fast-import', syscall: 'unlink', nth: 1, moved: 0 },
  { command: 'update-ref', syscall: 'fsync', nth: 3, moved: 0 },
  { command: 'update-ref', syscall: 'rename', nth: 1, moved: 0 },
  { command: 'update-ref', syscall: 'rename', nth: 4, moved: 3 },
] as const;

test.each(CHILD_KILLS)('git $command killed at $syscall $nth: the writer goes on by itself', async (kill) => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    const git = await deadlyGit(folder, kill);
    const writer = startWriter(dir, 1_000_000, git.env);
    await writer.line(({ event }) => event === 'acknowledged');
    await git.arm();
    const failed = await writer.line(({ event }) => event === 'failed');
    expect(git.killed()).toBe(true);
    expect(failed.values.filter((value) => value === failed.value)).toHaveLength(kill.moved);
    const next = await writer.line(
      ({ event, value }) => event === 'acknowledged' && value > failed.value - 1,
    );
    expect(next.value).toBe(Math.max(...failed.values) + 1);
    writer.process.kill('SIGKILL');
    await writer.end;
    expect(writer.lines.filter(({ event }) => event === 'failed')).toHaveLength(1);
    await expectRecovered(dir, acknowledged(writer));
  });
});
