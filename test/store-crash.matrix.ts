import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acknowledged, deadlyGit, expectRecovered, inFolder, startWriter } from './support/store-crash.ts';

const POINTS = ['import', 'imported', 'transaction', 'moved', 'durable'];

test.each(POINTS)('killed at store.%s at each of its first occurrences', async (point) => {
  await inFolder(async (folder) => {
    // The first occurrence creates main, each later one is of a batch, on the store that the run before has left.
    for (let nth = 1; nth <= 12; nth += 1) {
      const dir = join(folder, `${nth}.git`);
      const writer = startWriter(dir, 100, { MULTINIC_KILL_AT: `store.${point}#${nth}` });
      expect((await writer.end).signal).toBe('SIGKILL');
      const last = acknowledged(writer);
      expect(last).toBe(Math.max(0, nth - 2));
      const moved = nth > 1 && (point === 'moved' || point === 'durable');
      expect(new Set(await expectRecovered(dir, last))).toEqual(new Set([moved ? last + 1 : last]));
    }
  });
});

test('a writer killed at 150 random instants, on one store', async () => {
  await inFolder(async (folder) => {
    const dir = join(folder, 'store.git');
    let partly = 0;
    for (let round = 0; round < 150; round += 1) {
      const writer = startWriter(dir, 1_000_000);
      await writer.line(({ event }) => event === 'acknowledged');
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 50));
      writer.process.kill('SIGKILL');
      expect((await writer.end).signal).toBe('SIGKILL');
      if (new Set(await expectRecovered(dir, acknowledged(writer))).size > 1) partly += 1;
    }
    // The git children outlive their parent, so a transaction that began also ends.
    expect(partly).toBe(0);
  });
});

const SYSCALLS = {
  // git names objects by link and unlink.
  'fast-import': ['openat', 'fsync', 'link', 'unlink', 'write'],
  'update-ref': ['openat', 'fsync', 'rename', 'unlink', 'write'],
};
const KILLS = Object.entries(SYSCALLS).flatMap(([command, syscalls]) =>
  syscalls.map((syscall) => ({ command, syscall })),
);

test.each(KILLS)('git $command killed at each of its calls of $syscall', async (kill) => {
  let reached = 0;
  for (let nth = 1; nth <= 40; nth += 1) {
    let survived = false;
    await inFolder(async (folder) => {
      const dir = join(folder, 'store.git');
      const git = await deadlyGit(folder, { ...kill, nth });
      const writer = startWriter(dir, 1_000_000, git.env);
      await writer.line(({ event }) => event === 'acknowledged');
      await git.arm();
      const armed = acknowledged(writer);
      await writer.line(({ event, value }) => event === 'acknowledged' && value > armed + 3);
      writer.process.kill('SIGKILL');
      await writer.end;
      expect(git.killed()).toBe(true);
      survived = writer.lines.every(({ event }) => event !== 'failed');
      await expectRecovered(dir, acknowledged(writer));
    });
    if (survived) break;
    reached += 1;
  }
  expect(reached).toBeGreaterThan(0);
});
