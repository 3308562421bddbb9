import { expect, test } from 'vitest';
import { KubeNodeInventory, projectNode } from './node-inventory.ts';

const node = (extra: object = {}, metadata: object = {}, status: object = {}) =>
  projectNode({
    metadata: {
      name: 'w',
      labels: { 'kubernetes.io/hostname': 'vm-1' },
      annotations: { 'multinic.io/paused': 'true', 'node.alpha.kubernetes.io/ttl': '0' },
      ...metadata,
    },
    spec: { providerID: 'openstack://region/i-1' },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      nodeInfo: {
        machineID: 'm',
        systemUUID: 'u',
        bootID: 'b',
        osImage: 'Ubuntu 22.04.4 LTS',
        operatingSystem: 'linux',
        ...extra,
      },
      ...status,
    },
  } as never);

test('what is kept of a Node', () => {
  expect(node()).toEqual({
    name: 'w',
    systemUUID: 'u',
    machineId: 'm',
    bootID: 'b',
    osImage: 'Ubuntu 22.04.4 LTS',
    providerID: 'openstack://region/i-1',
    hostname: 'vm-1',
    ready: true,
    paused: true,
    annotations: { 'multinic.io/paused': 'true' },
  });
});

test('the networks of a Node: its InternalIPs and the networks of its pods', () => {
  const addresses = [
    { type: 'InternalIP', address: '192.0.2.11' },
    { type: 'ExternalIP', address: '203.0.113.1' },
    { type: 'Hostname', address: 'w' },
    { type: 'InternalIP', address: '2001:db8::11' },
  ];
  const spec = { podCIDRs: ['10.244.1.0/24'] };
  const projected = projectNode({ metadata: { name: 'w' }, spec, status: { addresses } } as never);
  expect(projected).toMatchObject({
    addresses: ['192.0.2.11', '2001:db8::11'],
    podCIDRs: ['10.244.1.0/24'],
  });
});

test.each([
  ['True', true],
  ['False', true],
  ['Unknown', false],
])('a Node whose kubelet says Ready=%s: reachable is %s', (status, reachable) => {
  const conditions = [
    { type: 'Ready', status, reason: 'KubeletNotReady', message: 'cni is not initialized' },
  ];
  expect(node({}, {}, { conditions }).ready).toBe(reachable);
  expect(node({}, {}, { conditions: [] }).ready).toBe(false);
});

test('a Node that goes, and one that is no Linux, are not ready', () => {
  expect(node({}, { deletionTimestamp: new Date() }).ready).toBe(false);
  expect(node({ operatingSystem: 'windows' })).toMatchObject({
    ready: false,
    problem: expect.stringMatching(/Windows/),
  });
});

test('no list is given while it is not complete', async () => {
  const inventory = new KubeNodeInventory({ list: () => [], complete: false });
  await expect(inventory.list()).rejects.toMatchObject({ code: 'NodesUnknown' });
});

test('a pause is a person’s own annotation', async () => {
  const inventory = new KubeNodeInventory({ list: () => [], complete: true });
  await expect(inventory.setPaused(['w'], true)).rejects.toThrow(
    /kubectl annotate node w multinic.io\/paused=true$/,
  );
  await expect(inventory.setPaused(['w'], false)).rejects.toThrow(/multinic.io\/paused-$/);
  await expect(inventory.setPaused(['v', 'w'], true)).rejects.toThrow(
    /kubectl annotate node --all --overwrite multinic.io\/paused=true$/,
  );
});
