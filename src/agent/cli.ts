import { Command, InvalidArgumentError } from 'commander';
import type { ApplyOptions } from './main.ts';

/** `multinic agent`: what runs on a node. Everything heavy is imported only when it is run. */
export function agentCommand(): Command {
  const agent = new Command('agent').description(
    'Configures the NICs of this node (what a Job runs), once, and exits.',
  );
  const root = ['--root <dir>', 'root of the host’s file system (/host in a pod)'] as const;
  const outcome = [
    '--outcome <file>',
    'where the report goes (JSON, at most 4,096 bytes); else to standard output',
  ] as const;
  const offline = [
    '--offline',
    'the host is a folder with a recorded machine (host.yaml), as in a local home',
  ] as const;

  agent
    .command('apply')
    .description('Applies the commit that a job file names: safely, as a whole, or not at all.')
    .requiredOption('--job <file>', 'what to apply (JSON), as the controller wrote it')
    .requiredOption(...root)
    .option(...outcome)
    .option(...offline)
    .addHelpText('after', HELP.apply)
    .action((options: ApplyOptions) => end((main) => main.apply(options)));

  agent
    .command('cleanup')
    .description('Takes all our files off the host (backed up first) and frees their NICs. Asks no store.')
    .requiredOption(...root)
    .option(...outcome)
    .option(...offline)
    .option('--deadline <seconds>', 'the run ends by itself, restored, before this', seconds, 120)
    .addHelpText('after', HELP.cleanup)
    .action((options: ApplyOptions & { deadline: number }) => end((main) => main.cleanup(options)));

  return agent;
}

async function end(action: (main: typeof import('./main.ts')) => Promise<number>): Promise<void> {
  // A run that was given up may have left a connection open, which would keep the process.
  process.exit(await action(await import('./main.ts')));
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('Write a whole number of seconds.');
  return value;
}

const EXIT_CODES = `
Exit codes:
  0   the report says what happened: Applied, Pending, Superseded, Adopt or Diverged
  1   Failed: the host is as it was before; the report says why and what to do
  2   wrong command line or unreadable job file; no report
  3   Failed, and the host could not be restored: look at it now
  75  another agent runs on this node; no report`;

const HELP = {
  apply: `
Examples:
  multinic agent apply --job job.json --root /host --outcome /dev/termination-log
  multinic agent apply --job DIR/jobs/NAME/job.json --root DIR/nodes/worker-1/root --offline
${EXIT_CODES}`,
  cleanup: `
Example:
  multinic agent cleanup --root DIR/nodes/worker-1/root --offline
${EXIT_CODES}`,
};
