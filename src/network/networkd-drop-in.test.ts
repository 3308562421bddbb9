// The bound of a drop-in's length, and the path that names its NIC.

import { expect, test } from 'vitest';
import { nic } from '../../test/support/agent.ts';
import type { Problem } from '../api/errors.ts';
import { dropIn, nameOfDropIn, readDropIn } from './networkd-drop-in.ts';

const ROUTED = nic(0, { sourceRouting: true, gateway: '192.168.100.1' });
const [[PATH, TEXT] = ['', '']] = dropIn(ROUTED);

test.each([
  [48 * 1024, []],
  [48 * 1024 + 1, ['FileTooLarge']],
])('a drop-in of %i characters: %j', (length, codes) => {
  const problems: Problem[] = [];
  const text = `${TEXT}#${'x'.repeat(length - TEXT.length - 2)}\n`;
  const found = readDropIn('multinic0', text, PATH, problems);
  expect([text.length, problems.map(({ code }) => code)]).toEqual([length, codes]);
  expect(found).toEqual(codes.length > 0 ? {} : { gateway: '192.168.100.1', sourceRouting: true });
});

test.each([
  [PATH, 'multinic0'],
  ['etc/systemd/network/10-netplan-ens5.network.d/multinic9999-routing.conf', 'multinic9999'],
  ['etc/systemd/network/10-netplan-ens5.network.d/multinic10000-routing.conf', undefined],
  ['etc/systemd/network/10-netplan-ens5.network.d/multinic0.conf', undefined],
])('%s has the routing of %s', (path, name) => {
  expect(nameOfDropIn(path)).toBe(name);
});
