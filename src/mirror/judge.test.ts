import { oid } from '../../test/support/oid.ts';
import { describe, expect, test } from 'vitest';
import { Judge } from './judge.ts';
import type { MainConfig, MainState } from './main-branch.ts';
import { parseEntry } from './node-entry.ts';

const REF = { group: 'multinic.io', namespace: 'ns', name: 'cr' } as const;
const WRITER = { name: 'kubectl', email: '' };
const EMPTY: MainState = { commit: oid('0'.repeat(40)), configs: new Map() };

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

describe('an entry with a link-local address', () => {
  const raw = {
    attachedNodeId: 'i-1',
    interfaces: [{ macAddress: '02:00:00:00:00:01', cidr: '169.254.3.4/16' }],
  };
  const object = { ref: REF, uid: 'u', generation: 1, annotations: {}, writer: WRITER };

  /** The CR as it is judged by a controller that finds this text of its entry in main. */
  function judged(text?: string): MainConfig {
    const configs = new Map<string, MainConfig>();
    if (text !== undefined) {
      const entries = new Map([['i-1', parseEntry('i-1', text)]]);
      configs.set('multinic.io/ns/cr', { ...object, rest: {}, entries, text: '' });
    }
    const list = {
      configs: [{ ...object, spec: { nodeConfigs: [structuredClone(raw)] } }],
      doubt: () => undefined,
    };
    return new Judge().judge(list, { ...EMPTY, configs }).valid.get('multinic.io/ns/cr')!.config;
  }

  test('is refused when it is new, and stays refused for the controllers that read it in main', () => {
    const [entry] = judged().entries.values();
    expect(entry!.wanted).toBeUndefined();
    const again = parseEntry('i-1', entry!.text);
    expect(again).toMatchObject({ json: entry!.json, problems: [{ code: 'LinkLocalAddress' }] });
    const [later] = judged(entry!.text).entries.values();
    expect([later!.wanted, later!.text]).toEqual([undefined, entry!.text]);
  });

  test('counts on where main has it from an earlier version', () => {
    const text = JSON.stringify(raw);
    expect(judged(text).entries.get('i-1')!.wanted).toHaveLength(1);
    expect(judged(text).entries.get('i-1')!.problems).toEqual([]);
  });
});
