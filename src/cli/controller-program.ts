// The program as a controller in a cluster. The controller runs for months, so it loads no other command.

import { readPodSettings } from '../kube/pod-settings.ts';
import { addControllerCommand } from './controller-command.ts';
import { rememberWhere, type Where } from './remedy.ts';
import { rootCommand, runProgram } from './root-command.ts';

const program = rootCommand().hook('preAction', (_, command) => rememberWhere(command.opts<Where>()));
addControllerCommand(program, readPodSettings);
await runProgram(program);
