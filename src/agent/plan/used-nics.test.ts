// NICs of ours that other software uses: a run leaves them if the commit does not change their files.

import { describe, expect, test } from 'vitest';
import { machine, nic } from '../../../test/support/agent.ts';
import { metricPath } from '../files/route-metric.ts';
import type { LinkTarget } from '../host/links.ts';
import type { HostState, Link } from '../host/machine.ts';
import type { FileStep } from './file-order.ts';
import type { Plan } from './plan.ts';
import { leaveUsed, useByOthers } from './used-nics.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const write = (path: string): FileStep => ({ op: 'write', path, content: '', mode: 0o600 });

const target = (index: number): LinkTarget => ({
  mac: nic(index).mac,
  name: nic(index).name,
  mtu: 1500,
  up: true,
  addresses: [],
  dropped: [],
});

const planOf = (files: readonly FileStep[] = []): Plan => ({
  files,
  kept: [],
  orphans: [],
  missing: [],
  present: [nic(0), nic(1)],
  targets: [target(0), target(1)],
  lingering: [],
  left: [],
});

/** The machine with a changed NIC 0. Both NICs differ from their targets, because they have no managed name yet. */
function host(nic0: Partial<Link> = {}, more: Partial<HostState> = {}): HostState {
  const state = machine(2);
  const links = state.links.map((link) => (link.mac === nic(0).mac ? { ...link, ...nic0 } : link));
  return { ...state, links, ...more };
}

test.each<[string, Partial<Link>, HostState['uppers'], string | undefined]>([
  ['nobody', {}, [], undefined],
  ['a bridge', { master: 'br0' }, [], 'is part of br0'],
  ['a VLAN', {}, [{ name: 'v5', lower: 'ens5' }], 'carries v5'],
  ['nobody, where a VLAN stands on another', {}, [{ name: 'v5', lower: 'ens6' }], undefined],
])('the use of a NIC by %s', (_, nic0, uppers, use) => {
  const state = host(nic0, uppers && { uppers });
  expect(
    useByOthers(
      state.links.find(({ mac }) => mac === nic(0).mac)!,
      state,
    ),
  ).toBe(use);
});

describe('a NIC that a bridge has taken', () => {
  const taken = host({ master: 'br0' });

  test('is left, with the metric that follows from its link, and the others change', () => {
    const [metric, other] = [metricPath(nic(0), 'netplan'), metricPath(nic(1), 'netplan')];
    const plan = leaveUsed(planOf([write(metric), write(other)]), taken, 'netplan');
    expect(plan.left).toEqual([
      { mac: nic(0).mac, name: 'ens5', use: 'is part of br0', isTaken: true, isMeant: false },
    ]);
    expect(plan.targets.map(({ mac }) => mac)).toEqual([nic(1).mac]);
    expect(plan.files).toEqual([write(other)]);
  });

  test('is left with what stands on it, which takes nothing', () => {
    const plan = leaveUsed(planOf(), host({}, { uppers: [{ name: 'v5', lower: 'ens5' }] }), 'netplan');
    expect(plan.left).toMatchObject([{ mac: nic(0).mac, isTaken: false, isMeant: false }]);
  });

  test.each<[string, Plan, HostState]>([
    ['the commit writes its file', planOf([write(FILE)]), taken],
    ['its link is right', { ...planOf(), targets: [target(1)] }, taken],
    ['nobody has taken it', planOf(), host()],
  ])('is not left where %s', (_, plan, state) => {
    expect(leaveUsed(plan, state, 'netplan')).toBe(plan);
  });
});
