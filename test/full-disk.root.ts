// Full disks, made with a mount, which takes root: first under a controller, then under an agent.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BackgroundBackup } from '../src/controller/background-backup.ts';
import type { Network } from '../src/network/interface.ts';
import {
  Folder,
  hostFiles,
  machine,
  makeRoot,
  nic,
  runAgent,
  TestStore,
  type AgentEnd,
} from './support/agent.ts';
import { LocalRun, NODES } from './support/local.ts';

const [ONE] = NODES;
const NETPLAN = 'etc/netplan/90-multinic0.yaml';

test('a full disk under the store: the controller says so, still reads, and writes again when there is room', async () => {
  await using local = await LocalRun.prepare();
  const store = join(local.dir, 'store.git');
  await mkdir(store);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=100m', 'multinic-test', store]);
  try {
    await local.launch();
    await local.settled();
    const ballast = join(store, 'ballast');
    await writeFile(ballast, Buffer.alloc(50 * 1024 * 1024));
    const main = await local.ref('refs/heads/main');
    const config = await local.config();
    config.spec.nodeConfigs.find((each) => each.attachedNodeName === ONE)!.interfaces![0]!.mtu = 1400;
    await local.writeConfig(config);
    await local.until('DiskFull is said', () =>
      /DiskFull .*make room, writing goes on by itself/.test(local.output),
    );
    expect(await local.run('log', ONE)).toContain('add multinic0');
    const status = await local.cli('status');
    expect(status.code).toBe(4);
    expect(status.stdout).toMatch(/^Passes fail: .*make room[^]*Configured/);
    expect(await local.run('show', ONE)).toContain('1500');
    expect((await local.cli('retry', ONE)).stderr).toMatch(/make room.*\(DiskFull\)/);
    expect(await local.ref('refs/heads/main')).toBe(main);

    await rm(ballast);
    await local.until('the edit is on the host', async () =>
      Boolean((await local.hostFile(ONE, NETPLAN))?.includes('mtu: 1400')),
    );
    await local.applied(ONE, await local.tip(ONE));
    expect(await local.run('status')).not.toContain('Passes fail');
    expect(await local.git('fsck', '--full', '--no-dangling')).toBe('');
  } finally {
    await local.stop();
    execFileSync('umount', ['--lazy', store]);
  }
});

describe('a full disk under the root of a host', () => {
  const OLD: Network = [nic(0), nic(1), nic(2)];
  const NEW: Network = [nic(0, { mtu: 1400 }), nic(2, { address: '192.168.102.11' }), nic(3)];
  let folder: Folder;
  let store: TestStore;
  let disk: string;
  let applied: string;
  let root: string;
  let first: string;
  let second: string;

  beforeAll(async () => {
    folder = new Folder();
    store = await TestStore.open(folder.path);
    first = await store.commit('netplan', OLD);
    applied = makeRoot(join(folder.path, 'applied'), machine(4));
    await run(applied, first, null);
    second = await store.commit('netplan', NEW);
    disk = join(folder.path, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,nr_inodes=200', 'multinic-test', disk]);
  });
  afterAll(async () => {
    execFileSync('umount', ['--lazy', disk]);
    await store.close();
    folder[Symbol.dispose]();
  });

  function run(on: string, commit: string, expectedRecord: string | null): Promise<AgentEnd> {
    return runAgent({ dir: folder.path, root: on, url: store.server.url, commit, expectedRecord });
  }

  const advance = (): Promise<AgentEnd> => run(root, second, first);

  test('nothing is touched, and the run goes on by itself when there is room', async () => {
    root = join(disk, 'root');
    cpSync(applied, root, { recursive: true });
    const before = hostFiles(root);
    writeFileSync(join(disk, 'fill'), Buffer.alloc(3.5 * 1024 * 1024));
    expect((await advance()).outcome).toMatchObject({
      result: 'Failed',
      reason: 'DiskFull',
      step: 'preflight',
    });
    expect(hostFiles(root)).toEqual(before);
    rmSync(join(disk, 'fill'));
    expect((await advance()).outcome?.result).toBe('Applied');
  });

  test('a root that is mounted read-only: nothing is touched', async () => {
    root = join(disk, 'root');
    const before = hostFiles(root);
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const end = await advance();
    execFileSync('mount', ['-o', 'remount,rw', disk]);
    expect(end.outcome).toMatchObject({ result: 'Failed', reason: 'HostReadOnly' });
    expect(hostFiles(root)).toEqual(before);
  });
});

test('a full disk under scheduled backups: the oldest makes room, the only one stays, and it goes on when there is room', async () => {
  const folder = new Folder();
  const dir = join(folder.path, 'backups');
  mkdirSync(dir);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=100m', 'multinic-test', dir]);
  const store = await TestStore.open(join(folder.path));
  const ballast = (mib: number): void => writeFileSync(join(dir, 'ballast'), Buffer.alloc(mib * 1024 * 1024));
  const bundles = (): string[] => readdirSync(dir).filter((name) => name.endsWith('.bundle'));
  const said: string[] = [];
  let now = Date.UTC(2026, 0, 1);
  const log = pino({ level: 'info' }, { write: (line: string) => said.push(line) });
  const schedule = { dir, everyMs: 3_600_000, keep: 2 };
  const backups = new BackgroundBackup(store.store.dir, schedule, log, () => now);
  const next = async (): Promise<string[]> => {
    now += 3_600_000;
    backups.startIfDue();
    await backups.idle();
    return bundles();
  };
  try {
    await store.commit('netplan', [nic(0)]);
    await next();
    expect(await next()).toHaveLength(2);
    const [, newest] = bundles();
    ballast(50);
    // Even without the oldest there is no room.
    expect(await next()).toEqual([newest]);
    expect(said.at(-1)).toMatch(/MiB are free at .*backups.*make room.*DiskFull/);
    expect(await next()).toEqual([newest]);
    rmSync(join(dir, 'ballast'));
    expect(await next()).toEqual([newest, expect.any(String)]);
  } finally {
    await store.close();
    execFileSync('umount', ['--lazy', dir]);
    folder[Symbol.dispose]();
  }
});
