// The root of every command line of multinic: its name and version, and how the process ends.

import { Command } from 'commander';
import { BUILD } from '../api/build-info.ts';
import { EXIT } from '../api/exit-codes.ts';
import { fail } from './output.ts';
import { PROGRAM } from './remedy.ts';

/** The program without commands. A command gets its settings by `copyInheritedSettings`. */
export function rootCommand(): Command {
  return new Command('multinic')
    .version(BUILD.version, '-V, --version')
    .configureHelp({ sortSubcommands: false })
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : EXIT.usage);
    });
}

/** Runs the command that the command line names, and ends the process if it fails. */
export async function runProgram(program: Command): Promise<void> {
  // `multinic log | head` closes the pipe early, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.done);
    throw error;
  });
  nameHelp(program);
  try {
    await program.parseAsync();
  } catch (error) {
    fail(error);
  }
}

/** Lets each command answer wrong usage with the command that shows its own options. */
function nameHelp(command: Command, name: string = PROGRAM): void {
  const help = command.commands.length > 0 ? 'lists the commands' : 'shows its arguments and options';
  command.showHelpAfterError(`(${name} --help ${help})`);
  for (const each of command.commands) nameHelp(each, `${name} ${each.name()}`);
}
