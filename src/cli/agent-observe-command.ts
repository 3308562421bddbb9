import { Command } from 'commander';
import type { ObserveOptions } from '../agent/modes.ts';
import { describeDifference } from '../api/difference-words.ts';
import type { Observation } from '../api/observation.ts';
import { AGENT_EXIT, EXIT } from '../api/exit-codes.ts';
import { plural } from '../network/text.ts';
import { outputOption, paint, print, printObject } from './output.ts';

type Options = ObserveOptions & { readonly output: 'table' | 'json' };

/**
 * `multinic agent observe`. The Job of an observation runs this command, and so does a person who asks whether a host
 * has drifted.
 */
export function agentObserveCommand(): Command {
  return new Command('observe')
    .description(
      'Compares this host with the commit that its record names. Changes nothing and takes no lock.',
    )
    .requiredOption('--root <dir>', 'root of the host’s file system (/host in a pod)')
    .option('--job <file>', 'a job file: its commit is fetched from the store')
    .option('--tree <dir>', 'instead of a job: a folder with a branch of this node checked out')
    .option('--outcome <file>', 'where the report goes (JSON, at most 4,096 bytes); the exit code is then 0')
    .option('--offline', 'the host is a folder with a recorded machine (host.yaml), as in a local home')
    .addOption(outputOption(['table', 'json']))
    .addHelpText('after', HELP)
    .action(async (options: Options, command: Command) => {
      if ((options.job === undefined) === (options.tree === undefined))
        command.error('error: name what to compare with: either --job <file>, or --tree <dir>', {
          exitCode: EXIT.usage,
        });
      const { observe } = await import('../agent/modes.ts');
      const observation = await observe(options);
      if (options.outcome === undefined) {
        if (options.output === 'json') await printObject('json', 'Observation', observation);
        else printObservation(observation);
      }
      // An abandoned request may have left a connection open, which would keep the process alive.
      process.exit(options.outcome === undefined ? OBSERVE_EXIT[observation.result] : AGENT_EXIT.ok);
    });
}

/**
 * Exit codes by result. A Job ends with 0 whatever the result, because a failed Job would look like a fault of the
 * agent.
 */
const OBSERVE_EXIT: Readonly<Record<Observation['result'], number>> = {
  Observed: AGENT_EXIT.ok,
  Drifted: AGENT_EXIT.wouldChange,
  Unclear: AGENT_EXIT.failed,
  Busy: AGENT_EXIT.locked,
};

function printObservation(observation: Observation): void {
  const { result, reason, message, differences, commit, warnings = [] } = observation;
  const commitWords = /^0+$/.test(commit) ? 'its commit' : `commit ${commit.slice(0, 10)}`;
  switch (result) {
    case 'Observed':
      print(`${paint.green('Observed')}: the host is as ${commitWords} has it`);
      break;
    case 'Drifted':
      print(`${paint.red('Drifted')}: ${plural(differences.length, 'difference')} to ${commitWords}`);
      for (const difference of differences) print(`  ${describeDifference(difference)}`);
      break;
    case 'Unclear':
      print(`${paint.yellow('Unclear')} (${reason ?? 'Internal'}): ${message ?? ''}`);
      break;
    case 'Busy':
      print(`${paint.yellow('Busy')}: ${message ?? ''}`);
      break;
  }
  for (const warning of warnings) print(`! ${warning}`);
}

const HELP = `
Examples:
  multinic agent observe --root /host --job job.json
  multinic agent observe --root DIR/nodes/worker-1/root --offline --tree .

Exit codes:
  0   Observed: the host is as the commit has it; with --outcome any result
  1   Unclear: a run would not simply apply the commit, or the host or the store cannot be read
  2   wrong command line
  10  Drifted
  75  Busy: a run is changing this host`;
