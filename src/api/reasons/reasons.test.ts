import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MultinicError } from '../errors.ts';
import { Outcome } from '../outcome.ts';
import type { NodeStatus } from '../status.ts';
import type { ReasonFacts } from './reason-rows.ts';
import { factsOf, readReason, REASON_AREAS, REASONS, type Reason } from './reasons.ts';

const SRC = join(import.meta.dirname, '../..');

function concerning(what: ReasonFacts['concerns']): string[] {
  const all = Object.entries<ReasonFacts>(REASONS);
  return all.flatMap(([code, { concerns }]) => (concerns === what ? [code] : [])).sort();
}

describe('the table of reasons', () => {
  test('has each code in one area', () => {
    const codes = Object.values(REASON_AREAS).flatMap((area) => Object.keys(area));
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
    expect(codes.toSorted()).toEqual(Object.keys(REASONS).sort());
  });

  test('has codes that an outcome and a Kubernetes condition take', () => {
    const odd = Object.keys(REASONS).filter((code) => !/^[A-Z][A-Za-z]{0,62}[A-Za-z0-9]$/.test(code));
    expect(odd).toEqual([]);
  });

  test('has only codes that the program uses', () => {
    const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
      .filter((file) => /(?<!\.test)\.ts$/.test(file) && !/^api\/(reasons|crd)/.test(file))
      .map((file) => readFileSync(join(SRC, file), 'utf8'))
      .join('\n');
    expect(Object.keys(REASONS).filter((code) => !sources.includes(`'${code}'`))).toEqual([]);
  });

  test('says what ends a pass, what makes a tip invalid, what the next boot does, and what is no attempt', () => {
    expect(concerning('store')).toEqual(['DiskFull', 'Fenced', 'Locked', 'StoreClosed', 'StoreUnreadable']);
    expect(concerning('tip')).toEqual([
      'FileTooLarge',
      'InvalidTip',
      'InvalidTree',
      'NotText',
      'TreeTooLarge',
    ]);
    expect(concerning('nextBoot')).toEqual(['NotAtNextBoot', 'ValidationFailed']);
    expect(concerning('access')).toEqual(['StoreUnreachable']);
  });
});

describe('a code', () => {
  test('that is not in the table does not compile', () => {
    // @ts-expect-error: a code that the table does not have
    const code: Reason = 'NoSuchReason';
    // @ts-expect-error: as above
    const error = new MultinicError('NoSuchReason', 'a message; a remedy');
    // @ts-expect-error: as above
    const status: Pick<NodeStatus, 'reason'> = { reason: 'NoSuchReason' };
    // @ts-expect-error: as above
    const outcome: Pick<Outcome, 'reason' | 'warnings'> = { reason: 'NoSuchReason' };
    // @ts-expect-error: as above
    const warning: Pick<Outcome, 'reason' | 'warnings'> = { warnings: ['NoSuchReason'] };
    expect([code, error.code, status.reason, outcome.reason, ...(warning.warnings ?? [])]).toEqual(
      Array(5).fill('NoSuchReason'),
    );
  });

  test('of another version is read, and nothing is known of it', () => {
    expect(readReason('OfTomorrow')).toBe('OfTomorrow');
    expect(factsOf(readReason('OfTomorrow'))).toBeUndefined();
    expect(factsOf(readReason('toString'))).toBeUndefined();
    expect(factsOf('NotFound')).toMatchObject({ http: 404, actor: 'caller' });
  });
});
