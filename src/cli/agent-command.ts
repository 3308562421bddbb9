import { Command, InvalidArgumentError } from 'commander';
import type { ApplyOptions, HostOptions, PlanOptions } from '../agent/modes.ts';
import type { Detection, Preview } from '../agent/run/preview.ts';
import type { NextBoot } from '../agent/foreign/next-boot.ts';
import type { LinkStep } from '../agent/host/machine.ts';
import { hasCode } from '../api/errors.ts';
import { agentObserveCommand } from './agent-observe-command.ts';
import { forTerminal, outputOption, print, printObject, printTable, type Format } from './output.ts';
import { DEFAULTS } from '../api/defaults.ts';
import { plural } from '../network/text.ts';
import { AGENT_EXIT, EXIT } from '../api/exit-codes.ts';

/** `multinic agent`, the program that runs on a node. A heavy module is imported only when a command runs it. */
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
    .option(...deadline)
    .addHelpText('after', HELP.cleanup)
    .action((options: ApplyOptions & { deadline: number }) => end((main) => main.cleanup(options)));

  agent
    .command('detect')
    .description(
      'Shows the NICs of this host, what uses and describes them, and what counts at the next boot.',
    )
    .requiredOption(...root)
    .option(...offline)
    .addOption(outputOption(['table', 'json']))
    .addHelpText('after', HELP.detect)
    .action(async (options: HostOptions & { output: Format }) => {
      const { detect } = await import('../agent/modes.ts');
      const detection = await detect(options);
      if (options.output === 'json') await printObject('json', 'Detection', detection);
      else await printDetection(detection);
    });

  agent
    .command('plan')
    .description(
      'Shows what a run would do on this host, and what would count at the next boot. Changes nothing.',
    )
    .requiredOption(...root)
    .option('--job <file>', 'a job file: its commit is fetched from the store')
    .option(
      '--tree <dir>',
      'instead of a job: a folder with a branch of this node checked out, committed or not',
    )
    .option(...offline)
    .addOption(outputOption(['table', 'json']))
    .addHelpText('after', HELP.plan)
    .action((options: PlanOptions & { output: Format }, command: Command) => {
      if ((options.job === undefined) === (options.tree === undefined))
        command.error('error: name what to plan for: either --job <file>, or --tree <dir>', {
          exitCode: EXIT.usage,
        });
      return end(async (main) => {
        const preview = await main.plan(options);
        if (options.output === 'json') await printObject('json', 'Plan', preview);
        else await printPreview(preview);
        return PLAN_EXIT[preview.result];
      });
    });

  agent.addCommand(agentObserveCommand());
  return agent;
}

async function printDetection({ osImage, bootId, applied, interrupted, nics }: Detection): Promise<void> {
  print(`${osImage}, boot ${bootId}`);
  print(applied === undefined ? 'nothing applied yet' : `applied: ${applied.commit} at ${applied.at}`);
  if (interrupted) print('a run was interrupted: the next one finishes or undoes it first');
  await printTable(
    ['NIC', 'MAC', 'STATE', 'MTU', 'ADDRESSES', 'USE', 'FILES', 'NEXT BOOT'],
    nics.map((nic) => [
      nic.name,
      nic.mac,
      nic.up ? 'up' : 'down',
      String(nic.mtu),
      [...nic.addresses, ...(nic.leases ?? []).map((lease) => `${lease} (leased)`)].join(' '),
      nic.use ?? '',
      nic.files.join(' '),
      nic.nextBoot === undefined ? '' : describeBoot(nic.nextBoot),
    ]),
  );
}

async function printPreview(preview: Preview): Promise<void> {
  const {
    result,
    message,
    reason,
    interrupted,
    files,
    kept,
    links,
    reload,
    missing,
    found,
    nextBoot,
    warnings,
  } = preview;
  if (interrupted) print('a run was interrupted: the next one finishes or undoes it first');
  if (result === 'refused') print(`refused (${reason}): ${message}`);
  if (result === 'diverged')
    print('the host has another commit than expected: `multinic confirm` for the node lets it go on');
  if (result === 'adopt')
    print('NICs already have managed names that the commit does not give them; the controller adopts them:');
  for (const { mac, name, netplanId } of found) print(`  ${mac}  ${netplanId ?? name}`);
  if (result === 'none')
    print(`nothing to do: the host has ${plural(kept.length, 'file')} and their NICs as in the commit`);
  for (const { op, path } of files) print(`${op === 'write' ? '+' : '-'} ${path}`);
  for (const step of links) print(`~ ${describeStep(step)}`);
  if (reload) print('~ the host’s network manager acts on all its files');
  for (const mac of missing) print(`? ${mac} is not on this machine`);
  for (const each of warnings) print(`! ${each.reason}: ${each.message}`);
  if (nextBoot.length === 0) return;
  print('');
  await printTable(
    ['MAC', 'NEXT BOOT'],
    nextBoot.map((boot) => [boot.mac, describeBoot(boot)]),
  );
}

