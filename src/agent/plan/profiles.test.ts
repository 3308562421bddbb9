// NetworkManager's part in a plan.

import { expect, test } from 'vitest';
import { Folder, machine, makeRoot, nic } from '../../../test/support/agent.ts';
import { openRoot } from '../files/managed-files.ts';
import { metricPath } from '../files/route-metric.ts';
import { noAutoDefaultPath } from '../files/no-auto-default.ts';
import type { RendererKind } from '../../network/node.ts';
import type { LinkTarget } from '../host/links.ts';
import type { Plan } from './plan.ts';
import { isProfile, needsNetworkManager, profilePaths, profileUuid, wantedProfiles } from './profiles.ts';

test.each([
  ['[connection]\nid=x\nuuid=0a-1\ntype=ethernet\n', '0a-1'],
  ['DEVICE=multinic0\nUUID="0a-1"\n', '0a-1'],
  ['[connection]\nid=x\n', undefined],
  ['# uuid of nothing\n', undefined],
])('the uuid in %j is %s', (content, uuid) => {
  expect(profileUuid(content)).toBe(uuid);
});

test.each([
  ['etc/NetworkManager/system-connections/multinic0.nmconnection', true],
  ['etc/sysconfig/network-scripts/ifcfg-multinic0', true],
  ['etc/sysconfig/network-scripts/route-multinic0', false],
  ['etc/sysconfig/network-scripts/ifcfg-eth0', false],
  ['etc/systemd/network/70-multinic0.link', false],
  ['etc/netplan/90-multinic0.yaml', false],
])('%s is a profile of ours: %s', (path, is) => {
  expect(isProfile(path)).toBe(is);
});

const PLAN: Plan = {
  files: [],
  kept: [],
  orphans: [],
  missing: [],
  present: [],
  targets: [],
  lingering: [],
  left: [],
};
const TARGET: LinkTarget = {
  mac: nic(0).mac,
  name: 'multinic0',
  mtu: 1500,
  up: true,
  addresses: [],
  dropped: [],
};
const removed = (path: string): Partial<Plan> => ({ files: [{ op: 'remove', path }] });

test.each<[string, RendererKind, Partial<Plan>, boolean]>([
  ['nothing', 'keyfile', {}, false],
  ['a link of its own', 'keyfile', { targets: [TARGET] }, true],
  ['a link of netplan', 'netplan', { targets: [TARGET] }, false],
  ['a file of netplan', 'netplan', removed('etc/netplan/90-multinic0.yaml'), false],
  ['a profile that goes', 'netplan', removed('etc/sysconfig/network-scripts/ifcfg-multinic0'), true],
  ['a metric of its own', 'netplan', removed(metricPath(nic(0), 'keyfile')), true],
  ['a metric of networkd', 'netplan', removed(metricPath(nic(0), 'netplan')), false],
  ['a NIC that it may take again', 'netplan', removed(noAutoDefaultPath(nic(0).mac)), true],
])('NetworkManager has a part in a change of %s, %s', (_, kind, changes, expected) => {
  expect(needsNetworkManager({ ...PLAN, ...changes }, kind)).toBe(expected);
});

test('the profile that a NIC is to have is that of the file as it will be, by its uuid or by its path', () => {
  using folder = new Folder();
  const paths = [0, 1].map((index) => `etc/NetworkManager/system-connections/multinic${index}.nmconnection`);
  const [written = '', there = ''] = paths;
  makeRoot(folder.path, machine(3), { [written]: 'uuid=old\n', [there]: '[connection]\nid=x\n' });
  const plan: Plan = {
    ...PLAN,
    files: [
      { op: 'write', path: written, content: 'uuid=new\n', mode: 0o600 },
      { op: 'remove', path: 'etc/NetworkManager/system-connections/multinic2.nmconnection' },
    ],
    present: [nic(0), nic(1)],
    targets: [0, 1, 2].map((index) => ({ ...TARGET, mac: nic(index).mac, name: nic(index).name })),
  };
  expect([...profilePaths(plan, 'keyfile')]).toEqual([
    [nic(0).mac, written],
    [nic(1).mac, there],
  ]);
  expect([...profilePaths(plan, 'netplan')]).toEqual([]);
  expect(wantedProfiles(plan, 'keyfile', openRoot(folder.path))).toEqual({
    [nic(0).mac]: 'new',
    [nic(1).mac]: `/${there}`,
    [nic(2).mac]: null,
  });
});
