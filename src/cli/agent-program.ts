// The program as it runs on a node. A node pays for no other command, so `multinic agent` loads none.

import { agentCommand } from './agent-command.ts';
import { rootCommand, runProgram } from './root-command.ts';

const program = rootCommand();
const agent = agentCommand();
for (const each of [agent, ...agent.commands]) each.copyInheritedSettings(program);
await runProgram(program.addCommand(agent));
