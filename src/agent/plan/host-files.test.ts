// The files of a host as a tree of git has them.

import { expect, test } from 'vitest';
import { identity, nic } from '../../../test/support/agent.ts';
import { oid } from '../../../test/support/oid.ts';
import type { Network } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { managedFiles, renderTree } from '../../network/tree.ts';
import type { ManagedNic } from '../files/managed-files.ts';
import { hostFiles } from './host-files.ts';
import type { Desired, Plan } from './plan.ts';

const FILE = 'etc/netplan/90-multinic0.yaml';
const SPELT = `${rendererOf('netplan').render(nic(0)).get(FILE)!}# a note of an earlier version\n`;

function desired(network: Network, kind: RendererKind = 'netplan'): Desired {
  const files = managedFiles(renderTree(identity(kind), network));
  return { commit: oid('c'), kind, network, files };
}

/** The file of a host, with the NIC that it gives. */
const onHost = (content: string, given: Network[number] | undefined): ManagedNic => ({
  renderer: rendererOf('netplan'),
  name: 'multinic0',
  files: new Map([[FILE, content]]),
  ignored: new Set(),
  nic: given,
});

test.each<[string, ManagedNic, Desired, string]>([
  ['means the same as that of the commit', onHost(SPELT, nic(0)), desired([nic(0)]), 'commit'],
  ['means something else', onHost(SPELT, nic(0, { mtu: 1400 })), desired([nic(0)]), 'host'],
  ['is none of ours', onHost('odd', undefined), desired([nic(0)]), 'host'],
  ['means the same in another renderer', onHost(SPELT, nic(0)), desired([nic(0)], 'keyfile'), 'host'],
])('a file that %s counts as %4$s', (_, managed, wanted, whose) => {
  const plan = { present: wanted.network } as unknown as Plan;
  const [content] = managed.files.values();
  expect([...hostFiles([managed], wanted, plan)]).toEqual([
    [FILE, whose === 'commit' ? wanted.files.get(FILE) : content],
  ]);
});
