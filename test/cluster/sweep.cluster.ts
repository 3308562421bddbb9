// The next run of a lab removes everything that a killed run left, at any instant, and nothing of other labs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lab } from '../nodes/lab.ts';
import { Slot } from '../nodes/slot.ts';

const LAB = join(import.meta.dirname, '../nodes/lab.ts');
const RUN = `
  import { Lab } from ${JSON.stringify(LAB)};
  const lab = await Lab.open();
  console.log(lab.slot.number);
  await Promise.all(['one', 'two'].map((name) => lab.boot({ name })));
  console.log('booted');
  setInterval(() => {}, 1000);
`;

test.each([0, 100, 300, 700, 'booted'] as const)('killed %s (ms) after it got its slot', async (instant) => {
  await using mine = await Lab.open();
  const machine = await mine.boot({ name: 'bystander' });

  const run = spawn(process.execPath, ['--input-type=module', '--eval', RUN], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = run.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
  const slot = new Slot(Number((await lines.next()).value));
  if (instant === 'booted') await lines.next();
  else await sleep(instant);
  run.kill('SIGKILL');
  await once(run, 'exit');
  expect(await leftovers(slot)).not.toEqual([]);

  await Slot.sweep(() => {});
  expect(await leftovers(slot)).toEqual([]);
  expect(await machine.exec(['hostname'])).toBe('bystander');
});

/** Lists everything on this machine that has the slot's name. */
async function leftovers(slot: Slot): Promise<string[]> {
  const folder = await access(slot.dir).then(
    () => [slot.dir],
    () => [],
  );
  const spaces = await readdir('/run/netns').catch(() => []);
  const links = await readdir('/sys/class/net');
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return [
    ...folder,
    ...spaces.filter((name) => name === slot.name || name.startsWith(`${slot.name}-`)),
    ...links.filter((name) => name === slot.uplink),
    ...mounts.filter((line) => line.includes(` ${slot.dir}/`)),
    ...(await processesOf(slot)),
  ];
}

async function processesOf(slot: Slot): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const groups = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')),
  );
  return pids.filter((_, index) => groups[index]?.includes(`multinic-lab/${slot.number}/`));
}
