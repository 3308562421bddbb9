// Backup and restore of the store. Both work on the store's folder, with or without a controller; in a cluster they run
// in the pod of the controller that leads.

import type { Command } from 'commander';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { MultinicError } from '../api/errors.ts';
import { plural } from '../network/text.ts';
import { asked } from './ask.ts';
import {
  clusterClient,
  describeCluster,
  expectMeant,
  homeOf,
  targetOf,
  withCluster,
  type ClusterFlags,
} from './target.ts';
import { print, withProgress } from './output.ts';

interface Flags extends ClusterFlags {
  readonly dir?: string;
}

interface RestoreFlags extends Flags {
  readonly force: boolean;
  readonly yes?: true;
}

export function addStoreCommands(program: Command): void {
  withCluster(
    program
      .command('backup')
      .description('write the whole store into one file (a git bundle), checked; the controller may run')
      .argument('<file>', 'file of the backup; - for standard output')
      .option('-C, --dir <dir>', 'home of the store'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  multinic backup -C DIR multinic.bundle\n  multinic backup --cluster multinic.bundle',
    )
    .action(backUp);
  withCluster(
    program
      .command('restore')
      .description('make the store from a backup; a running controller is fenced off')
      .argument('<file>', 'file of the backup; - for standard input')
      .option('-C, --dir <dir>', 'home of the store'),
  )
    .option('--force', 'replace the existing store, which is kept beside the new one', false)
    .option('--yes', 'with --cluster: do not ask')
    .addHelpText(
      'after',
      '\nExamples:\n  multinic restore -C DIR multinic.bundle\n  multinic restore --cluster --force multinic.bundle',
    )
    .action(bringBack);
}

async function backUp(file: string, flags: Flags): Promise<void> {
  const target = targetOf(flags);
  if (target.kind === 'cluster') return backUpCluster(file, flags, target.inferred);
  const { backup } = await import('../store/care/backup.ts');
  const save = async (to: string): Promise<number> => {
    const work = backup(join(homeOf(flags), 'store.git'), to);
    return (await withProgress('writing the backup and reading it back', work)).size;
  };
  if (file !== STREAM) return print(`${file}: ${plural(await save(file), 'ref')}`);
  return inScratch(async (scratch) => {
    await save(scratch);
    await pipeline(createReadStream(scratch), process.stdout, { end: false });
  });
}

/** Home of the store in the pod, as the chart mounts it. */
const HOME_IN_POD = '/var/lib/multinic';

async function backUpCluster(file: string, flags: Flags, inferred: boolean): Promise<void> {
  const { execInLeader } = await import('../kube/leader-exec.ts');
  const client = await clusterClient(flags);
  if (inferred) process.stderr.write(`${describeCluster(client, flags)}\n`);
  const command = ['multinic', 'backup', STREAM, '-C', HOME_IN_POD];
  const run = (stdout: Writable): Promise<void> =>
    execInLeader({ client, namespace: flags.namespace, command, stdout });
  if (file === STREAM) return run(process.stdout);
  const temporary = `${file}.part`;
  const handle = await open(temporary, 'w', 0o600).catch((cause: unknown) => {
    throw new MultinicError(
      'NotWritable',
      `${file} cannot be written: name a file in a folder that is there and that you may write`,
      { cause },
    );
  });
  const stream = handle.createWriteStream();
  try {
    await withProgress('writing the backup', run(stream));
    stream.end();
    await finished(stream);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  print(`${file}: ${(await stat(file)).size} bytes`);
}

async function bringBack(file: string, flags: RestoreFlags): Promise<void> {
  const target = targetOf(flags);
  if (target.kind === 'cluster') return bringBackCluster(file, flags, target.inferred);
  const { restore } = await import('../store/care/backup.ts');
  const load = async (from: string): Promise<void> => {
    const work = restore(from, join(homeOf(flags), 'store.git'), { force: flags.force });
    const before = await withProgress('restoring the store and checking it', work);
    print(before === undefined ? 'restored' : `restored; the store before is at ${before}`);
  };
  if (file !== STREAM) return load(file);
  return fromInput(load);
}

async function bringBackCluster(file: string, flags: RestoreFlags, inferred: boolean): Promise<void> {
  const client = await clusterClient(flags);
  if (inferred) await expectMeant(client, flags);
  else if (!flags.yes && (await asked(`Restore the store of ${describeCluster(client, flags)}?`)) === false)
    throw new MultinicError('NotConfirmed', 'nothing was changed');
  const { execInLeader } = await import('../kube/leader-exec.ts');
  const load = async (from: string): Promise<void> => {
    const { size } = await stat(from);
    const words = `multinic restore ${STREAM} -C ${HOME_IN_POD}${flags.force ? ' --force' : ''}`;
    const command = ['sh', '-c', `head -c ${size} | ${words}`];
    const stdin = createReadStream(from);
    const { namespace } = flags;
    await withProgress(
      'restoring the store',
      execInLeader({ client, namespace, command, stdout: process.stdout, stdin }),
    );
  };
  if (file !== STREAM) return load(file);
  return fromInput(load);
}

async function fromInput(load: (file: string) => Promise<void>): Promise<void> {
  await inScratch(async (scratch) => {
    await pipeline(process.stdin, createWriteStream(scratch, { mode: 0o600 }));
    await load(scratch);
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
