import { expect, test } from 'vitest';
import { machine, nic } from '../../../test/support/agent.ts';
import type { HostState } from '../host/machine.ts';
import { planChange, recordedLinks, type ChangeFacts } from './change-plan.ts';
import type { Plan } from './plan.ts';

const OURS = '192.168.100.10/24';
const VIP = '192.168.100.200/32';

/** NIC 0 is right and has an address of other software. NIC 1 has no managed name yet. */
function before(): HostState {
  const host = machine(2);
  const links = host.links.map((link) =>
    link.mac === nic(0).mac
      ? { ...link, name: 'multinic0', up: true, addresses: [OURS, VIP], loaded: [OURS] }
      : link,
  );
  return { ...host, links };
}

const plan: Plan = {
  files: [
    { op: 'remove', path: 'etc/netplan/91-multinic1.yaml' },
    { op: 'write', path: 'etc/netplan/91-multinic1.yaml', content: 'new', mode: 0o600 },
  ],
  kept: [],
  orphans: [],
  missing: [],
  present: [nic(0), nic(1)],
  targets: [0, 1].map((index) => ({
    name: nic(index).name,
    mac: nic(index).mac,
    up: true,
    mtu: 1500,
    addresses: index === 0 ? [OURS, VIP] : ['192.168.101.10/24'],
    dropped: [],
  })),
  lingering: [],
  left: [],
};

function facts(changes: Partial<ChangeFacts> = {}): ChangeFacts {
  return { before: before(), profiles: undefined, reload: false, renamesForNetworkd: false, ...changes };
}

/** NIC 0 gets another MTU. */
function mtu(value: number): Plan {
  const targets = plan.targets.slice(0, 1).map((target) => ({ ...target, mtu: value }));
  return { ...plan, present: [nic(0)], targets };
}

test('a change that takes no address and no link away reads no list of all routes', () => {
  expect(planChange(mtu(9000), facts()).foreignScope).toBe('single');
  expect(planChange(mtu(1280), facts()).foreignScope).toBe('single');
  expect(planChange(mtu(1279), facts()).foreignScope).toBe('ours');
  const dropped = { ...mtu(9000), targets: [{ ...mtu(9000).targets[0]!, dropped: [OURS] }] };
  expect(planChange(dropped, facts()).foreignScope).toBe('ours');
  const profiles = { before: { [nic(0).mac]: 'a' }, wanted: { [nic(0).mac]: 'b' }, paths: new Map() };
  expect(planChange(mtu(9000), facts({ profiles })).foreignScope).toBe('ours');
});

test('a change touches the NICs that differ; of the others only our address is expected', () => {
  const todo = planChange(plan, facts());
  expect([...todo.changed]).toEqual([nic(1).mac]);
  expect(todo.targets.map(({ mac }) => mac)).toEqual([nic(1).mac]);
  expect(todo.expected.map(({ addresses }) => addresses)).toEqual([[OURS], ['192.168.101.10/24']]);
  expect(todo).toMatchObject({
    paths: ['etc/netplan/91-multinic1.yaml'],
    configured: [nic(1).mac],
    manager: { kind: 'none' },
    foreignScope: 'ours',
  });
  expect(recordedLinks(todo).before).toMatchObject([{ name: 'ens6', mac: nic(1).mac }]);
});

test('a reload touches every NIC of ours, and all foreign state', () => {
  const todo = planChange(plan, facts({ reload: true }));
  expect(todo.manager).toEqual({
    kind: 'reload',
    paths: ['etc/netplan/91-multinic1.yaml'],
    macs: [nic(0).mac, nic(1).mac],
  });
  expect(todo.foreignScope).toBe('all');
  expect(recordedLinks(todo).before[0]).toEqual({
    name: 'multinic0',
    mac: nic(0).mac,
    up: true,
    mtu: 1500,
    addresses: [OURS, VIP],
  });
});

test.each([
  ['takes a NIC', true, false],
  ['lets go of a NIC', false, true],
  ['goes on as it does', undefined, undefined],
])('where NetworkManager %s, the record has what it did before', (_, wanted, before) => {
  const targets = plan.targets.map((each) => ({
    ...each,
    ...(wanted !== undefined && { networkManager: wanted }),
  }));
  const { links } = facts().before;
  const now = links.map((each) => ({ ...each, ...(before !== undefined && { networkManager: before }) }));
  const todo = planChange({ ...plan, targets }, facts({ before: { ...facts().before, links: now } }));
  const recorded = recordedLinks(todo);
  expect(recorded.before.find(({ mac }) => mac === nic(1).mac)?.networkManager).toBe(before);
  expect(recorded.after.find(({ mac }) => mac === nic(1).mac)?.networkManager).toBe(wanted);
});

test('a rename that networkd notices takes rules and blackhole routes too', () => {
  expect(planChange(plan, facts({ renamesForNetworkd: true })).foreignScope).toBe('rules');
});

test('a NIC with another profile than the wanted one is touched, and its file is read', () => {
  const before = { [nic(0).mac]: 'old', [nic(1).mac]: null };
  const wanted = { [nic(0).mac]: 'new', [nic(1).mac]: null };
  const paths = new Map([[nic(0).mac, 'etc/NetworkManager/system-connections/multinic0.nmconnection']]);
  const todo = planChange(plan, facts({ profiles: { before, wanted, paths } }));
  expect([...todo.changed]).toEqual([nic(1).mac, nic(0).mac]);
  expect(todo.profiles).toEqual(before);
  expect(todo.manager).toEqual({
    kind: 'profiles',
    paths: ['etc/netplan/91-multinic1.yaml', ...paths.values()],
    profiles: wanted,
  });
});

test('a NIC that only stops to listen to routers needs no carrier', () => {
  const ipv6 = { acceptRa: 0, addrGenMode: 0 };
  const links = before().links.map((link) =>
    link.mac === nic(0).mac ? { ...link, ipv6: { acceptRa: 1, addrGenMode: 0 } } : link,
  );
  const targets = plan.targets.map((target) => (target.mac === nic(0).mac ? { ...target, ipv6 } : target));
  const todo = planChange({ ...plan, targets }, facts({ before: { ...before(), links } }));
  expect([...todo.changed].toSorted()).toEqual([nic(0).mac, nic(1).mac]);
  expect(todo.configured).toEqual([nic(1).mac]);
});