function describeStep(step: LinkStep): string {
  switch (step.op) {
    case 'rename':
      return `${step.from} is named ${step.to}`;
    case 'ipv6':
      return `${step.mac}: accept_ra ${step.acceptRa}, addr_gen_mode ${step.addrGenMode}`;
    case 'set':
      return `${step.mac}: MTU ${step.mtu}, ${step.up ? 'up' : 'down'}`;
    case 'add':
      return `${step.mac} gets ${step.address}`;
    case 'drop':
      return `${step.mac} loses ${step.address}`;
    case 'manage':
      return `NetworkManager ${step.networkManager ? 'manages' : 'lets go of'} ${step.mac}`;
    case 'sysctl':
      return `${step.mac}: ${Object.entries(step.values)
        .map(([key, value]) => `${key} ${value}`)
        .join(', ')}`;
    case 'route':
      return `${step.mac} gets the routes and rules ${[...step.routes, ...step.rules].join('; ')}`;
    case 'unroute':
      return `${step.mac} loses the routes and rules ${[...step.rules, ...step.routes].join('; ')}`;
  }
}

function describeBoot({ link, network, profile }: NextBoot): string {
  const parts = [link, network ?? profile].flatMap((choice) => {
    if (choice === undefined) return [];
    const gives = [...choice.gives, ...(choice.dhcp === true ? ['DHCP'] : [])].join(' ');
    return [`${gives || 'nothing'} by ${choice.file}`];
  });
  return parts.join(', ') || 'nothing';
}

async function end(action: (main: typeof import('../agent/modes.ts')) => Promise<number>): Promise<void> {
  // An abandoned run may have left a connection open, which would keep the process alive.
  process.exit(await action(await import('../agent/modes.ts')).catch(locked));
}

/** Prints that another run holds the node and gives the exit code for it; throws any other error. */
function locked(error: unknown): number {
  if (!hasCode(error, 'AgentRunning')) throw error;
  process.stderr.write(forTerminal(`error: ${error.message} (${error.code})\n`));
  return AGENT_EXIT.locked;
}

const deadline = [
  '--deadline <seconds>',
  'time limit: before it, the run ends by itself and restores the host',
  seconds,
  DEFAULTS.deadline,
] as const;

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('Write a whole number of seconds.');
  return value;
}

/** Exit codes of `agent plan`, by what a run would do. */
const PLAN_EXIT = {
  none: AGENT_EXIT.ok,
  change: AGENT_EXIT.wouldChange,
  adopt: AGENT_EXIT.wouldChange,
  diverged: AGENT_EXIT.failed,
  refused: AGENT_EXIT.failed,
} as const;

const EXIT_CODES = `
Exit codes:
  0   the report says what happened: Applied, Pending, Superseded, Adopt or Diverged
  1   Failed: the host is as it was before; the report says why and what to do
  2   wrong command line or unreadable job file; no report
  3   Failed, and the host could not be restored: look at it now
  75  another agent runs on this node; no report`;

const HELP = {
  detect: `
Examples:
  multinic agent detect --root /host
  multinic agent detect --root DIR/nodes/worker-1/root --offline -o json`,
  plan: `
Examples:
  multinic agent plan --root /host --tree .
  multinic agent plan --root DIR/nodes/worker-1/root --offline --job job.json

Exit codes:
  0   nothing to do, perhaps with warnings
  1   a run would end untouched: refused, superseded, or the host has another commit than expected;
      or what to plan for cannot be read
  2   wrong command line
  10  the host would be changed, or names taken over
  75  another agent runs on this node`,
  apply: `
Examples:
  multinic agent apply --job job.json --root /host --outcome /dev/termination-log
  multinic agent apply --job job.json --root DIR/nodes/worker-1/root --offline
${EXIT_CODES}`,
  cleanup: `
Example:
  multinic agent cleanup --root DIR/nodes/worker-1/root --offline
${EXIT_CODES}`,
};
