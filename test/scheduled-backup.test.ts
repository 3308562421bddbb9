// Backups that a controller writes by itself into a folder: when, which stay, and what a failure leaves.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { BackgroundBackup } from '../src/controller/background-backup.ts';
import { restore } from '../src/store/care/backup.ts';
import { openReader } from '../src/store/reader.ts';
import { Store } from '../src/store/store.ts';
import { LocalRun } from './support/local.ts';
import { inFolder } from './support/store-crash.ts';
import { valuesOf, writeValue } from './support/store-values.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1, 12);

class Scheduled {
  now = START;
  readonly said: string[] = [];
  readonly store: Store;
  readonly dir: string;
  /** Another process, or another leader, has another one on the same folder. */
  backups: BackgroundBackup;

  constructor(store: Store, dir: string) {
    this.store = store;
    this.dir = dir;
    this.backups = this.restarted();
  }

  restarted(): BackgroundBackup {
    const log = pino({ level: 'info' }, { write: (line: string) => this.said.push(line) });
    const schedule = { dir: this.dir, everyMs: 24 * HOUR, keep: 3 };
    return new BackgroundBackup(this.store.dir, schedule, log, () => this.now);
  }

  /** What happens after a pass at that time. @returns the folder then */
  async pass(hours: number): Promise<string[]> {
    this.now = START + hours * HOUR;
    this.backups.startIfDue();
    this.backups.startIfDue();
    await this.backups.idle();
    return this.files();
  }

  async files(): Promise<string[]> {
    return (await readdir(this.dir)).sort();
  }
}

async function scheduled(check: (it: Scheduled, folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const dir = join(folder, 'backups');
    await mkdir(dir);
    const store = await Store.open(join(folder, 'store.git'));
    try {
      await writeValue(store, 1);
      await check(new Scheduled(store, dir), folder);
    } finally {
      await store.close();
    }
  });
}

const [FIRST, SECOND, THIRD, FOURTH] = ['01', '02', '03', '04'].map(
  (day) => `multinic-202601${day}T120000Z.bundle`,
);

test('the first is due at once, the next after the interval, also for another process, and the newest stay', async () => {
  await scheduled(async (it) => {
    expect(await it.backups.newestAt()).toBe(0);
    expect(await it.pass(0)).toEqual([FIRST]);
    expect(await it.backups.newestAt()).toBe(START);
    expect(await it.pass(23)).toEqual([FIRST]);
    it.backups = it.restarted();
    expect(await it.pass(23.9)).toEqual([FIRST]);
    expect(await it.pass(24)).toEqual([FIRST, SECOND]);
    await writeFile(join(it.dir, 'mine.bundle'), '');
    expect(await it.pass(48)).toEqual(['mine.bundle', FIRST, SECOND, THIRD]);
    expect(await it.pass(72)).toEqual(['mine.bundle', SECOND, THIRD, FOURTH]);
  });
});

test('a store is restored from one, as it was then', async () => {
  await scheduled(async (it, folder) => {
    await it.pass(0);
    await writeValue(it.store, 2);
    await it.pass(24);
    for (const [name, value] of [
      [FIRST, 1],
      [SECOND, 2],
    ] as const) {
      const target = join(folder, `restored-${value}.git`);
      await restore(join(it.dir, name!), target);
      const reader = openReader(target);
      expect(new Set(await valuesOf(reader))).toEqual(new Set([value]));
      await reader.close();
    }
  });
});

test('a clock that was ahead for a while stops no backup', async () => {
  await scheduled(async (it) => {
    await it.pass(24 * 365);
    const [ahead] = await it.files();
    expect(await it.pass(0)).toEqual([FIRST, ahead]);
    expect(await it.backups.newestAt()).toBe(START);
    expect(await it.pass(1)).toEqual([FIRST, ahead]);
    expect(await it.pass(24)).toEqual([FIRST, SECOND, ahead]);
    expect(await it.pass(48)).toEqual([SECOND, THIRD, ahead]);
  });
});

test('a failure is logged, loses no earlier backup, and is tried again after five minutes', async () => {
  await scheduled(async (it, folder) => {
    await it.pass(0);
    const failures = (): number => it.said.filter((line) => line.includes('a backup failed')).length;
    const { dir } = it.store;
    const away = new BackgroundBackup(
      join(folder, 'none.git'),
      { dir: it.dir, everyMs: 24 * HOUR, keep: 1 },
      pino({ level: 'info' }, { write: (line: string) => it.said.push(line) }),
      () => it.now,
    );
    const at = async (backups: BackgroundBackup, hours: number): Promise<number> => {
      it.backups = backups;
      await it.pass(hours);
      return failures();
    };
    expect(await at(away, 24)).toBe(1);
    expect(await at(away, 24 + 4 / 60)).toBe(1);
    expect(await at(away, 24 + 5 / 60)).toBe(2);
    expect(await it.files()).toEqual([FIRST]);
    expect(existsSync(dir)).toBe(true);
    // A folder that is away, as a volume may be, is a failure as well.
    it.backups = it.restarted();
    await rm(it.dir, { recursive: true });
    it.now = START + 30 * HOUR;
    it.backups.startIfDue();
    await it.backups.idle();
    expect(it.said.at(-1)).toContain('NotWritable');
  });
});

test('what a killed backup left is taken away by the next, and nothing else is', async () => {
  await scheduled(async (it) => {
    const left = `multinic-20251231T120000Z.bundle`;
    await mkdir(join(it.dir, `${left}.check-AbC123`));
    await writeFile(join(it.dir, `${left}.partial`), 'x');
    await writeFile(join(it.dir, 'notes.partial'), 'x');
    expect(await it.pass(0)).toEqual([FIRST, 'notes.partial']);
  });
});

test('an end of the controller ends a backup, and leaves the folder as it was', async () => {
  await scheduled(async (it) => {
    await it.pass(0);
    it.now = START + 24 * HOUR;
    it.backups.startIfDue();
    await it.backups.close();
    expect(await it.files()).toEqual([FIRST]);
    expect(it.said.filter((line) => line.includes('failed'))).toEqual([]);
    it.backups.startIfDue();
    await it.backups.idle();
    expect(await it.files()).toEqual([FIRST]);
    it.backups = it.restarted();
    expect(await it.pass(24)).toEqual([FIRST, SECOND]);
  });
});

test('multinic local --backup-dir writes one, which brings the home back', async () => {
  await using local = await LocalRun.start();
  await local.stop();
  const dir = join(dirname(local.dir), 'backups');
  const refused = await local.cli('local', local.dir, '--once', '--backup-dir', dir);
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/is no folder: .*\(NotWritable\)$/),
  });
  await mkdir(dir);
  expect(await local.cli('local', local.dir, '--once', '--backup-dir', dir)).toMatchObject({ code: 0 });
  const [name, ...more] = await readdir(dir);
  expect([name, more]).toEqual([expect.stringMatching(/^multinic-\d{8}T\d{6}Z\.bundle$/), []]);
  const refs = ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/audit'] as const;
  const saved = await local.git(...refs);
  await rm(join(local.dir, 'store.git'), { recursive: true });
  expect(await local.run('restore', join(dir, name!))).toBe('restored');
  expect(await local.git(...refs)).toBe(saved);
  expect(spawnSync('git', ['bundle', 'list-heads', join(dir, name!)]).status).toBe(0);
});
