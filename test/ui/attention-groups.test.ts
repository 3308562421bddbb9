// Nodes that need a person, equal troubles together; and NICs beside those of the host.

import { expect, test } from 'vitest';
import type { LiveNode } from '../../src/api/live.ts';
import { factsOf, REASONS, type Reason } from '../../src/api/reasons/reasons.ts';
import { CONTROLLER_REASONS } from '../../src/api/reasons/controller-reasons.ts';
import { groupsOf, isTroubled, withoutCommand } from '../../src/ui/screens/attention-groups.ts';
import { KO_REASONS } from '../../src/ui/text/ko-reasons.ts';

const node = (name: string, more: Partial<LiveNode>): LiveNode => ({
  attachedNodeId: `i-${name}`,
  attachedNodeName: name,
  node: name,
  state: 'Pending',
  activity: 'stuck',
  ...more,
});

test('nodes with the same trouble are one group, whatever their names, addresses and commits', () => {
  const drifted = (name: string, mac: string, commit: string): LiveNode =>
    node(name, {
      state: 'Failed',
      reason: 'Drifted' as Reason,
      message: `multinic0 (${mac}) has MTU 1400 since ${commit}: multinic retry ${name}`,
    });
  const groups = groupsOf([
    node('worker-9', { reason: 'InterfacesMissing' as Reason, message: '02:00:00:00:00:09 is missing' }),
    drifted('worker-1', '02:00:00:00:00:01', '0123456789'),
    drifted('worker-10', '02:00:00:00:00:10', 'abcdefabcd'),
    node('worker-3', { activity: 'moves' }),
  ]);
  expect(groups.map(({ reason, words, nodes }) => [reason, words, nodes.length])).toEqual([
    ['Drifted', 'multinic0 (…) has MTU 1400 since …: multinic retry NODE', 2],
    ['InterfacesMissing', '… is missing', 1],
  ]);
});

test('a node that is tried again for a cause that somebody has to mend is troubled', () => {
  const tried = node('a', { activity: 'moves', reason: 'NicInUse' as Reason });
  const waits = node('b', { activity: 'moves', reason: 'Queued' as Reason });
  const person = node('c', { reason: 'NicInUse' as Reason });
  expect([tried, waits, person].map(isTroubled)).toEqual([true, false, false]);
});

const drift = (name: string, message: string): LiveNode =>
  node(name, { reason: 'Drifted' as Reason, message });

test('the same difference is one group, wherever the files of the systems stand', () => {
  const files = [
    'etc/netplan/90-multinic0.yaml',
    'etc/sysconfig/network-scripts/ifcfg-multinic0',
    'etc/NetworkManager/system-connections/multinic0.nmconnection',
  ];
  const nodes = files.map((file, index) => drift(`worker-${index}`, `${file} was changed: mtu 1400`));
  expect(groupsOf(nodes)).toMatchObject([{ words: 'multinic0 was changed: mtu 1400' }]);
  expect(
    groupsOf([
      drift('a1x', `${files[0]} was changed`),
      drift('b1x', 'etc/netplan/91-multinic1.yaml was changed'),
    ]),
  ).toHaveLength(2);
});

test.each([
  ['mtu 1400 instead of mtu 1500: multinic retry a repairs the host', 'mtu 1400 instead of mtu 1500'],
  ['it has no multinic0; attach it', 'it has no multinic0; attach it'],
  ['is "x"; write an address: its prefix in cidr', 'is "x"; write an address: its prefix in cidr'],
])('%s ends with a command, or not', (message, words) => expect(withoutCommand(message)).toBe(words));

test('another trouble is another group', () => {
  expect(groupsOf([drift('a1x', 'MTU 1400'), drift('b1x', 'MTU 1300')])).toHaveLength(2);
});

test('Korean has words for known codes only, and for each reason of a node that waits for a person', () => {
  const unknown = Object.keys(KO_REASONS).filter((code) => !(code in REASONS));
  const lacking = Object.keys(CONTROLLER_REASONS).filter(
    (code) =>
      factsOf(code as Reason)?.retry === 'person' &&
      !(code in KO_REASONS) &&
      !/^(Nodes|ListIncomplete|NodeFailed|NodeNameTooLong|TreeMismatch|UnknownRenderer)/.test(code),
  );
  expect({ unknown, lacking }).toEqual({ unknown: [], lacking: [] });
});
