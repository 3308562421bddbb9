// The program as a controller in a cluster. The controller runs for months, so it loads no other command.

import { addControllerCommand } from './controller-command.ts';
import { rememberWhere, type Where } from './remedy.ts';
import { rootCommand, runProgram } from './root-command.ts';

const program = rootCommand().hook('preAction', (_, command) => rememberWhere(command.opts<Where>()));
addControllerCommand(program);
await runProgram(program);
