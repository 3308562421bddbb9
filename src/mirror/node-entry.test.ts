// Entries of CRs as main stores them.

import { expect, test } from 'vitest';
import { admitEntry } from '../network/admission.ts';
import { entriesOf, judgedBefore, parseEntry, rawsOf } from './node-entry.ts';

const NIC = { macAddress: '02:00:00:00:00:01', cidr: '10.0.0.10/24', mtu: 1500 };
const raw = (attachedNodeId?: string, nic: object = NIC): object => ({ attachedNodeId, interfaces: [nic] });
const admitted = (index: number, value: object) => ({ ...admitEntry(value, `nodeConfigs[${index}]`), index });

test('an entry has the key of its node ID where that can be a file name, and else one of its own', () => {
  const long = 'x'.repeat(200);
  expect([...entriesOf([admitted(0, raw('i-a')), admitted(1, raw(long))]).keys()]).toEqual(['i-a', long]);
  for (const id of [undefined, 'a/b', `${long}x`])
    expect([...entriesOf([admitted(0, raw(id))]).keys()][0]).toMatch(/^entry-[0-9a-f]{16}$/);
});

test('a node that is named twice has one entry, which does not count', () => {
  const [entry, ...others] = entriesOf([admitted(0, raw('i-a')), admitted(1, raw('I-A'))]).values();
  expect(others).toEqual([]);
  expect(entry).not.toHaveProperty('wanted');
  expect(rawsOf(entry!.text)).toHaveLength(2);
  expect(parseEntry('i-a', entry!.text).problems[0]).toMatchObject({
    code: 'DuplicateNode',
    message: 'the node is named 2 times: keep one entry',
  });
});

test('an unchanged good entry stays the same object, and a bad one never does', () => {
  const good = admitted(0, raw('i-a'));
  const before = entriesOf([good]);
  expect(entriesOf([good], before).get('i-a')).toBe(before.get('i-a'));
  expect(entriesOf([admitted(0, raw('i-a', { ...NIC, mtu: 1400 }))], before).get('i-a')).not.toBe(
    before.get('i-a'),
  );
  const bad = admitted(0, raw('i-a', { ...NIC, mtu: 1 }));
  const badBefore = entriesOf([bad]);
  expect(entriesOf([bad], badBefore).get('i-a')).not.toBe(badBefore.get('i-a'));
});

test('only entries without any problem keep their judgement', () => {
  const good = entriesOf([admitted(0, raw('i-a'))]).get('i-a')!;
  const bad = entriesOf([admitted(0, raw('i-b', { ...NIC, mtu: 1 }))]).get('i-b')!;
  const doubtful = { ...good, json: '"doubtful"', problems: bad.problems };
  const known = judgedBefore(new Map([good, bad, doubtful].map((each, index) => [`${index}`, each])));
  expect([...known]).toEqual([[good.json, { wanted: good.wanted, problems: [], nodeId: 'i-a' }]]);
  expect(judgedBefore(undefined).size).toBe(0);
});

test('a judgement that is kept has the name of its node', () => {
  const named = { ...raw('i-a'), attachedNodeName: 'worker-1' };
  const entry = entriesOf([admitted(0, named)]).get('i-a')!;
  expect(entry.nodeName).toBe('worker-1');
  expect([...judgedBefore(new Map([['i-a', entry]])).values()]).toEqual([
    { wanted: entry.wanted, problems: [], nodeId: 'i-a', nodeName: 'worker-1' },
  ]);
});

test.each([
  ['a text', 'no yaml: [', ['no yaml: [']],
  ['nothing', 'null\n', [null]],
  ['a number', '3\n', [3]],
  ['one entry', 'interfaces: []\n', [{ interfaces: [] }]],
  ['a list of one', 'duplicates: [1]\n', [{ duplicates: [1] }]],
  ['two entries', 'duplicates: [1, 2]\n', [1, 2]],
])('%s reads back', (_, text, raws) => {
  expect(rawsOf(text)).toEqual(raws);
});
