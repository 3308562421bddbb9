// Makes changes of a running link, and prints the processes that it starts. link-steps.root.ts runs it.
import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import type { LinkGroup } from '../../src/agent/host/machine.ts';
import { LiveLinks } from '../../src/agent/live/live-links.ts';
import { NetworkManager } from '../../src/agent/live/network-manager.ts';

const started: ChildProcess[] = [];
subscribe('child_process', (message) => {
  started.push((message as { process: ChildProcess }).process);
});
const links = new LiveLinks('/', new NetworkManager((command) => command));
await links.change(JSON.parse(process.argv[2] ?? '') as LinkGroup);
console.log(JSON.stringify(started.map(({ spawnargs }) => spawnargs.join(' '))));
