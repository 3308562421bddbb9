import type { Command } from 'commander';
import { existsSync, realpathSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MultinicError } from '../api/errors.ts';
import type { ControllerEvent } from '../controller/sink-port.ts';
import { backupOf, withBackups, type BackupFlags } from './backup-schedule.ts';
import { limitsOf, withLimits, type LimitFlags } from './limits.ts';
import { port } from './option-values.ts';
import { paint, print } from './output.ts';
import { DEFAULTS } from '../api/defaults.ts';
import { EXIT } from '../api/exit-codes.ts';

interface Flags extends LimitFlags, BackupFlags {
  readonly once: boolean;
  readonly init?: string;
  readonly host: string;
  readonly port?: number;
}

export function addLocalCommand(program: Command): void {
  const command = program
    .command('local')
    .description('run the controller on a folder, without a cluster')
    .argument('<dir>', 'the home: crs/, inventory.yaml, nodes/')
    .option(
      '--once',
      'end when nothing is left to do; exit code 4 when not all that crs/ asks for is configured',
      false,
    )
    .option(
      '--init <template>',
      'make the home from a template folder first, if the home does not exist; fixtures/local is the demo of this program',
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port of the store and the API; 0: any (default: 8080, with --once 0)', port);
  withBackups(withLimits(command))
    .addHelpText(
      'after',
      `
The folder is watched: edit crs/*.yaml, and the nodes follow. The store is plain git:
  git clone http://multinic:TOKEN@127.0.0.1:8080/git store      (TOKEN: operator in DIR/tokens.yaml)

Examples:
  multinic local DIR
  multinic local DIR --init fixtures/local --once`,
    )
    .action(async (dir: string, flags: Flags) => {
      const [{ runLocal }, { expectHome, initLocalHome }, { agentOf }, { createLog }] = await Promise.all([
        import('../local/serve-local.ts'),
        import('../local/home.ts'),
        import('../local/jobs.ts'),
        import('../local/local-log.ts'),
      ]);
      if (flags.init !== undefined) await initLocalHome(dir, templateOf(flags.init));
      // Check the home first, because the log makes its folder.
      await expectHome(dir);
      if (flags.backupDir !== undefined) await expectFolder(flags.backupDir);
      const abort = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
      const configured = await runLocal({
        dir,
        host: flags.host,
        port: flags.port ?? (flags.once ? 0 : 8080),
        once: flags.once,
        agent: agentOf(process.argv[1]!),
        ...backupOf(flags),
        ...limitsOf(flags, {
          apply: DEFAULTS.apply,
          probes: DEFAULTS.probes,
          deadlineSeconds: DEFAULTS.deadline,
        }),
        log: createLog(dir),
        onEvent: printEvent,
        onListening: (url) =>
          print(`${paint.bold('multinic')} works on ${dir}: store ${url}/git, API ${url}/api/v1`),
        signal: abort.signal,
      });
      if (flags.once && !configured) process.exitCode = EXIT.unsettled;
    });
}

/** A template here, or else one that is a part of this program, wherever the person is. */
function templateOf(name: string): string {
  const own = join(dirname(realpathSync(process.argv[1]!)), '..', name);
  return !existsSync(name) && existsSync(own) ? own : name;
}

/** @throws MultinicError `NotWritable`: a controller that finds no folder would say so in its log alone */
async function expectFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new MultinicError('NotWritable', `--backup-dir ${dir} is no folder: make it, or name another`);
}

function printEvent(event: ControllerEvent): void {
  const time = new Date().toISOString().slice(11, 19);
  const who =
    event.node ?? (event.config === undefined ? '' : `${event.config.namespace}/${event.config.name}`);
  const reason = event.type === 'Warning' ? paint.yellow(event.reason) : paint.green(event.reason);
  print(`${paint.dim(time)}  ${who.padEnd(16)} ${reason}  ${event.message}`);
}
