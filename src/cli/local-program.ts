// The program as a controller on a folder. The controller runs for months, so it loads no other command.

import { addLocalCommand } from './local-command.ts';
import { rootCommand, runProgram } from './root-command.ts';

const program = rootCommand();
addLocalCommand(program);
await runProgram(program);
