// The bundle's first file checks only whether this Node can run the rest, because an older Node would die somewhere
// inside of it with a stack. The rest is a chunk that is loaded after the check.

import { setFlagsFromString } from 'node:v8';

const OLDEST = 24;

if (Number(process.versions.node.split('.', 1)[0]) < OLDEST) {
  process.stderr.write(
    `error: multinic needs Node ${OLDEST} or newer, and this is ${process.version}: in the project's folder npx multinic brings its own; elsewhere install Node ${OLDEST} (OldNode)\n`,
  );
  process.exit(1);
}

const [, , command] = process.argv;
if (command === 'agent') {
  // Loads the modules of a run before the flags change, because a change of flags invalidates the compiled code of
  // Node's own modules.
  for (const name of ['child_process', 'crypto', 'http', 'timers/promises'])
    process.getBuiltinModule(`node:${name}`);
  // Turns the optimiser off. The agent ends within a second, so an optimised function would cost 6 MB, a tenth of the
  // agent's memory, and save nothing.
  setFlagsFromString('--no-turbofan');
  await import('./agent-program.ts');
} else if (command === 'local') await import('./local-program.ts');
else if (command === 'controller') await import('./controller-program.ts');
else await import('./program.ts');
