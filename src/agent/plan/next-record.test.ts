// The record and the tree of a host after a plan is carried out.

import { expect, test } from 'vitest';
import { identity, machine, nic } from '../../../test/support/agent.ts';
import { oid } from '../../../test/support/oid.ts';
import type { Network } from '../../network/interface.ts';
import { rendererOf } from '../../network/renderers.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import { parseOne, type ManagedNic } from '../files/managed-files.ts';
import type { Root } from '../files/root.ts';
import { hostFiles } from './host-files.ts';
import { nextRecord } from './next-record.ts';
import type { Desired, Plan } from './plan.ts';

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

/** A file of NIC 0 on the host. */
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
