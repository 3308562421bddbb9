import type { Command } from 'commander';
import { BACKUP_DEFAULTS } from '../api/defaults.ts';
import type { BackupSchedule } from '../controller/background-backup.ts';
import { wholeNumber } from './option-values.ts';

/** Options of a controller that writes backups by itself. */
export interface BackupFlags {
  readonly backupDir?: string;
  readonly backupInterval: number;
  readonly backupKeep: number;
}

export function withBackups(command: Command): Command {
  return command
    .option('--backup-dir <dir>', 'folder for backups of the store, which are written on a schedule')
    .option(
      '--backup-interval <hours>',
      'from one backup to the next',
      wholeNumber(1),
      BACKUP_DEFAULTS.interval,
    )
    .option(
      '--backup-keep <n>',
      'backups that stay; older ones are deleted',
      wholeNumber(1),
      BACKUP_DEFAULTS.keep,
    );
}

export function backupOf({ backupDir, backupInterval, backupKeep }: BackupFlags): {
  readonly backup?: BackupSchedule;
} {
  if (backupDir === undefined) return {};
  return { backup: { dir: backupDir, everyMs: backupInterval * 3_600_000, keep: backupKeep } };
}
