import { oid } from '../../../test/support/oid.ts';
import { expect, test } from 'vitest';
import { Folder, identity, machine, makeRoot, nic } from '../../../test/support/agent.ts';
import type { Interface } from '../../network/interface.ts';
import type { Files } from '../../network/renderer.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { HostState } from './machine.ts';
import { openRoot, readManaged } from '../files/managed-files.ts';
import { hasFileFor, isConfigured, loadedAddresses } from './networkd.ts';
import { nextRecord } from '../plan/next-record.ts';
import { decide, type Desired, type Plan } from '../plan/plan.ts';
import type { Applied } from '../files/host-record.ts';
import { metricFile, metricPath } from '../files/route-metric.ts';
import { success } from '../run/result.ts';
import { mac } from '../../../test/support/mac.ts';

const OLD = nic(0);
const NEW = nic(0, { address: '192.168.100.11' });
const [OLD_ADDRESS, NEW_ADDRESS] = ['192.168.100.10/24', '192.168.100.11/24'];

test('what networkd has loaded for a link, in its own words', () => {
  using folder = new Folder();
  makeRoot(folder.path, machine(0), {
    'run/systemd/netif/links/3':
      '# This is private data. Do not parse.\nADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-multinic0.network\n',
    'run/systemd/netif/links/4': 'ADMIN_STATE=unmanaged\n',
    'run/systemd/netif/links/5': 'NETWORK_FILE=/run/systemd/network/gone.network\n',
    'run/systemd/network/10-netplan-multinic0.network':
      '[Match]\nMACAddress=02:00:00:00:01:00\n\n[Network]\nAddress=192.168.100.10/24\nAddress=fd00:101::10/64\n',
  });
  const loaded = [3, 4, 5, 6].map((ifindex) => loadedAddresses(openRoot(folder.path), ifindex));
  expect(loaded).toEqual([['192.168.100.10/24', 'fd00:101::10/64'], [], [], []]);
});

test('networkd has a file for a NIC of that name and MAC', () => {
  using folder = new Folder();
  makeRoot(folder.path, machine(0), {
    'run/systemd/network/10-netplan-multinic0.network':
      '[Match]\nPermanentMACAddress=02:00:00:00:0A:00\nName=multinic0\n\n[Network]\nLinkLocalAddressing=no\n',
    'run/systemd/network/10-netplan-multinic1.link':
      '[Match]\nMACAddress=02:00:00:00:0a:01\n\n[Link]\nName=multinic1\n',
  });
  const root = openRoot(folder.path);
  expect(hasFileFor(root, { mac: mac('02:00:00:00:0a:00'), name: 'multinic0' })).toBe(true);
  expect(hasFileFor(root, { mac: mac('02:00:00:00:0a:00'), name: 'multinic' })).toBe(false);
  expect(hasFileFor(root, { mac: mac('02:00:00:00:0a:02'), name: 'multinic0' })).toBe(false);
  expect(hasFileFor(root, { mac: mac('02:00:00:00:0a:01'), name: 'multinic1' })).toBe(false);
});

test.each([
  ['ADMIN_STATE=configured\nOPER_STATE=routable\n', true],
  ['ADMIN_STATE=configuring\nOPER_STATE=degraded\n', false],
  ['ADMIN_STATE=pending\nOPER_STATE=carrier\n', false],
  // networkd may keep a NIC in this state for ever.
  ['ADMIN_STATE=configuring\nOPER_STATE=no-carrier\n', true],
  ['ADMIN_STATE=unmanaged\nOPER_STATE=off\n', true],
])('networkd is at work where a link with carrier is not configured yet: %j', (state, configured) => {
  using folder = new Folder();
  const links = 'run/systemd/netif/links';
  makeRoot(folder.path, machine(0), { [`${links}/2`]: 'ADMIN_STATE=configured\n', [`${links}/3`]: state });
  expect(isConfigured(openRoot(folder.path))).toBe(configured);
});

