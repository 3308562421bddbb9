import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jobName, jobStamp, observationName } from './job-name.ts';

const stamp = Date.UTC(2025, 0, 21, 10, 32, 0) / 1000;

describe('the name of a Job', () => {
  test.each([
    ['i-0123456789abcdef0', 'multinic-agent-i-0123456789abcdef0-20250121103200'],
    [
      '0C497169-A104-4448-AFDE-F27B79FCA904',
      'multinic-agent-0c497169a1044448afdef27b79fca904-20250121103200',
    ],
  ])('of %s', (nodeId, name) => {
    expect(jobName(nodeId, stamp)).toBe(name);
  });

  test.each([
    ['i-0123456789abcdef0', 'multinic-observe-i-0123456789abcdef0-20250121103200'],
    [
      '0C497169-A104-4448-AFDE-F27B79FCA904',
      'multinic-observe-0c497169a1044448afdef2-8e42cc2d-20250121103200',
    ],
  ])('of an observation of %s', (nodeId, name) => {
    expect(observationName(nodeId, stamp)).toBe(name);
  });

  test('has the whole ID as long as the name is a label', () => {
    const [at, id] = ['20250121103200', 'x'.repeat(34)];
    expect(jobName(id.slice(0, 33), stamp)).toBe(`multinic-agent-${id.slice(0, 33)}-${at}`);
    expect(jobName(id, stamp)).toMatch(RegExp(`^multinic-agent-x{24}-[0-9a-f]{8}-${at}$`));
    expect(observationName(id.slice(0, 31), stamp)).toBe(`multinic-observe-${id.slice(0, 31)}-${at}`);
    expect(observationName(id.slice(0, 32), stamp)).toMatch(
      RegExp(`^multinic-observe-x{22}-[0-9a-f]{8}-${at}$`),
    );
  });

  test('IDs that differ only in what a name cannot hold get different names', () => {
    const ids = ['a_b', 'a.b', 'a-b', `${'x'.repeat(60)}1`, `${'x'.repeat(60)}2`];
    expect(new Set(ids.map((id) => jobName(id, stamp))).size).toBe(ids.length);
    expect(new Set(ids.map((id) => observationName(id, stamp))).size).toBe(ids.length);
  });

  test('is a label of Kubernetes and gives its stamp back', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,80}[A-Za-z0-9])?$/);
    fc.assert(
      fc.property(id, fc.integer({ min: 0, max: 4_000_000_000 }), (nodeId, seconds) => {
        for (const name of [jobName(nodeId, seconds), observationName(nodeId, seconds)]) {
          expect(name).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
          expect(jobStamp(name)).toBe(seconds);
        }
      }),
      { seed: 3, numRuns: 1000 },
    );
  });

  test('of another program has no stamp', () => {
    expect(jobStamp('multinic-agent-controller')).toBeUndefined();
  });
});
