// multinic: one program for people, the controller and the agent. Each command loads its modules when it runs, so that
// no command pays for the others.

import { Command } from 'commander';
import { addStoreCommands } from './backup-command.ts';
import { addControllerCommand } from './controller-command.ts';
import { addCrdsCommand } from './crds-command.ts';
import { addInputCommands } from './input.ts';
import { addLocalCommand } from './local-command.ts';
import { fail } from './output.ts';
import { addDriftCommand } from './drift-command.ts';
import { addReadingCommands } from './reading-commands.ts';
import { rememberWhere, type Where } from './remedy.ts';
import { addShellCommand } from './shell-command.ts';
import { addWritingCommands } from './writing-commands.ts';
import { EXIT } from '../api/exit-codes.ts';
import { BUILD } from '../api/build-info.ts';
import { addCompletionCommand } from './completion-command.ts';
import { addCredentialCommand } from './credential-command.ts';
import { addVersionCommand } from './version-command.ts';

const program = new Command('multinic')
  .description('Configures the NICs of Kubernetes nodes on OpenStack from MultiNicBizConfigs, GitOps style.')
  .version(BUILD.version, '-V, --version')
  .configureHelp({ sortSubcommands: false })
  .showHelpAfterError('(multinic --help lists the commands)')
  .addHelpText(
    'after',
    `
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the input is invalid; 4 nodes or CRs are not as they should be.

Examples:
  multinic local DIR                       run the controller on a folder
  multinic status -C DIR                   what state is every node in?
  multinic log k8s-worker-01 -C DIR        what was wanted, and what happened?
  multinic rollback k8s-worker-01 -C DIR   go back to the network before; it holds until the CR changes`,
  )
  .hook('preAction', (_, command) => rememberWhere(command.opts<Where>()))
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : EXIT.usage);
  });

addLocalCommand(program);
addControllerCommand(program);
addCrdsCommand(program);
addReadingCommands(program);
addDriftCommand(program);
addWritingCommands(program);
addInputCommands(program);
addShellCommand(program);
addStoreCommands(program);
addVersionCommand(program);
addCredentialCommand(program);
addCompletionCommand(program);
program.addCommand(await agent());

// `multinic log | head` closes the pipe early, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}

/** The agent's own command line, loaded only when `multinic agent` runs. */
async function agent(): Promise<Command> {
  if (process.argv[2] === 'agent') {
    const command = (await import('./agent-command.ts')).agentCommand();
    for (const each of [command, ...command.commands]) each.copyInheritedSettings(program);
    return command;
  }
  return new Command('agent').description('the program on a node: apply a commit, clean up');
}