test('an address that networkd brings back is ours for as long as the boot, and is said to come', () => {
  const booted = host([OLD_ADDRESS], [OLD_ADDRESS]);
  const first = run(NEW, OLD, booted, undefined);
  expect(first.plan.lingering).toEqual([{ mac: OLD.mac, name: OLD.name, addresses: [OLD_ADDRESS] }]);
  const report = success(first.plan, []);
  expect(report).toMatchObject({ result: 'Applied', warnings: ['NetworkdHoldsOldFile'] });
  expect(report.message).toContain(`multinic0 ${OLD_ADDRESS}`);

  // The files in /run were written anew: networkd has loaded none of them.
  const flapped = host([NEW_ADDRESS, OLD_ADDRESS], [NEW_ADDRESS]);
  const second = run(NEW, NEW, flapped, first.record);
  expect(second.plan.targets[0]?.addresses).toEqual([NEW_ADDRESS]);
  expect(second.plan.lingering).toEqual(first.plan.lingering);
  expect(second.record.nics).toEqual(first.record.nics);

  // After a reboot networkd has nothing old: who has such an address then has it from somebody else.
  const rebooted = { ...flapped, bootId: 'another' };
  const third = run(NEW, NEW, rebooted, second.record);
  expect(third.plan.targets[0]?.addresses).toEqual([OLD_ADDRESS, NEW_ADDRESS]);
  expect(third.plan.lingering).toEqual([]);
  expect(success(third.plan, [])).not.toHaveProperty('warnings');
});

test('an address of somebody else’s that networkd has loaded is none of our business', () => {
  const { plan } = run(OLD, OLD, host([OLD_ADDRESS, '10.9.0.1/24'], ['10.9.0.1/24', OLD_ADDRESS]), undefined);
  expect(plan.lingering).toEqual([]);
});

test('an address that networkd loaded before its metric is said to come back without it', () => {
  const node = mac('fa:16:3e:00:01:00');
  const primary = { name: 'eth0', mac: node, up: true, mtu: 1500, addresses: ['192.168.100.5/24'] };
  const booted = host([OLD_ADDRESS], [OLD_ADDRESS]);
  const state = { ...booted, links: [primary, ...booted.links] };
  const wanted = { ...OLD, mtu: 1400 };
  const lingering = [{ mac: OLD.mac, name: OLD.name, addresses: [OLD_ADDRESS], withoutMetric: OLD_ADDRESS }];
  const first = run(wanted, OLD, state, undefined);
  expect(first.plan.lingering).toEqual(lingering);
  const report = success(first.plan, []);
  expect(report.warnings).toEqual(['NetworkdHoldsOldFile']);
  expect(report.message).toContain(`can cut the node off: multinic0 ${OLD_ADDRESS}`);
  expect(report.message).not.toContain('adds them again');

  const metrics = new Map([[metricPath(wanted, 'netplan'), metricFile(wanted, 'netplan')]]);
  const second = run(wanted, wanted, state, first.record, metrics);
  expect(second.plan.lingering).toEqual(lingering);
  const rebooted = run(wanted, wanted, { ...state, bootId: 'another' }, second.record, metrics);
  expect(rebooted.plan.lingering).toEqual([]);
});

function host(addresses: readonly string[], loaded: readonly string[]): HostState {
  return {
    ...machine(0),
    links: [{ name: OLD.name, mac: OLD.mac, up: true, mtu: 1500, addresses, loaded }],
  };
}

function filesOf(each: Interface): Files {
  return managedFiles(renderTree(identity('netplan'), [each]));
}

/** A run that finds the files of `before`. */
function run(
  wanted: Interface,
  before: Interface,
  state: HostState,
  applied: Applied | undefined,
  metricFiles: ReadonlyMap<string, string> = new Map(),
): { plan: Plan; record: Applied } {
  using folder = new Folder();
  const root = openRoot(makeRoot(folder.path, state, Object.fromEntries(filesOf(before))));
  const desired: Desired = {
    commit: oid('1'.repeat(40)),
    kind: 'netplan',
    network: [wanted],
    files: filesOf(wanted),
  };
  const decision = decide({
    desired,
    host: state,
    managed: readManaged(root),
    described: [],
    noAutoDefault: [],
    metricFiles,
    carrierWait: undefined,
    applied,
    expectedRecord: applied?.commit ?? null,
    links: true,
  });
  if (decision.kind !== 'apply') throw new Error(`decided to ${decision.kind}`);
  const { plan } = decision;
  return { plan, record: nextRecord(desired, plan, state, applied, root, 'worker-1', new Date(0)) };
}
