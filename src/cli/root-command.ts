// The root of every command line of multinic: its name and version, and how the process ends.

import { Command } from 'commander';
import { BUILD } from '../api/build-info.ts';
import { EXIT } from '../api/exit-codes.ts';
import { fail } from './output.ts';

/** The program without commands. A command gets its settings by `copyInheritedSettings`. */
export function rootCommand(): Command {
  return new Command('multinic')
    .version(BUILD.version, '-V, --version')
    .configureHelp({ sortSubcommands: false })
    .showHelpAfterError('(multinic --help lists the commands)')
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
  try {
    await program.parseAsync();
  } catch (error) {
    fail(error);
  }
}
