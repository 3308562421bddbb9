import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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
  });
}

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
      report: {
        main: { configs: new Map() },
        branches: new Map(),
        stopped: new Set(),
        claims: { byEntry: new Map() },
      },
      jobs: [],
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
  );
  const text = await registry.text();
  expect(text).toMatch(/^multinic_build_info\{version=".+",commit=".+"\} 1$/m);
  expect(text).toContain('multinic_store_bytes 123');
  expect(text).toContain('multinic_store_free_bytes 456');
  expect(text).toContain(`multinic_certificate_expiry_timestamp_seconds ${Date.UTC(2030, 0, 1) / 1000}`);
  expect(text).toContain('multinic_changes_stopped 2');
  const [, passed] = /^multinic_last_pass_timestamp_seconds ([\d.]+)$/m.exec(text)!;
  expect(Math.abs(Number(passed) - Date.now() / 1000)).toBeLessThan(10);
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
