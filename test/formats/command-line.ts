// Formats that scripts use: commands, options, exit codes, variables.

import { Command } from 'commander';
import { AGENT_EXIT as AGENT, EXIT } from '../../src/api/exit-codes.ts';
import { addStoreCommands } from '../../src/cli/backup-command.ts';
import { agentCommand } from '../../src/cli/agent-command.ts';
import { addCompletionCommand } from '../../src/cli/completion-command.ts';
import { addCredentialCommand } from '../../src/cli/credential-command.ts';
import { addVersionCommand } from '../../src/cli/version-command.ts';
import { addControllerCommand } from '../../src/cli/controller-command.ts';
import { addCrdsCommand } from '../../src/cli/crds-command.ts';
import { addDriftCommand } from '../../src/cli/drift-command.ts';
import { addInputCommands } from '../../src/cli/input.ts';
import { addLocalCommand } from '../../src/cli/local-command.ts';
import { addReadingCommands } from '../../src/cli/reading-commands.ts';
import { addShellCommand } from '../../src/cli/shell-command.ts';
import { addUiCommand } from '../../src/cli/ui-command.ts';
import { addWritingCommands } from '../../src/cli/writing-commands.ts';
import { inSources } from './sources.ts';

/** The program with all commands, as the help shows it. */
export function multinicProgram(): Command {
  const program = new Command('multinic');
  for (const add of [
    addLocalCommand,
    addControllerCommand,
    addCrdsCommand,
    addReadingCommands,
    addDriftCommand,
    addWritingCommands,
    addInputCommands,
    addUiCommand,
    addShellCommand,
    addStoreCommands,
    addVersionCommand,
    addCredentialCommand,
    addCompletionCommand,
  ])
    add(program);
  program.addCommand(agentCommand());
  return program;
}

/** `multinic log NODE`, `multinic log --limit <n>`: long options alone are frozen. */
export function commands(): string[] {
  return multinicProgram().commands.flatMap((command) => describe(command, 'multinic'));
}

function describe(command: Command, before: string): string[] {
  const name = `${before} ${command.name()}`;
  const values = command.registeredArguments.map((each) => ` ${each.name().toUpperCase()}`).join('');
  return [
    `${name}${values}`,
    ...command.options.map(({ flags }) => `${name} ${flags.replace(/^-\w, /, '')}`),
    ...command.commands.flatMap((each) => describe(each, name)),
  ];
}

export function exitCodes(): string[] {
  return [
    `${EXIT.done} multinic: done`,
    `${EXIT.failed} multinic: failed`,
    `${EXIT.usage} multinic: wrong usage`,
    `${EXIT.invalid} multinic: the input is invalid`,
    `${EXIT.unsettled} multinic: nodes or CRs are not as they should be`,
    `${AGENT.ok} agent: the report says how the host is`,
    `${AGENT.failed} agent: failed, the host is as before`,
    `${AGENT.usage} agent: wrong usage`,
    `${AGENT.restoreFailed} agent: failed, the host could not be restored`,
    `${AGENT.wouldChange} agent: plan would change the host`,
    `${AGENT.locked} agent: another agent runs on this node`,
  ];
}

export function variables(): string[] {
  return inSources(/\b(MULTINIC_[A-Z_]+)\b/g);
}
