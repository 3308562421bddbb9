// Two controllers, pushes between commits and a clock that goes back do no harm to a running system. The full disk is
// in full-disk.root.ts, because it takes a mount.

import { once } from 'node:events';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { waitFor } from './nodes/wait.ts';
import { LocalRun, NODES, type TestSpec } from './support/local.ts';

const [ONE, TWO] = NODES;
const NETPLAN = 'etc/netplan/90-multinic0.yaml';

const setMtu =
  (node: string, mtu: number) =>
  (spec: TestSpec): void => {
    spec.nodeConfigs.find(({ attachedNodeName }) => attachedNodeName === node)!.interfaces![0]!.mtu = mtu;
  };

/** Edits the file of a CR, and waits for nothing. */
async function write(local: LocalRun, edit: (spec: TestSpec) => void): Promise<void> {
  const config = await local.config();
  edit(config.spec);
  await local.writeConfig(config);
}

const allRefs = (local: LocalRun): Promise<string> =>
  local.git('for-each-ref', '--format=%(refname) %(objectname)');

test('a second controller on the folder is refused at its start, with the process ID of the first', async () => {
  await using local = await LocalRun.start();
  const before = await allRefs(local);
  const second = await local.cli('local', local.dir, '--port', '0');
  expect(second.code).toBe(1);
  expect(second.stdout).toBe('');
  expect(second.stderr).toMatch(
    new RegExp(
      `^error: another controller works on this folder \\(pid ${local.process.pid}, since .*stop it`,
    ),
  );
  expect(await allRefs(local)).toBe(before);
  expect(await local.run('status')).toContain('3 nodes are configured');
});

/** Makes another home on the same store. Its controller takes the store over, which no lock of a folder can prevent. */
async function takeOver(first: LocalRun): Promise<LocalRun> {
  const second = await LocalRun.prepare(first.dir);
  await rm(join(second.dir, 'store.git'), { recursive: true });
  await symlink(join(first.dir, 'store.git'), join(second.dir, 'store.git'));
  await rm(join(second.dir, 'controller.json'));
  await second.launch();
  await second.settled();
  return second;
}

test('a suspended controller that resumes after another took over: its next write is fenced, and it exits', async () => {
  await using first = await LocalRun.start();
  const old = first.process;
  old.kill('SIGSTOP');
  await using second = await takeOver(first);
  await second.editConfig(setMtu(TWO, 1400));
  const before = await allRefs(second);

  const ended = once(old, 'exit');
  await write(first, setMtu(ONE, 9000));
  old.kill('SIGCONT');
  expect(await ended).toEqual([1, null]);
  expect(first.output).toMatch(/error: another controller took over the store .*run only one \(Fenced\)/);
  expect(await allRefs(second)).toBe(before);
  expect(await first.hostFile(ONE, NETPLAN)).toContain('mtu: 1500');

  await second.editConfig(setMtu(TWO, 1300));
  expect(await second.git('fsck', '--full', '--no-dangling')).toBe('');
});

test('a push through the server of a replaced controller is refused, and that controller exits', async () => {
  await using first = await LocalRun.start();
  const copy = await first.clone();
  await copy.switch(ONE);
  const old = first.process;
  old.kill('SIGSTOP');
  await using second = await takeOver(first);
  const before = await allRefs(second);

  await copy.git('revert', '--no-edit', 'HEAD');
  const ended = once(old, 'exit');
  old.kill('SIGCONT');
  const pushed = await copy.tryGit('push', 'origin', `node/${ONE}`);
  expect(pushed.code).not.toBe(0);
  // The controller may have exited by itself before the push came.
  expect(pushed.stderr).toMatch(
    /another controller (took|has taken) over|Connection refused|Couldn't connect|Could not connect|Empty reply|reset by peer/,
  );
  expect(await ended).toEqual([1, null]);
  expect(first.output).toMatch(/error: another controller took over the store .*\(Fenced\)/);
  expect(await allRefs(second)).toBe(before);

  // The same push to the new controller is accepted.
  await copy.git('push', '-q', await second.remote(), `node/${ONE}`);
  await second.applied(ONE, await copy.git('rev-parse', 'HEAD'));
});

test('a store restored under a controller is noticed by its next pass, even if that pass writes nothing', async () => {
  await using local = await LocalRun.start();
  const bundle = join(dirname(local.dir), 'store.bundle');
  await local.run('backup', bundle);
  const ended = once(local.process, 'exit');
  await local.run('restore', bundle, '--force');
  await write(local, () => undefined);
  expect(await ended).toEqual([1, null]);
  expect(local.output).toMatch(/error: another controller took over the store .*\(Fenced\)/);
  await local.launch();
  await local.settled();
  expect(await local.run('status')).toContain('3 nodes are configured');
});

test('a store restored under an idle controller is noticed without an event', async () => {
  await using local = await LocalRun.start();
  const bundle = join(dirname(local.dir), 'store.bundle');
  await local.run('backup', bundle);
  await local.settled();
  const ended = once(local.process, 'exit');
  await local.run('restore', bundle, '--force');
  const noticed = await Promise.race([ended, pause(15_000)]);
  expect(noticed).toEqual([1, null]);
  expect(local.output).toMatch(/error: another controller took over the store .*\(Fenced\)/);
});

