import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describedNics } from './foreign-files.ts';
import { describes } from './foreign-nics.ts';
import { openRoot } from '../files/managed-files.ts';
import { mac } from '../../../test/support/mac.ts';

const MAC = mac('02:00:00:00:01:00');
const NIC = { mac: MAC, names: ['ens6', 'multinic0'] };
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'multinic-foreign-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
}

/** Descriptions of the NIC: each file, and its keys beyond DHCP. */
function said(): string[] {
  return describedNics(openRoot(dir))
    .filter((each) => describes(each, NIC))
    .map(({ file, more }) => [file, ...more].join(' '));
}

const yaml = (network: string): void => write('etc/netplan/50-x.yaml', `network: ${network}\n`);

describe('netplan', () => {
  test.each([
    ['the name as ID', '{ethernets: {ens6: {addresses: [10.0.0.1/8]}}}', 'addresses'],
    [
      'a MAC in capitals',
      `{ethernets: {lan: {match: {macaddress: "${MAC.toUpperCase()}"}, gateway4: 10.0.0.1}}}`,
      'gateway4',
    ],
    [
      'a name in the match',
      '{ethernets: {lan: {match: {name: ens6}, nameservers: {addresses: [10.0.0.1]}}}}',
      'nameservers',
    ],
    ['a map that contains itself', '&a {ethernets: {ens6: {routes: [*a], optional: *a}}}', 'routes'],
    ['a pattern', '{ethernets: {lan: {match: {name: "ens*"}, routes: []}}}', 'routes'],
    ['a driver', '{ethernets: {lan: {match: {driver: virtio_net}, addresses: [10.0.0.1/8]}}}', 'addresses'],
    [
      'a list of drivers',
      '{ethernets: {lan: {match: {driver: [e1000, virtio_net]}, addresses: [10.0.0.1/8]}}}',
      'addresses',
    ],
    ['a bridge over its name', '{bridges: {br0: {interfaces: [ens5, ens6]}}}', 'bridges.br0.interfaces'],
    [
      'a bridge over its ID',
      `{ethernets: {lan: {match: {macaddress: "${MAC}"}}}, bridges: {br0: {interfaces: [lan]}}}`,
      'bridges.br0.interfaces',
    ],
    ['a bond', '{bonds: {bond0: {interfaces: [ens6]}}}', 'bonds.bond0.interfaces'],
    ['a VRF', '{vrfs: {red: {table: 7, interfaces: [ens6]}}}', 'vrfs.red.interfaces'],
    ['a VLAN', '{vlans: {v5: {id: 5, link: ens6}}}', 'vlans.v5.link'],
    ['a bridge over our own ID', '{bridges: {br0: {interfaces: [multinic0]}}}', 'bridges.br0.interfaces'],
    [
      'a key twice, which netplan takes',
      '{ethernets: {ens6: {dhcp4: true, dhcp4: false, addresses: [10.0.0.1/8]}}}',
      'addresses',
    ],
  ])('%s', (_, network, key) => {
    yaml(network);
    expect(said().some((each) => each.startsWith('etc/netplan/50-x.yaml') && each.includes(key))).toBe(true);
  });

  test.each([
    ['another name', '{ethernets: {ens5: {addresses: [10.0.0.1/8]}}}'],
    [
      'another MAC under the name as ID',
      '{ethernets: {ens6: {match: {macaddress: "02:00:00:00:99:99"}, addresses: [10.0.0.1/8]}}}',
    ],
    ['another pattern', '{ethernets: {lan: {match: {name: "eth*"}, addresses: [10.0.0.1/8]}}}'],
    ['a bridge over others', '{bridges: {br0: {interfaces: [ens5]}}}'],
  ])('not by %s', (_, network) => {
    yaml(network);
    expect(said()).toEqual([]);
  });

  test('definitions of one ID are one, over all files', () => {
    write('etc/netplan/10-a.yaml', `network: {ethernets: {lan: {match: {macaddress: "${MAC}"}}}}\n`);
    write('run/netplan/20-b.yaml', 'network: {ethernets: {lan: {addresses: [10.0.0.1/8]}}}\n');
    expect(said()).toEqual(['etc/netplan/10-a.yaml', 'run/netplan/20-b.yaml addresses']);
  });

  test('a file of /run hides that of /etc, and a link to /dev/null any', () => {
    yaml('{ethernets: {ens6: {addresses: [10.0.0.1/8]}}}');
    write('run/netplan/50-x.yaml', 'network: {ethernets: {ens6: {dhcp4: true}}}\n');
    expect(said()).toEqual(['run/netplan/50-x.yaml']);
    rmSync(join(dir, 'run/netplan/50-x.yaml'));
    symlinkSync('/dev/null', join(dir, 'run/netplan/50-x.yaml'));
    expect(said()).toEqual([]);
  });
});

