import { describe, expect, test } from 'vitest';
import { nic } from '../../../test/support/agent.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { generate } from './generator.ts';

const FOLDERS: Record<RendererKind, string> = {
  netplan: 'etc/netplan',
  ifcfg: 'etc/sysconfig/network-scripts',
  keyfile: 'etc/NetworkManager/system-connections',
};

function read(kind: RendererKind, others: Record<string, string>, judge?: 'syntax' | 'claims'): () => void {
  const files = new Map([
    ...rendererOf(kind).render(nic(0)),
    ...rendererOf(kind).render(nic(1)),
    ...Object.entries(others),
  ]);
  return () =>
    generate(
      kind,
      (folder) => {
        const own = [...files].filter(([path]) => path.startsWith(`${folder}/`));
        return new Map(own.map(([path, content]) => [path.slice(folder.length + 1), content]));
      },
      judge,
    );
}

const MANY_ALIASES = `network:
  version: 2
  ethernets:
    lan: &lan {dhcp4: true}
${Array.from({ length: 300 }, (_, index) => `    lan${index}: *lan\n`).join('')}`;
const LINK = '[Match]\nMACAddress=02:00:00:00:99:99\n[Link]\nName=lan0\n';

describe('files of others that do not agree among themselves stand beside ours', () => {
  test.each<[string, RendererKind, Record<string, string>]>([
    ['a key twice', 'netplan', { 'a.yaml': 'network: {ethernets: {eth0: {dhcp4: true, dhcp4: false}}}\n' }],
    [
      'a NIC twice',
      'netplan',
      { 'a.yaml': 'network:\n  ethernets:\n    eth0: {dhcp4: true}\n    eth0: {dhcp6: true}\n' },
    ],
    ['many aliases', 'netplan', { 'a.yaml': MANY_ALIASES }],
    [
      'a map that contains itself',
      'netplan',
      { 'a.yaml': 'network: &a {ethernets: {eth0: {dhcp4: true, x: *a}}, y: *a}\n' },
    ],
    ['a second document', 'netplan', { 'a.yaml': 'network: {version: 2}\n---\nnetwork: 7\n' }],
    [
      'one name for two NICs',
      'netplan',
      { 'a.yaml': 'network: {ethernets: {a: {set-name: lan0}, b: {set-name: lan0}}}\n' },
    ],
    [
      'two ifcfg files of the node’s own NIC',
      'ifcfg',
      { 'ifcfg-eth0': 'DEVICE=eth0\nONBOOT=yes\n', 'ifcfg-System_eth0': 'DEVICE=eth0\n' },
    ],
    [
      'two profiles of one uuid',
      'keyfile',
      { 'a.nmconnection': '[connection]\nuuid=1234\n', 'b.nmconnection': '[connection]\nuuid=1234\n' },
    ],
    [
      'two .link files of one MAC',
      'keyfile',
      { '/etc/systemd/network/10-a.link': LINK, '/etc/systemd/network/20-b.link': LINK },
    ],
  ])('%s', (_, kind, files) => {
    const paths = Object.entries(files).map(([name, content]) => [
      name.startsWith('/') ? name.slice(1) : `${FOLDERS[kind]}/${name}`,
      content,
    ]);
    expect(read(kind, Object.fromEntries(paths) as Record<string, string>)).not.toThrow();
  });
});

test('where the OS has a generator, that one judges the syntax, and we what it lets through', () => {
  const broken = { 'etc/netplan/60-broken.yaml': 'network: [' };
  expect(read('netplan', broken, 'claims')).not.toThrow();
  const taken = { 'etc/netplan/60-a.yaml': 'network: {ethernets: {ens9: {set-name: multinic1}}}\n' };
  expect(read('netplan', taken, 'claims')).toThrow(/set-name multinic1 is already that of/);
});

describe('what others configured', () => {
  test.each<[RendererKind, string, string]>([
    ['netplan', '50-cloud-init.yaml', 'network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n'],
    ['netplan', '60-empty.yaml', ''],
    ['netplan', 'notes.txt', ': ['],
    ['ifcfg', 'ifcfg-eth0', 'DEVICE=eth0\nONBOOT="yes"\nBOOTPROTO=dhcp\n'],
    ['ifcfg', 'ifcfg-ens6', `DEVICE=ens6\nHWADDR=${nic(0).mac.toUpperCase()}\nONBOOT=yes\n`],
    ['ifcfg', 'ifup-eth', 'not a configuration'],
    ['keyfile', 'Wired connection 1.nmconnection', '[connection]\nid=Wired connection 1\nuuid=1234\n'],
    ['keyfile', 'broken.nmconnection', 'not a keyfile'],
  ])('%s: %s stands beside ours', (kind, name, content) => {
    expect(read(kind, { [`${FOLDERS[kind]}/${name}`]: content })).not.toThrow();
  });

  test.each<[RendererKind, string, string, RegExp]>([
    ['netplan', 'etc/netplan/60-broken.yaml', 'network: [', /60-broken\.yaml: .*mend or remove/],
    ['netplan', 'etc/netplan/60-list.yaml', 'network: {ethernets: []}\n', /ethernets is not a mapping/],
    [
      'netplan',
      'etc/netplan/60-mine.yaml',
      'network: {ethernets: {ens9: {match: {macaddress: "aa:bb:cc:dd:ee:ff"}, set-name: multinic1}}}\n',
      /set-name multinic1 is already that of ens9/,
    ],
    [
      'ifcfg',
      'etc/sysconfig/network-scripts/ifcfg-mine',
      'DEVICE=multinic0\nONBOOT=yes\n',
      /DEVICE multinic0 is already that of/,
    ],
    [
      'keyfile',
      'etc/systemd/network/10-mine.link',
      `[Match]\nPermanentMACAddress=${nic(1).mac}\n[Link]\nName=lan0\n`,
      /MACAddress 02:00:00:00:01:01 is already that of/,
    ],
  ])('%s: %s is refused', (kind, path, content, message) => {
    expect(read(kind, { [path]: content })).toThrow(message);
  });
});
