// Starts a process while few file descriptors are left, then again when there are enough. A program of its own: the limit
// holds for a process. Prints a line of JSON for each number of descriptors.
//
//   sh -c 'ulimit -n 128; exec node without-descriptors.ts reader|push|command STORE'
import { closeSync, openSync } from 'node:fs';
import { run } from '../../src/agent/command/host-command.ts';
import { startReceivePack } from '../../src/store/push/process.ts';
import { openReader } from '../../src/store/reader.ts';

const MAX_LEFT = 14;
const [what = '', dir = ''] = process.argv.slice(2);

const ACTIONS: Readonly<Record<string, () => Promise<unknown>>> = {
  reader: async () => {
    const reader = openReader(dir);
    try {
      return await reader.ref('refs/heads/main');
    } finally {
      await reader.close();
    }
  },
  push: async () => {
    const { preReceive, prepared, ended } = await startReceivePack(dir, dir, Buffer.from('0000'));
    for (const socket of [preReceive, prepared]) socket.on('error', () => undefined).resume();
    return (await ended).code;
  },
  command: async () => (await run(['true'], 10_000)).code,
};

/** Result of the action with as many descriptors left; undefined: with all. */
async function result(left?: number): Promise<unknown> {
  const held: number[] = [];
  try {
    if (left !== undefined) {
      for (;;) held.push(openSync('/dev/null', 'r'));
    }
  } catch {
    for (const fd of held.splice(0, left)) closeSync(fd);
  }
  try {
    return { value: await ACTIONS[what]!() };
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException;
    return { name, code };
  } finally {
    for (const fd of held) closeSync(fd);
  }
}

// Loads what the action needs, before the descriptors are gone.
await result();
for (let left = 0; left <= MAX_LEFT; left += 1)
  console.log(JSON.stringify({ left, few: await result(left), enough: await result() }));