describe('NetworkManager', () => {
  const FOLDER = 'etc/NetworkManager/system-connections';

  test.each([
    ['a MAC with dashes', 'x.nmconnection', `[ethernet]\nmac-address=${MAC.replaceAll(':', '-')}\n`],
    ['a file without a suffix', 'Wired', `[ethernet]\nmac-address=${MAC}\n`],
    ['a name', 'x.nmconnection', '[connection]\ninterface-name=ens6\n'],
    ['a pattern', 'x.nmconnection', '[match]\ninterface-name=ens*;\n'],
  ])('%s', (_, name, content) => {
    write(`${FOLDER}/${name}`, `${content}[ipv4]\nmethod=manual\naddress1=10.0.0.1/8\n`);
    expect(said()).toEqual([`${FOLDER}/${name} ipv4.method=manual ipv4.address1`]);
  });

  test('a profile that NetworkManager generated for what is in the kernel counts for nothing', () => {
    const generated = '[connection]\ninterface-name=ens6\n[ipv4]\naddress1=10.0.0.1/32\nmethod=manual\n';
    const file = 'run/NetworkManager/system-connections/ens6.nmconnection';
    write(file, generated);
    expect(said()).toEqual([`${file} ipv4.address1 ipv4.method=manual`]);
    write(file, `${generated}[.nmmeta]\nnm-generated=true\nvolatile=true\nexternal=true\n`);
    expect(said()).toEqual([]);
  });

  test('a copy of an editor counts for nothing', () => {
    write(`${FOLDER}/x.nmconnection~`, '[connection]\ninterface-name=ens6\n[ipv4]\naddress1=10.0.0.1/8\n');
    expect(said()).toEqual([]);
  });

  test('a bridge port by its profile', () => {
    write(`${FOLDER}/x.nmconnection`, '[connection]\ninterface-name=ens6\nslave-type=bridge\nmaster=br0\n');
    expect(said()).toEqual([`${FOLDER}/x.nmconnection connection.slave-type connection.master`]);
  });

  test.each([
    ['by its name', 'type=vlan\ninterface-name=ens6.5\n[vlan]\nid=5\nparent=ens6\n', 'vlan.parent'],
    [
      'by its MAC',
      `type=vlan\ninterface-name=v5\n[vlan]\nid=5\n[ethernet]\nmac-address=${MAC}\n`,
      'connection.type=vlan',
    ],
    ['under a macvlan', 'type=macvlan\ninterface-name=m0\n[macvlan]\nparent=ens6\n', 'macvlan.parent'],
    ['under a VXLAN', 'type=vxlan\n[vxlan]\nid=7\nparent=ens6\n', 'vxlan.parent'],
    ['under a tunnel', 'type=ip-tunnel\n[ip-tunnel]\nmode=1\nparent=ens6\n', 'ip-tunnel.parent'],
  ])('the parent of a VLAN %s', (_, body, key) => {
    write(`${FOLDER}/x.nmconnection`, `[connection]\n${body}`);
    expect(said()).toEqual([`${FOLDER}/x.nmconnection ${key}`]);
  });

  test('the parent of a VLAN by the UUID of another profile', () => {
    write(
      `${FOLDER}/a.nmconnection`,
      `[connection]\nuuid=11-22\ntype=ethernet\n[ethernet]\nmac-address=${MAC}\n`,
    );
    write(`${FOLDER}/b.nmconnection`, '[connection]\ntype=vlan\n[vlan]\nid=5\nparent=11-22\n');
    expect(said()).toEqual([`${FOLDER}/a.nmconnection`, `${FOLDER}/b.nmconnection vlan.parent`]);
  });

  test.each(['type=vlan\n[vlan]\nparent=ens5\n', 'type=ethernet\n[vlan]\nparent=ens6\n'])(
    'not the parent in %j',
    (body) => {
      write(`${FOLDER}/x.nmconnection`, `[connection]\n${body}`);
      expect(said()).toEqual([]);
    },
  );
});

describe('ifcfg', () => {
  const FILE = 'etc/sysconfig/network-scripts/ifcfg-x';

  test.each([
    ['quotes', "HWADDR='02:00:00:00:01:00'\nIPADDR='10.0.0.1'\n", 'IPADDR'],
    ['a comment behind', `HWADDR=${MAC} # the port\nGATEWAY=10.0.0.1\n`, 'GATEWAY'],
    ['an alias', 'DEVICE=ens6:1\nIPADDR=10.0.0.1\n', 'IPADDR'],
    ['no NetworkManager', 'DEVICE=ens6\nNM_CONTROLLED=no\n', 'NM_CONTROLLED=no'],
    ['a bridge', 'DEVICE=ens6\nBRIDGE=br0\n', 'BRIDGE'],
    ['a VLAN by its name', 'DEVICE=ens6.5\nVLAN=yes\n', 'VLAN'],
    ['a VLAN of its type', 'TYPE=Vlan\nDEVICE=v5\nPHYSDEV=ens6\nVLAN_ID=5\n', 'VLAN'],
  ])('%s', (_, content, key) => {
    write(FILE, content);
    expect(said()).toEqual([`${FILE} ${key}`]);
  });

  test.each(['DEVICE=ens6.5\n', 'DEVICE=ens5.5\nVLAN=yes\n', 'DEVICE=v5\nVLAN=no\nPHYSDEV=ens6\n'])(
    'not in %j',
    (content) => {
      write(FILE, content);
      expect(said()).toEqual([]);
    },
  );
});
