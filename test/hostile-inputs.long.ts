// Hostile CRs, files of hosts and restored stores do not stop the controller: one node waits, the others go on.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LocalRun, NODES } from './support/local.ts';

const [ONE, TWO] = NODES;

const setMtu = (local: LocalRun, node: number, mtu: number): Promise<string> =>
  local.editConfig((spec) => {
    spec.nodeConfigs[node]!.interfaces![0]!.mtu = mtu;
  });

test('entries that are lists, texts or empty are kept as written, also by the next process', async () => {
  await using local = await LocalRun.start();
  await local.editConfig((spec) => {
    spec.nodeConfigs.push([] as never, [[]] as never, 'text' as never, { duplicates: [] } as never);
  });
  const main = await local.ref('refs/heads/main');
  await local.restart();
  await local.settled();
  expect(await local.ref('refs/heads/main')).toBe(main);
  await setMtu(local, 0, 1400);
  expect((await local.node(ONE)).state).toBe('Configured');
});

test('a host whose record names a tree instead of a commit delays no other node', async () => {
  await using local = await LocalRun.start();
  const file = join(local.hostRoot(ONE), 'var/lib/multinic/record.json');
  const tree = await local.git('rev-parse', `node/${ONE}^{tree}`);
  const record = await readFile(file, 'utf8');
  expect(record).toContain(await local.tip(ONE));
  await writeFile(file, record.replaceAll(await local.tip(ONE), tree));
  await setMtu(local, 0, 1400);
  await setMtu(local, 1, 1400);
  await local.applied(TWO, await local.tip(TWO));
  expect((await local.node(ONE)).reason).toBe('NeedsConfirm');
  await local.run('confirm', ONE);
  await local.applied(ONE, await local.tip(ONE));
});

test('a machine ID with a line feed stops its own node alone, until the machine is mended', async () => {
  await using local = await LocalRun.start();
  let machineId = '';
  await local.editHost(ONE, (host) => {
    machineId = host.machineId;
    host.machineId = 'abc\ndef';
  });
  await setMtu(local, 1, 1400);
  await local.applied(TWO, await local.tip(TWO));
  await local.restart();
  await local.editHost(ONE, (host) => {
    host.machineId = machineId;
  });
  await setMtu(local, 0, 1400);
  await local.applied(ONE, await local.tip(ONE));
  expect((await local.node(ONE)).state).toBe('Configured');
});

test('a tip that somebody moved in the repository gets a bounded number of jobs', async () => {
  await using local = await LocalRun.start();
  const tip = await local.tip(ONE);
  const moved = await local.git(
    '-c',
    'user.name=x',
    '-c',
    'user.email=x@example.org',
    'commit-tree',
    `${tip}^{tree}`,
    '-p',
    tip,
    '-m',
    'past',
  );
  await local.git('update-ref', `refs/heads/node/${ONE}`, moved);
  await local.run('retry', ONE);
  await local.applied(ONE, moved);
  const jobs = (
    await local.git('log', '--first-parent', '--format=%(trailers:key=Job,valueonly)', `outcome/${ONE}`)
  )
    .split('\n')
    .filter(Boolean);
  expect(jobs.length).toBeLessThanOrEqual(3);
});

test('a store restored to a time before a job: the controller forgets the job', async () => {
  await using local = await LocalRun.start();
  const bundle = join(local.dir, 'before.bundle');
  await local.run('backup', bundle);
  await local.stop();
  await setMtuFile(local, 1400);
  await local.launch({ env: { MULTINIC_KILL_AT: 'controller.ended' } });
  expect(await local.ended()).toBe('SIGKILL');
  await local.run('restore', '--force', bundle);
  await local.launch();
  await local.settled();
  expect((await local.node(ONE)).state).toBe('Configured');
});

async function setMtuFile(local: LocalRun, mtu: number): Promise<void> {
  const config = await local.config();
  config.spec.nodeConfigs[0]!.interfaces![0]!.mtu = mtu;
  await local.writeConfig(config);
}
