// The program for people, in which each command loads its modules only when it runs. The controllers and the agent have
// programs of their own, and are listed here for the help.

import { addStoreCommands } from './backup-command.ts';
import { addControllerCommand } from './controller-command.ts';
import { addCrdsCommand } from './crds-command.ts';
import { addInputCommands } from './input.ts';
import { addLocalCommand } from './local-command.ts';
import { addDriftCommand } from './drift-command.ts';
import { addReadingCommands } from './reading-commands.ts';
import { rememberWhere, type Where } from './remedy.ts';
import { rootCommand, runProgram } from './root-command.ts';
import { addShellCommand } from './shell-command.ts';
import { addWritingCommands } from './writing-commands.ts';
import { addUiCommand } from './ui-command.ts';
import { addCompletionCommand } from './completion-command.ts';
import { addCredentialCommand } from './credential-command.ts';
import { addVersionCommand } from './version-command.ts';

const program = rootCommand()
  .description('Configures the NICs of Kubernetes nodes on OpenStack from MultiNicBizConfigs, GitOps style.')
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
  .hook('preAction', (_, command) => rememberWhere(command.opts<Where>()));

addLocalCommand(program);
addControllerCommand(program);
addCrdsCommand(program);
addReadingCommands(program);
addDriftCommand(program);
addWritingCommands(program);
addInputCommands(program);
addUiCommand(program);
addShellCommand(program);
addStoreCommands(program);
addVersionCommand(program);
addCredentialCommand(program);
addCompletionCommand(program);
program.command('agent').description('the program on a node: apply a commit, clean up');

await runProgram(program);
