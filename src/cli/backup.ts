// Backup and restore of the store. They work on its folder, with or without a controller.

import type { Command } from 'commander';
import { join } from 'node:path';
import { homeOf } from './connection.ts';
import { plural, print, withProgress } from './output.ts';

interface Flags {
  readonly dir?: string;
}

export function addStoreCommands(program: Command): void {
  program
    .command('backup')
    .description('write the whole store into one file (a git bundle), checked; the controller may run')
    .argument('<file>')
    .option('-C, --dir <dir>', 'home of the store')
    .addHelpText('after', '\nExample:\n  multinic backup -C DIR multinic-backup.bundle')
    .action(async (file: string, flags: Flags) => {
      const { backup } = await import('../store/backup.ts');
      const work = backup(join(homeOf(flags), 'store.git'), file);
      const refs = await withProgress('writing the backup and reading it back', work);
      print(`${file}: ${plural(refs.size, 'ref')}`);
    });

  program
    .command('restore')
    .description('make the store from a backup; a running controller is fenced off')
    .argument('<file>')
    .option('-C, --dir <dir>', 'home of the store')
    .option('--force', 'replace the store that is there; it is kept beside', false)
    .addHelpText('after', '\nExample:\n  multinic restore -C DIR multinic-backup.bundle')
    .action(async (file: string, flags: Flags & { force: boolean }) => {
      const { restore } = await import('../store/backup.ts');
      const work = restore(file, join(homeOf(flags), 'store.git'), { force: flags.force });
      const before = await withProgress('restoring the store and checking it', work);
      print(before === undefined ? 'restored' : `restored; the store before is at ${before}`);
    });
}
