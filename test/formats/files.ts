// Formats of files: of a node's branch, of main, and on the host.

import { carrierWait, CARRIER_WAIT_PATH } from '../../src/agent/files/carrier-wait.ts';
import { LOCK, RECORD, RESTORE_SCRIPT, RESTORE_UNIT, STAGING } from '../../src/agent/files/managed-files.ts';
import { noAutoDefault, noAutoDefaultPath } from '../../src/agent/files/no-auto-default.ts';
import { ANNOTATIONS } from '../../src/api/annotations.ts';
import { commitConfig, mainConfig } from '../../src/mirror/main-branch.ts';
import { admitConfig } from '../../src/network/admission.ts';
import type { Interface } from '../../src/network/interface.ts';
import { renderNode } from '../../src/network/node.ts';
import { RENDERER_KINDS, rendererOf } from '../../src/network/renderers.ts';
import { NODE_FILE } from '../../src/network/tree.ts';
import { Batch } from '../../src/store/model/batch.ts';
import { mac } from '../support/mac.ts';

const MAC = mac('02:00:00:00:01:01');
const NIC: Interface = {
  name: 'multinic1',
  mac: MAC,
  address: '192.168.100.10',
  prefix: 24,
  mtu: 1450,
  portId: 'port-1',
  takeover: true,
};
const NIC6: Interface = { name: 'multinic12', mac: MAC, address: 'fd00::10', prefix: 64, mtu: 1500 };

/** Routing of both families, with one gateway; the other NIC has what is off as comments. */
const ROUTED: Interface = {
  ...NIC,
  name: 'multinic2',
  furtherAddresses: ['192.168.100.11/24', 'fd00::10/64'],
  gateway: '192.168.100.1',
  routes: [{ to: '10.20.0.0/16', via: '192.168.100.2' }],
  sourceRouting: true,
  statedSourceRouting: true,
};
const OFF: Interface = { ...NIC6, name: 'multinic3', gateway6: 'fd00::1' };
const LINK_ONLY: Interface = { name: 'multinic4', mac: MAC, mtu: 1500 };
const NICS = [NIC, NIC6, ROUTED, OFF, LINK_ONLY];

/** Each renderer's files, with each line that stands in them: `PATH:NUMBER LINE`. */
export function renderedFiles(): string[] {
  return RENDERER_KINDS.flatMap((kind) => {
    const nics = kind === 'netplan' ? [...NICS, { ...NIC, netplanId: 'ens4' }] : NICS;
    return nics.flatMap((nic) => lines(rendererOf(kind).render(nic)));
  });
}

export function nodeFile(): string[] {
  return lines(
    new Map([
      [
        NODE_FILE,
        renderNode({
          name: 'worker-1',
          systemUUID: 'UUID',
          machineId: 'MACHINE',
          nodeId: 'ID',
          os: { family: 'ubuntu', major: 22 },
          renderer: 'netplan',
          source: { group: 'multinic.io', namespace: 'multinic-system', name: 'fleet' },
        }),
      ],
    ]),
  );
}

/** A CR's files on main. */
export function mainFiles(): string[] {
  const spec = {
    providerId: 'provider',
    specHash: 'hash',
    nodeConfigs: [
      { attachedNodeId: 'i-1', attachedNodeName: 'worker-1', interfaces: [] },
      {
        attachedNodeId: 'i-2',
        attachedNodeName: 'worker-2',
        interfaces: [{ macAddress: MAC, address: '169.254.1.10', cidr: '169.254.1.10/24', mtu: 1500 }],
      },
    ],
  };
  const object = {
    ref: { group: 'multinic.io', namespace: 'multinic-system', name: 'fleet' },
    uid: 'UID',
    generation: 3,
    annotations: { [ANNOTATIONS.paused.key]: 'true' },
    origin: { crd: 'CRD', namespace: 'NAMESPACE' },
    writer: { name: 'kubectl', email: '' },
    spec,
  };
  const batch = new Batch();
  commitConfig(batch, { mark: 1 }, undefined, mainConfig(object, admitConfig({ spec }), undefined));
  return batch.commits.flatMap(({ files }) => lines(files));
}

/** Files of ours on a host, without the files of its network. */
export function hostFiles(): string[] {
  return [
    RECORD,
    LOCK,
    STAGING,
    RESTORE_SCRIPT,
    RESTORE_UNIT,
    ...lines(new Map([[noAutoDefaultPath(MAC), noAutoDefault(MAC)]])),
    ...lines(new Map([[CARRIER_WAIT_PATH, carrierWait([NIC]) ?? '']])),
  ];
}

function lines(files: ReadonlyMap<string, unknown>): string[] {
  return [...files].flatMap(([path, text]) => [
    path,
    ...(typeof text === 'string' ? text : '')
      .split('\n')
      .map((line, index) => `${path}:${String(index + 1).padStart(2, '0')} ${line}`)
      .filter((line) => !line.endsWith(' ')),
  ]);
}