test('a store restored while a job runs: the job of a lost commit delays nothing', async () => {
  await using local = await LocalRun.start();
  const bundle = join(dirname(local.dir), 'store.bundle');
  await local.run('backup', bundle);
  const started = local.output.length;
  await write(local, setMtu(ONE, 1400));
  await waitFor('the commit', async () => local.output.slice(started).includes('Committed'), {
    timeoutMs: 60_000,
    everyMs: 1,
  });
  const ended = once(local.process, 'exit');
  local.process.kill('SIGSTOP');
  await local.run('restore', bundle, '--force');
  local.process.kill('SIGCONT');
  // A pass follows, however the job ended.
  await write(local, () => undefined);
  expect(await ended).toEqual([1, null]);
  await local.launch();
  await local.settled();
  expect((await local.node(ONE)).state).toBe('Configured');
  expect(await local.hostFile(ONE, NETPLAN)).toContain('mtu: 1400');
});

test('a host with a lost commit gets a run, which reports that the host has another commit', async () => {
  await using local = await LocalRun.start();
  const bundle = join(dirname(local.dir), 'store.bundle');
  await local.run('backup', bundle);
  await local.restart({ env: { MULTINIC_KILL_AT: 'controller.ended' } });
  const asSaved = await local.config();
  await write(local, setMtu(ONE, 1400));
  expect(await local.ended()).toBe('SIGKILL');
  await local.run('restore', bundle, '--force');
  await local.writeConfig(asSaved);
  await local.launch();
  await local.untilStatus('the host has something else', ({ nodes }) =>
    nodes.some(({ node, reason }) => node === ONE && reason === 'NeedsConfirm'),
  );
  expect(await local.hostFile(ONE, NETPLAN)).toContain('mtu: 1400');
  await local.run('confirm', ONE);
  await local.applied(ONE, await local.tip(ONE));
  expect(await local.hostFile(ONE, NETPLAN)).toContain('mtu: 1500');
});

test('pushes while the mirror commits to the same node and to another: none is lost, and the store is intact', async () => {
  await using local = await LocalRun.start();
  const copy = await local.clone();
  const landed: string[] = [];
  for (let round = 0; round < 6; round++) {
    const node = round % 2 === 0 ? ONE : TWO;
    await copy.switch(ONE);
    const file = join(copy.dir, NETPLAN);
    await writeFile(
      file,
      (await local.git('show', `node/${ONE}:${NETPLAN}`)).replace(/mtu: \d+/, `mtu: ${2000 + round}`) + '\n',
    );
    await copy.git('commit', '-qam', `mtu ${2000 + round}`);
    const main = await local.ref('refs/heads/main');
    await write(local, setMtu(node, 3000 + round));
    // The watch acts after 100 ms of quiet: pushes fall before, into and after the commit.
    await pause(60 + round * 30);
    const { code } = await copy.tryGit('push', '-q', 'origin', `node/${ONE}`);
    if (code === 0) landed.push(await copy.git('rev-parse', 'HEAD'));
    await local.until('main has the edit', async () => (await local.ref('refs/heads/main')) !== main);
    await local.settled();
  }
  expect(landed.length).toBeGreaterThan(0);
  for (const commit of landed) await local.git('merge-base', '--is-ancestor', commit, `node/${ONE}`);
  const specs = await local.git('log', '--format=%(trailers:key=Change,valueonly,separator=)', `node/${ONE}`);
  expect(specs.split('\n').filter((kind) => kind === 'spec')).toHaveLength(1 + 3);
  const pushes = (await local.subjects('refs/audit/pushes')).filter((subject) => subject.includes(ONE));
  expect(pushes.length).toBeGreaterThanOrEqual(landed.length);
  expect(await local.git('fsck', '--full', '--no-dangling')).toBe('');
});

test('a clock that is set back a day: commit times never go back, and jobs run', async () => {
  await using local = await LocalRun.start();
  const clock = join(dirname(local.dir), 'clock.mjs');
  await writeFile(`${clock}.new`, `const now = Date.now.bind(Date); Date.now = () => now() - 86_400_000;`);
  await rename(`${clock}.new`, clock);
  await local.restart({ env: { NODE_OPTIONS: `--import=${clock}` } });
  await local.editConfig(setMtu(ONE, 1400));
  // A person with a right clock makes commits that are of tomorrow for this controller.
  const copy = await local.clone();
  await expect(copy.revert(ONE, 'HEAD')).rejects.toThrow(/FutureDate.*set your clock/);
  await local.run('rollback', ONE);
  await local.applied(ONE, await local.tip(ONE));
  await local.editConfig(setMtu(ONE, 1300));
  await local.restart();
  await local.editConfig(setMtu(ONE, 1350));
  for (const branch of ['main', `node/${ONE}`, `outcome/${ONE}`]) {
    const times = (await local.git('log', '--first-parent', '--format=%ct', branch)).split('\n').map(Number);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  }
  expect((await local.node(ONE)).state).toBe('Configured');
  expect(await local.hostFile(ONE, NETPLAN)).toContain('mtu: 1350');
});
