// Backup and restore of the store. Both work on the store's folder, with or without a controller.

import type { Command } from 'commander';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { homeOf } from './target.ts';
import { plural, print, withProgress } from './output.ts';

interface Flags {
  readonly dir?: string;
}

export function addStoreCommands(program: Command): void {
  program
    .command('backup')
    .description('write the whole store into one file (a git bundle), checked; the controller may run')
    .argument('<file>', '- for standard output')
    .option('-C, --dir <dir>', 'home of the store')
    .addHelpText(
      'after',
      `
Examples:
  multinic backup -C DIR multinic.bundle
  kubectl exec -n multinic-system POD -- multinic backup -C /var/lib/multinic - > multinic.bundle`,
    )
    .action(async (file: string, flags: Flags) => {
      const { backup } = await import('../store/care/backup.ts');
      const save = async (to: string): Promise<number> => {
        const work = backup(join(homeOf(flags), 'store.git'), to);
        return (await withProgress('writing the backup and reading it back', work)).size;
      };
      if (file !== STREAM) return print(`${file}: ${plural(await save(file), 'ref')}`);
      await inScratch(async (scratch) => {
        await save(scratch);
        await pipeline(createReadStream(scratch), process.stdout, { end: false });
      });
    });

  program
    .command('restore')
    .description('make the store from a backup; a running controller is fenced off')
    .argument('<file>', '- for standard input')
    .option('-C, --dir <dir>', 'home of the store')
    .option('--force', 'replace the store that is there; it is kept beside', false)
    .addHelpText(
      'after',
      `
Examples:
  multinic restore -C DIR multinic.bundle
  kubectl exec -i -n multinic-system POD -- multinic restore -C /var/lib/multinic --force - < multinic.bundle`,
    )
    .action(async (file: string, flags: Flags & { force: boolean }) => {
      const { restore } = await import('../store/care/backup.ts');
      const load = async (from: string): Promise<void> => {
        const work = restore(from, join(homeOf(flags), 'store.git'), { force: flags.force });
        const before = await withProgress('restoring the store and checking it', work);
        print(before === undefined ? 'restored' : `restored; the store before is at ${before}`);
      };
      if (file !== STREAM) return load(file);
      await inScratch(async (scratch) => {
        await pipeline(process.stdin, createWriteStream(scratch, { mode: 0o600 }));
        await load(scratch);
      });
    });
}

/** In place of a file name: standard output, or input. */
const STREAM = '-';

/** Calls `work` with the path of a temporary file, and deletes the file afterwards. */
async function inScratch(work: (file: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'multinic-bundle-'));
  try {
    await work(join(folder, 'store.bundle'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
