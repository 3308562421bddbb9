import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runOf, snapshotOf, T0, tipOf } from '../../test/support/snapshot.ts';
import type { ConfigStatus } from '../api/status.ts';
import type { Snapshot } from '../controller/config-status.ts';
import { measuredStore, storeSize } from '../store/care/size.ts';
import { Metrics } from './metrics.ts';

function metrics(): Metrics {
  return new Metrics({
    staleness: () => ({}),
    depths: () => ({}),
    leading: () => true,
    answers: new Map(),
    store: async () => ({ bytes: 123, freeBytes: 456 }),
    certificateEnd: () => Date.UTC(2030, 0, 1),
    lastBackup: async () => Date.UTC(2030, 0, 1),
  });
}

/** A pass that found no CR and no node. */
const NOTHING = {
  report: {
    main: { configs: new Map() },
    branches: new Map(),
    stopped: new Set(),
    claims: { byEntry: new Map() },
  },
  jobs: [],
  decisions: new Map(),
  facts: new Map(),
};

test('counts runs by result and reason, and their seconds', async () => {
  const registry = metrics();
  registry.ran({ result: 'Applied', seconds: 0.2 });
  registry.ran({ result: 'Applied', seconds: 3 });
  registry.ran({ result: 'Failed', reason: 'NicInUse', seconds: 1 });
  registry.ran({ result: 'Unknown' });
  const text = await registry.text();
  expect(text).toContain('multinic_runs_total{result="Applied",reason=""} 2');
  expect(text).toContain('multinic_runs_total{result="Failed",reason="NicInUse"} 1');
  expect(text).toContain('multinic_run_seconds_bucket{le="0.25",result="Applied"} 1');
  expect(text).toContain('multinic_run_seconds_count{result="Applied"} 2');
  expect(text).not.toContain('multinic_run_seconds_count{result="Unknown"}');
});

test('has the build, the store, the certificate, the last pass and the changes that stopped', async () => {
  const registry = metrics();
  const waits = { due: false, reason: 'ChangeStopped' };
  registry.passed(
    {
      ...NOTHING,
      decisions: new Map([
        ['a', waits],
        ['b', waits],
        ['c', waits],
        ['d', { due: false, reason: 'UpToDate' }],
      ]),
      facts: new Map([
        ['a', { change: 'one' }],
        ['b', { change: 'one' }],
        ['c', { change: 'two' }],
        ['d', { change: 'three' }],
      ]),
    } as unknown as Snapshot,
    1,
    [stalled('True'), stalled('False'), stalled('True')],
  );
  const text = await registry.text();
  expect(text).toMatch(/^multinic_build_info\{version=".+",commit=".+"\} 1$/m);
  expect(text).toContain('multinic_store_bytes 123');
  expect(text).toContain('multinic_store_free_bytes 456');
  expect(text).toContain(`multinic_certificate_expiry_timestamp_seconds ${Date.UTC(2030, 0, 1) / 1000}`);
  expect(text).toContain(`multinic_last_backup_timestamp_seconds ${Date.UTC(2030, 0, 1) / 1000}`);
  expect(text).toContain('multinic_changes_stopped 2');
  expect(text).toContain('multinic_configs_stalled 2');
  const [, passed] = /^multinic_last_pass_timestamp_seconds ([\d.]+)$/m.exec(text)!;
  expect(Math.abs(Number(passed) - Date.now() / 1000)).toBeLessThan(10);
});

function stalled(status: 'True' | 'False'): ConfigStatus {
  const conditions = [
    { type: 'Stalled', status },
    { type: 'Ready', status: 'True' },
  ];
  return { conditions } as unknown as ConfigStatus;
}

function observed(observing: Snapshot['observing']): Snapshot {
  return { ...NOTHING, observing } as unknown as Snapshot;
}

test('the oldest observation is 0 again once no host waits for one', async () => {
  const registry = metrics();
  registry.passed(observed({ oldest: { node: 'a', at: 5_000 }, waiting: new Map() }), 1, []);
  expect(await registry.text()).toContain('multinic_oldest_observation_timestamp_seconds 5\n');
  registry.passed(observed({ waiting: new Map() }), 1, []);
  expect(await registry.text()).toContain('multinic_oldest_observation_timestamp_seconds 0\n');
});

test('has the drifted nodes, the repairs, the fights, the stop of repairs, and who waits to be looked at', async () => {
  const registry = metrics();
  const due = {
    due: true,
    attempt: 1,
    stampSeconds: T0,
    expectedRecord: tipOf('a'),
    requested: false,
  } as const;
  const repair = { ...due, repair: true } as const;
  const history = [runOf('a', 'Drifted'), runOf('a', 'Applied')];
  const nodes = snapshotOf({
    a: { decision: repair, facts: { history } },
    b: { decision: { due: false, reason: 'DriftFight' }, facts: { history } },
    c: { decision: { due: false, reason: 'Paused' }, facts: { history } },
    d: { decision: { due: false, reason: 'UpToDate' }, facts: { history: [runOf('d', 'Applied')] } },
  });
  const repairs = { drifted: 4, limit: 3, failed: 0, stopped: true };
  const waiting = new Map([['Boot', 7] as const]);
  registry.passed({ ...nodes, repairs, observing: { waiting } }, 1, []);
  const lines = (await registry.text()).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'multinic_nodes_drifted 3',
      'multinic_drift_fights 1',
      'multinic_repairs_total 1',
      'multinic_repairs_stopped 1',
      'multinic_observations_waiting{cause="Boot"} 7',
      'multinic_observations_waiting{cause="Interval"} 0',
    ]),
  );
});

test('the store is measured at most once in a while', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'multinic-size-'));
  try {
    await mkdir(join(dir, 'objects/pack'), { recursive: true });
    await writeFile(join(dir, 'objects/pack/a'), 'x'.repeat(1000));
    expect(await storeSize(dir)).toEqual({ bytes: 1000, freeBytes: expect.any(Number) });
    let time = 0;
    const measure = measuredStore(dir, 60, () => time);
    expect((await measure()).bytes).toBe(1000);
    await writeFile(join(dir, 'objects/b'), 'x');
    time = 59;
    expect((await measure()).bytes).toBe(1000);
    time = 60;
    expect((await measure()).bytes).toBe(1001);
  } finally {
    await rm(dir, { recursive: true });
  }
});
