import { describe, expect, test } from 'vitest';
import { Judge } from './judge.ts';
import type { MainState } from './main-branch.ts';

const REF = { group: 'multinic.io', namespace: 'ns', name: 'cr' } as const;
const WRITER = { name: 'kubectl', email: '' };
const EMPTY: MainState = { commit: '0'.repeat(40), configs: new Map() };

/** The warnings about the annotations of a CR, as `code: message`. */
function warnings(annotations: Readonly<Record<string, string>>): string[] {
  const object = {
    ref: REF,
    uid: 'u',
    generation: 1,
    annotations,
    spec: { nodeConfigs: [] },
    writer: WRITER,
  };
  const { valid } = new Judge().judge({ configs: [object], problems: [], doubt: () => undefined }, EMPTY);
  return [...valid.values()].flatMap((each) =>
    each.warnings.map(({ code, message }) => `${code}: ${message}`),
  );
}

describe('annotations of a CR', () => {
  test.each([
    ['multinic.io/probes', '192.168.100.1, 192.168.101.1:22 [fd00::1]:22'],
    ['multinic.io/probes', ''],
    ['multinic.io/apply', 'full'],
    ['multinic.io/paused', 'true'],
    ['multinic.io/confirm-cleanup', 'false'],
    ['example.org/probes', 'whatever'],
  ])('%s: %j is no warning', (key, value) => {
    expect(warnings({ [key]: value })).toEqual([]);
  });

  test.each([
    ['multinic.io/prober', '192.168.100.1', /^UnknownAnnotation: .*a CR takes .*multinic\.io\/probes/],
    ['multinic.io/renderer', 'netplan', /^UnknownAnnotation: .*write it on the Node$/],
    [
      'multinic.io/apply',
      'Full',
      /^InvalidAnnotation: is "Full" and means nothing: write live or full or files$/,
    ],
    ['multinic.io/paused', 'yes', /^InvalidAnnotation: is "yes" and means nothing: write true or false$/],
    ['multinic.io/probes', 'gateway.local', /^InvalidAnnotation: is "gateway\.local" .*192\.168\.100\.1/],
    ['multinic.io/probes', '192.168.100.1:70000', /^InvalidAnnotation/],
  ])('%s: %j is a warning that ends with the remedy', (key, value, warning) => {
    expect(warnings({ [key]: value })).toEqual([expect.stringMatching(warning)]);
  });
});
