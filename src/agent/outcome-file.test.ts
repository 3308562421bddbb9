import { oid } from '../../test/support/oid.ts';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OUTCOME_MAX_BYTES, Outcome } from '../api/outcome.ts';
import { Observation } from '../api/observation.ts';
import { fitObservation, fitOutcome, writeProgress, writeReport } from './outcome-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'multinic-report-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const OUTCOME: Outcome = {
  version: 1,
  node: 'worker-1',
  job: 'multinic-agent-i-0123456789abcdef0-20250121103200',
  commit: oid('1'.repeat(40)),
  result: 'Applied',
  step: 'report',
  machineId: '8b3c1f0e5d9a4c7b92e61a0f3d7c5b01',
  bootId: '3f1c8d52-6a0e-4d3b-9b77-0c5e2a914d01',
  startedAt: '2025-01-21T10:32:00.000Z',
  durationMs: 100,
  written: [],
  removed: [],
  missing: [],
  found: [],
};

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

test('what fits stays as it is', () => {
  expect(fitOutcome(OUTCOME)).toEqual(OUTCOME);
});

test('lists are cut, those of least use first, and the report says how much is missing', () => {
  const found = many(32, (index) => ({ mac: `02:00:00:00:00:${10 + index}`, name: `multinic${index}` }));
  const full = {
    ...OUTCOME,
    found,
    missing: many(32, (index) => `02:00:00:00:01:${10 + index}`),
    written: many(64, (index) => `etc/NetworkManager/system-connections/multinic${index}.nmconnection`),
  };
  const fitted = fitOutcome(full);
  expect(Buffer.byteLength(JSON.stringify(fitted))).toBeLessThan(OUTCOME_MAX_BYTES);
  expect(fitted.found).toEqual(found);
  expect(fitted.missing).toHaveLength(32);
  expect(fitted.omitted).toBe(64 - fitted.written.length);
  expect(Outcome.parse(fitted)).toEqual(fitted);
});

test('a long message keeps its begin, and the remedy at its end', () => {
  const message = `ValidationFailed ${'é'.repeat(5000)} then run \`multinic retry\``;
  const fitted = fitOutcome({ ...OUTCOME, message });
  expect(fitted.message).toMatch(/^ValidationFailed .* … .*then run `multinic retry`$/);
  expect(Buffer.byteLength(JSON.stringify(fitted))).toBeLessThan(OUTCOME_MAX_BYTES);
});

test('differences of an observation are cut at their end, and the digest stays', () => {
  const { written: _, removed: __, missing: ___, found: ____, result: _____, ...known } = OUTCOME;
  const full: Observation = {
    ...known,
    mode: 'observe',
    result: 'Drifted',
    digest: 'd'.repeat(64),
    differences: many(64, (index) => ({
      kind: 'FileChanged',
      path: `etc/netplan/99-multinic${index}.yaml`,
      found: '한'.repeat(60),
    })),
  };
  const fitted = fitObservation(full);
  expect(Buffer.byteLength(JSON.stringify(fitted))).toBeLessThan(OUTCOME_MAX_BYTES);
  expect(fitted.differences.length).toBeGreaterThan(8);
  expect(fitted.differences).toEqual(full.differences.slice(0, fitted.differences.length));
  expect(fitted.omitted).toBe(64 - fitted.differences.length);
  expect(fitted.digest).toBe(full.digest);
  expect(Observation.parse(fitted)).toEqual(fitted);
  expect(fitObservation({ ...full, differences: full.differences.slice(0, 2) })).not.toHaveProperty(
    'omitted',
  );
});

test('a report takes the place of the progress', () => {
  const file = join(folder, 'outcome.json');
  writeProgress(file, 'verify', new Date(0));
  expect(JSON.parse(readFileSync(`${file}.progress`, 'utf8'))).toEqual({
    step: 'verify',
    at: '1970-01-01T00:00:00.000Z',
  });
  writeReport(file, OUTCOME);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(OUTCOME);
  expect(existsSync(`${file}.progress`)).toBe(false);
});
