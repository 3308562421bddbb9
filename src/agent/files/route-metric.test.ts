import { describe, expect, test } from 'vitest';
import { nic } from '../../../test/support/agent.ts';
import {
  isManagerMetric,
  isMetricFile,
  metricFile,
  metricOf,
  metricPath,
  metricPaths,
} from './route-metric.ts';

test('each NIC has a metric of its own, above those of primary NICs', () => {
  expect(['multinic0', 'multinic7', 'enx020000000100'].map(metricOf)).toEqual([1000, 1007, 1000]);
});

test('the path of every renderer is a metric file’s, and netplan’s carries the netplan ID', () => {
  const paths = (['netplan', 'keyfile', 'ifcfg'] as const).map((kind) =>
    metricPath(nic(1, { netplanId: 'ens6' }), kind),
  );
  expect(paths).toEqual([
    'etc/systemd/network/10-netplan-ens6.network.d/multinic1.conf',
    'etc/NetworkManager/conf.d/90-multinic-metric-multinic1.conf',
    'etc/NetworkManager/conf.d/90-multinic-metric-multinic1.conf',
  ]);
  expect(paths.map(isMetricFile)).toEqual([true, true, true]);
  expect(paths.map(isManagerMetric)).toEqual([false, true, true]);
});

test.each([
  'etc/systemd/network/10-netplan-ens6.network.d/local.conf',
  'etc/systemd/network/10-netplan-ens6.network.d/backup/multinic1.conf',
  'etc/systemd/network/20-ens6.network.d/multinic1.conf',
  'etc/NetworkManager/conf.d/90-multinic-carrier.conf',
  'etc/NetworkManager/conf.d/90-multinic-020000000100.conf',
])('another file is none: %s', (path) => {
  expect(isMetricFile(path)).toBe(false);
});

describe('content', () => {
  test('networkd reads the address once more, with a metric', () => {
    const [comment, ...lines] = metricFile(nic(2), 'netplan').split('\n');
    expect(comment).toMatch(/^# Written by multinic-agent/);
    expect(lines).toEqual(['[Address]', 'Address=192.168.102.10/24', 'RouteMetric=1002', '']);
  });

  test.each(['keyfile', 'ifcfg'] as const)('NetworkManager reads a default for the NIC: %s', (kind) => {
    expect(metricFile(nic(2), kind).split('\n').slice(1)).toEqual([
      '[connection-multinic2]',
      'match-device=interface-name:multinic2',
      'ipv4.route-metric=1002',
      'ipv6.route-metric=1002',
      '',
    ]);
  });
});

test('metric files are found among the files of others', () => {
  const folders: Readonly<Record<string, string[]>> = {
    'etc/systemd/network': ['10-netplan-ens6.network.d', '10-eth0.network', '70-multinic0.link'],
    'etc/systemd/network/10-netplan-ens6.network.d': ['multinic1.conf', 'local.conf'],
    'etc/NetworkManager/conf.d': ['90-multinic-metric-multinic0.conf', '90-multinic-carrier.conf'],
  };
  expect(metricPaths({ list: (folder) => folders[folder] ?? [] })).toEqual([
    'etc/systemd/network/10-netplan-ens6.network.d/multinic1.conf',
    'etc/NetworkManager/conf.d/90-multinic-metric-multinic0.conf',
  ]);
});
