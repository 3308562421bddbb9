// The record and the tree of a host after a plan is carried out.

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { identity, machine, nic } from '../../../test/support/agent.ts';
import { oid } from '../../../test/support/oid.ts';
import type { Network } from '../../network/interface.ts';
import { rendererOf } from '../../network/renderers.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { Applied } from '../files/host-record.ts';
import { parseOne, type ManagedNic } from '../files/managed-files.ts';
import type { Root } from '../files/root.ts';
import { hostFiles } from './host-files.ts';
import { nextRecord } from './next-record.ts';
import type { Desired, Plan } from './plan.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const FILE = 'etc/netplan/90-multinic0.yaml';
const NO_FILES = { read: () => undefined } as unknown as Root;

const desiredOf = (network: Network): Desired => ({
  commit: oid('c'),
  kind: 'netplan',
  network,
  files: managedFiles(renderTree(identity('netplan', 'w'), network)),
});

const planOf = (present: Network): Plan => ({
  files: [],
  kept: [],
  orphans: [],
  missing: [],
  present,
  targets: [],
  lingering: [],
  left: [],
});

const recordOf = (network: Network) =>
  nextRecord(desiredOf(network), planOf(network), machine(1), undefined, NO_FILES, 'w', new Date(0)).nics[
    nic(0).mac
  ];

test('the record of a NIC has its routing, if it has any', () => {
  expect(recordOf([nic(0)])).toEqual({
    name: 'multinic0',
    address: '192.168.100.10/24',
    origin: { name: 'ens5', mtu: 1500, up: false },
  });
  const routes = [{ to: '10.0.0.0/8', via: '192.168.100.1' }];
  expect(recordOf([nic(0, { routes })])?.routing).toMatchObject({ rules: [], sysctls: {} });
  expect(recordOf([nic(0, { sourceRouting: true })])?.routing?.rules).toHaveLength(1);
});

/** The record of NIC 0, whose link has this name. @param known what the record had of the NIC before */
function recordWith(
  link: string,
  known?: Partial<Applied['nics'][string]>,
  more: Partial<Plan> = {},
): Applied['nics'][string] | undefined {
  const host = machine(1);
  const before = {
    ...host,
    links: host.links.map((each) => (each.mac === nic(0).mac ? { ...each, name: link } : each)),
  };
  const plan = { ...planOf([nic(0)]), ...more };
  const old = known && ({ nics: { [nic(0).mac]: { name: 'multinic0', ...known } } } as unknown as Applied);
  return nextRecord(desiredOf([nic(0)]), plan, before, old, NO_FILES, 'w', new Date(0)).nics[nic(0).mac];
}

test('the record has the files that are written and those that stay, and none that goes', () => {
  const desired = desiredOf([nic(0), nic(1)]);
  const [first, second] = ['etc/netplan/90-multinic0.yaml', 'etc/netplan/91-multinic1.yaml'];
  const gone = 'etc/netplan/92-multinic2.yaml';
  const plan: Plan = {
    ...planOf(desired.network),
    files: [
      { op: 'write', path: first, content: 'new', mode: 0o600 },
      { op: 'remove', path: gone },
    ],
    kept: [second],
  };
  const root = { read: (path: string) => ({ content: `${path} on the host` }) } as unknown as Root;
  const commit = (path: string): string => sha256(desired.files.get(path)!);
  expect(nextRecord(desired, plan, machine(2), undefined, root, 'w', new Date(0)).files).toEqual({
    [first]: { sha256: sha256('new'), commit: commit(first) },
    [second]: { sha256: sha256(`${second} on the host`), commit: commit(second) },
  });
});

test('the record keeps how a link was when the agent first saw it', () => {
  const origin = { name: 'ens5', mtu: 1500, up: false };
  expect(recordWith('ens5')?.origin).toEqual(origin);
  // A name of ours says nothing of the link before the agent, nor does a link that the record had before.
  expect(recordWith('multinic0')).not.toHaveProperty('origin');
  expect(recordWith('lan0', {})).not.toHaveProperty('origin');
  expect(recordWith('lan0', { origin: { ...origin, name: 'ens7' } })?.origin).toEqual({
    ...origin,
    name: 'ens7',
  });
});

test('a run that touches no link leaves the name that the agent gave, and no other', () => {
  expect(recordWith('multinic5', { name: 'multinic5' })?.name).toBe('multinic5');
  expect(recordWith('ens5', { name: 'multinic5' })?.name).toBe('multinic0');
  expect(recordWith('ens5')?.name).toBe('multinic0');
  const target = { ...nic(0), up: true, addresses: [], dropped: [] };
  expect(recordWith('multinic5', { name: 'multinic5' }, { targets: [target] })?.name).toBe('multinic0');
  const other = { ...target, mac: nic(1).mac };
  expect(recordWith('multinic5', { name: 'multinic5' }, { targets: [other] })?.name).toBe('multinic5');
});

test('addresses that networkd may add again are kept with the boot, for their NIC', () => {
  const addresses = ['192.168.100.9/24'];
  const lingering = [{ mac: nic(0).mac, name: 'multinic0', addresses }];
  expect(recordWith('multinic0', {}, { lingering })?.lingering).toEqual({
    bootId: machine(1).bootId,
    addresses: ['192.168.100.9/24'],
  });
  const others = [{ ...lingering[0]!, mac: nic(1).mac }];
  expect(recordWith('multinic0', {}, { lingering: others })).not.toHaveProperty('lingering');
});

/** A file of NIC 0, as the host has it. */
function managed(content: string): ManagedNic {
  const renderer = rendererOf('netplan');
  const files = new Map([[FILE, content]]);
  return { renderer, name: 'multinic0', files, ignored: new Set(), nic: parseOne(renderer, files) };
}

test('a file that means the same counts as the file of the commit, and no other file does', () => {
  const desired = desiredOf([nic(0)]);
  const text = desired.files.get(FILE)!;
  const treeOf = (content: string): string | undefined =>
    hostFiles([managed(content)], desired, planOf([nic(0)])).get(FILE);
  expect(treeOf(`${text}# mine\n`)).toBe(text);
  const other = text.replace('1500', '1400');
  expect(treeOf(other)).toBe(other);
  expect(treeOf('{')).toBe('{');
});
