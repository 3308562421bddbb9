// Reads foreign state of the network namespace, runs a script that removes state, and restores it. Prints what was read
// and what could not be restored.
import { execFileSync } from 'node:child_process';
import { fromCommands, toCommands, type ForeignScope } from '../../src/agent/host/foreign-state.ts';
import { LiveForeignState } from '../../src/agent/live/live-foreign-state.ts';
import { mac } from './mac.ts';

const [scope = 'ours', script = '', own = '', name = '', isReloaded = ''] = process.argv.slice(2);
const nic = { mac: mac(own), name };
const foreign = new LiveForeignState();
const read = toCommands(await foreign.read([nic.mac], scope as ForeignScope));
execFileSync('sh', ['-ec', script]);
// The host record keeps the state as commands.
const lost = toCommands(await foreign.restore(fromCommands(read), [nic], isReloaded === 'true'));
console.log(JSON.stringify({ read, lost }));
