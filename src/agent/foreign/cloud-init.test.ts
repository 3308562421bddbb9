import { describe, expect, test } from 'vitest';
import { nic } from '../../../test/support/agent.ts';
import { renamedByCloudInit } from './cloud-init.ts';

const MAC = nic(0).mac;
const V1 = `version: 1
config:
- {type: physical, name: ens6, mac_address: '${MAC.toUpperCase()}', subnets: [{type: dhcp4}]}
- {type: nameserver, address: 10.0.0.1}
`;
const V2 = `version: 2
ethernets:
  id0: {match: {macaddress: '${MAC}'}, set-name: ens6}
  id1: {match: {macaddress: '${nic(1).mac}'}}
`;
const CACHE = 'var/lib/cloud/instance/network-config.json';
const under = (network: string): string => `network:\n${network.replaceAll(/^(?=.)/gm, '  ')}`;

function renamed(files: Readonly<Record<string, string>>): string[] {
  const root = {
    list: (folder: string) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1))
        .sort(),
    readForeign: (path: string) => (path in files ? { content: files[path]! } : undefined),
  };
  return renamedByCloudInit(root, [nic(0), nic(1)]).map(
    ({ nic: { name }, name: other, file }) => `${name} ${other} ${file}`,
  );
}

describe('cloud-init renames a NIC', () => {
  test.each<[string, Record<string, string>, string]>([
    [
      'version 1 in the settings',
      { 'etc/cloud/cloud.cfg.d/50-net.cfg': under(V1) },
      'etc/cloud/cloud.cfg.d/50-net.cfg',
    ],
    ['version 2 in the settings', { 'etc/cloud/cloud.cfg': under(V2) }, 'etc/cloud/cloud.cfg'],
    [
      'the configuration that it keeps of its datasource',
      {
        [CACHE]: JSON.stringify({
          version: 1,
          config: [{ type: 'physical', name: 'ens6', mac_address: MAC }],
        }),
      },
      CACHE,
    ],
    [
      'a seed',
      { 'var/lib/cloud/seed/nocloud/network-config': under(V2) },
      'var/lib/cloud/seed/nocloud/network-config',
    ],
    [
      'the last file of the settings, before the datasource',
      {
        'etc/cloud/cloud.cfg.d/10-a.cfg': 'network: {config: disabled}\n',
        'etc/cloud/cloud.cfg.d/90-b.cfg': under(V2),
        [CACHE]: '{"version": 1, "config": []}',
      },
      'etc/cloud/cloud.cfg.d/90-b.cfg',
    ],
  ])('by %s', (_, files, file) => {
    expect(renamed(files)).toEqual([`multinic0 ens6 ${file}`]);
  });
});

describe('cloud-init renames no NIC', () => {
  test.each<[string, Record<string, string>]>([
    ['without any file', {}],
    ['that has our name there', { [CACHE]: V2.replace('ens6', 'multinic0') }],
    [
      'if its network configuration is disabled',
      { 'etc/cloud/cloud.cfg.d/99-disable-network-config.cfg': 'network: {config: disabled}\n', [CACHE]: V2 },
    ],
    ['if it is disabled', { 'etc/cloud/cloud-init.disabled': '', [CACHE]: V2 }],
    ['of another MAC', { [CACHE]: V2.replace(MAC, '02:00:00:00:09:09') }],
    ['by a file that nobody can read', { [CACHE]: '{"version": 2, "ethernets": [}' }],
    ['by a file of another form', { [CACHE]: '[1, 2]', 'etc/cloud/cloud.cfg': 'network: [a]\n' }],
    ['by an alias that refers to itself', { [CACHE]: 'ethernets: &a {x: *a}\n' }],
  ])('%s', (_, files) => {
    expect(renamed(files)).toEqual([]);
  });
});
