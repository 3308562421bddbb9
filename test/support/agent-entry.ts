// What `multinic agent …` does, without the rest of the command line: started by tests as a process of its own.
import { agentCommand } from '../../src/agent/cli.ts';

await agentCommand().parseAsync();
