// NetworkManager's part in a plan.

import { expect, test } from 'vitest';
import { isProfile, profileUuid } from './profiles.ts';

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
