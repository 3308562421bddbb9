import { describe, expect, test } from 'vitest';
import { linkOnly, nic } from '../../../test/support/agent.ts';
import type { Interface } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { nextBoot, refuseOverridden } from './next-boot.ts';

const MAC = nic(0).mac;
const LINK = 'run/systemd/network/10-netplan-multinic0.link';
const NETWORK = 'run/systemd/network/10-netplan-multinic0.network';
/** As netplan generates them. */
const NETPLAN = {
  [LINK]: `[Match]\nPermanentMACAddress=${MAC}\n\n[Link]\nName=multinic0\nMTUBytes=1500\n`,
  [NETWORK]: `[Match]\nPermanentMACAddress=${MAC}\nName=multinic0\n\n[Network]\nLinkLocalAddressing=no\nAddress=192.168.100.10/24\n`,
  'usr/lib/systemd/network/99-default.link': '[Match]\nOriginalName=*\n\n[Link]\nNamePolicy=keep kernel\n',
  'usr/lib/udev/rules.d/80-net-setup-link.rules': 'IMPORT{builtin}="net_setup_link"\n',
};
const KEYFILE = {
  'etc/systemd/network/70-multinic0.link': `[Match]\nMACAddress=${MAC}\nType=ether\n\n[Link]\nName=multinic0\n`,
  'etc/NetworkManager/system-connections/multinic0.nmconnection': `[connection]\nid=multinic0\ntype=ethernet\nautoconnect-priority=130\ninterface-name=multinic0\n[ethernet]\nmac-address=${MAC}\n[ipv4]\nmethod=manual\naddress1=192.168.100.10/24\n`,
};

const SCRIPTS = 'etc/sysconfig/network-scripts';
const RULE =
  'ACTION=="add", SUBSYSTEM=="net", ATTR{type}=="1", PROGRAM="/lib/udev/rename_device", RESULT=="?*", NAME="$result"\n';
const IFCFG = {
  'usr/lib/systemd/network/99-default.link': NETPLAN['usr/lib/systemd/network/99-default.link'],
  'usr/lib/udev/rules.d/60-net.rules': RULE,
  'usr/lib/udev/rules.d/80-net-setup-link.rules': 'IMPORT{builtin}="net_setup_link"\n',
  [`${SCRIPTS}/ifcfg-multinic0`]: `TYPE=Ethernet\nDEVICE=multinic0\nONBOOT=yes\nHWADDR=${MAC}\nIPADDR=192.168.100.10\nPREFIX=24\nAUTOCONNECT_PRIORITY=130\n`,
};

function boot(files: Readonly<Record<string, string>>, driver?: string) {
  const read = (folder: string): Map<string, string> =>
    new Map(
      Object.entries(files).flatMap(([path, content]) => {
        const cut = path.lastIndexOf('/');
        return path.slice(0, cut) === folder ? [[path.slice(cut + 1), content]] : [];
      }),
    );
  return nextBoot([{ mac: MAC, names: ['ens5', 'eth1'], ...(driver && { driver }) }], read)[0]!;
}

const refusal = (kind: RendererKind, files: Readonly<Record<string, string>>): (() => void) => {
  const choice = boot(files);
  return () => refuseOverridden([nic(0)], [choice], kind);
};

test('ours, where nobody else has anything to say', () => {
  expect(boot(NETPLAN)).toEqual({
    mac: MAC,
    link: { file: LINK, gives: ['multinic0'], mtu: 1500 },
    network: { file: NETWORK, gives: ['192.168.100.10/24'] },
  });
  expect(refusal('netplan', NETPLAN)).not.toThrow();
  expect(boot(KEYFILE)).toMatchObject({
    link: { gives: ['multinic0'] },
    profile: {
      file: 'etc/NetworkManager/system-connections/multinic0.nmconnection',
      gives: ['192.168.100.10/24'],
    },
  });
  expect(refusal('keyfile', KEYFILE)).not.toThrow();
});

test('netplan: a link-only NIC gets no address, and stays in the bridge of another program', () => {
  const DROP_IN = 'etc/systemd/network/10-netplan-multinic0.network.d/multinic0-link.conf';
  const bare = { ...NETPLAN, [NETWORK]: NETPLAN[NETWORK].replace('Address=192.168.100.10/24\n', '') };
  const ours = { ...bare, [DROP_IN]: '[Network]\nKeepMaster=yes\n' };
  expect(() => refuseOverridden([linkOnly(0)], [boot(ours)], 'netplan')).not.toThrow();
  expect(() => refuseOverridden([linkOnly(0)], [boot(NETPLAN)], 'netplan')).toThrow(
    'which is to be multinic0 without an address, gets 192.168.100.10/24 by run/systemd/network',
  );
});

describe('netplan: somebody else’s file that wins', () => {
  test.each<[string, string, string]>([
    [
      'a link by MAC',
      'etc/systemd/network/05-foo.link',
      `[Match]\nMACAddress=00:11:22:33:44:55 ${MAC}\n[Link]\nName=foo0\n`,
    ],
    [
      'a link by its first name',
      'etc/systemd/network/05-foo.link',
      '[Match]\nOriginalName=ens* !x\n[Link]\nName=foo0\n',
    ],
    [
      'a link that hides ours',
      'etc/systemd/network/10-netplan-multinic0.link',
      `[Match]\nMACAddress=${MAC}\n[Link]\nMTUBytes=9000\n`,
    ],
    [
      'a rule of old',
      'etc/udev/rules.d/70-persistent-net.rules',
      `SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="${MAC}", NAME="eth7"\n`,
    ],
    [
      'a rule that comes later',
      'etc/udev/rules.d/90-mine.rules',
      `SUBSYSTEM=="net", ATTR{address}=="${MAC}", NAME="eth7"\n`,
    ],
    [
      'a network by MAC',
      'etc/systemd/network/05-x.network',
      `[Match]\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`,
    ],
    [
      'a network by our name',
      'etc/systemd/network/05-x.network',
      '[Match]\nName=multinic*\n[Network]\nAddress=10.0.0.1/8\n',
    ],
    [
      'a network for all but one',
      'etc/systemd/network/05-x.network',
      '[Match]\nName=!eth0 lo\n[Network]\nDHCP=ipv4\n',
    ],
  ])('%s', (_, file, content) => {
    const refused = refusal('netplan', { ...NETPLAN, [file]: content });
    expect(refused).toThrow(expect.objectContaining({ code: 'NotAtNextBoot' }));
    expect(refused).toThrow(file);
  });

  test.each<[string, string, string]>([
    [
      'of another NIC',
      'etc/systemd/network/05-foo.link',
      '[Match]\nMACAddress=00:11:22:33:44:55\n[Link]\nName=foo0\n',
    ],
    ['of a driver', 'etc/systemd/network/05-foo.link', '[Match]\nDriver=brcmsmac\n[Link]\nName=foo0\n'],
    [
      'of all NICs, and later',
      'etc/systemd/network/50-all.network',
      '[Match]\nName=*\n[Network]\nDHCP=yes\n',
    ],
    ['that is broken', 'etc/systemd/network/05-foo.network', 'nonsense\n'],
    ['hidden by an empty one', 'etc/systemd/network/05-foo.network', ''],
  ])('a file %s does not matter', (_, file, content) => {
    const files = {
      'usr/lib/systemd/network/05-foo.network': `[Match]\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`,
    };
    const hidden = content === '' ? files : {};
    expect(refusal('netplan', { ...NETPLAN, ...hidden, [file]: content })).not.toThrow();
  });

  test('netplan’s own rule comes last, for NICs with a driver', () => {
    const files = {
      ...NETPLAN,
      'etc/systemd/network/05-foo.link': `[Match]\nDriver=virtio*\n[Link]\nName=foo0\n`,
      'run/udev/rules.d/99-netplan-multinic0.rules': `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${MAC}", NAME="multinic0"\n`,
    };
    expect(boot(files, 'virtio_net').link?.gives).toEqual(['multinic0']);
    expect(boot(files, 'virtio_net').link?.file).toContain('99-netplan');
    expect(boot(files).link?.file).toBe(LINK);
  });

  test('an address that is not ours, and DHCP in our own merged file', () => {
    const merged = NETPLAN[NETWORK].replace('LinkLocalAddressing=no', 'DHCP=ipv4');
    const asks = refusal('netplan', { ...NETPLAN, [NETWORK]: merged });
    expect(asks).toThrow('asks a DHCP server');
    // netplan generated the winning file, so the remedy names the folders of netplan's input.
    expect(asks).toThrow(/\/run\/netplan and \/lib\/netplan .*take that NIC out of the others, then/);
    const other = NETPLAN[NETWORK].replace('100.10', '100.11');
    expect(refusal('netplan', { ...NETPLAN, [NETWORK]: other })).toThrow('gets 192.168.100.11/24');
  });
});

const more = (lines: string): Record<string, string> => ({
  ...NETPLAN,
  [NETWORK]: `${NETPLAN[NETWORK]}${lines}\n`,
});

describe('netplan: what is added to our NIC', () => {
  test.each([
    ['a gateway', 'Gateway=192.168.100.1', 'Network.Gateway'],
    ['a name server', 'DNS=10.0.0.2', 'Network.DNS'],
    ['a bridge', 'Bridge=br0', 'Network.Bridge'],
    ['a bond', 'Bond=bond0', 'Network.Bond'],
    ['a VLAN', 'VLAN=tenant5', 'Network.VLAN'],
    ['a macvlan', 'MACVLAN=mv0', 'Network.MACVLAN'],
    ['a route', '[Route]\nDestination=10.0.0.0/8\nGateway=192.168.100.1', 'Route.Destination, Route.Gateway'],
    ['a rule', '[RoutingPolicyRule]\nFrom=10.0.0.0/8\nTable=7', 'RoutingPolicyRule.From'],
    ['router advertisements', 'IPv6AcceptRA=yes', 'Network.IPv6AcceptRA'],
    ['forwarding', 'IPForward=yes', 'Network.IPForward'],
    ['no management', '[Link]\nUnmanaged=yes', 'Link.Unmanaged'],
    ['another MAC', '[Link]\nMACAddress=02:00:00:00:00:99', 'Link.MACAddress'],
    ['a state', '[Link]\nActivationPolicy=manual', 'Link.ActivationPolicy'],
  ])('%s is refused by its key', (_, lines, keys) => {
    expect(refusal('netplan', more(lines))).toThrow(expect.objectContaining({ code: 'NotAtNextBoot' }));
    expect(refusal('netplan', more(lines))).toThrow(keys);
    const choice = boot(more(lines));
    expect(() => refuseOverridden([{ ...nic(0), takeover: true }], [choice], 'netplan')).not.toThrow();
  });

  test('other names are refused: networkd matches by them too', () => {
    const files = { ...NETPLAN, [LINK]: `${NETPLAN[LINK]}AlternativeName=ens6\n` };
    expect(refusal('netplan', files)).toThrow('Link.AlternativeName');
  });

  test('an MTU is refused, whoever is to be taken over', () => {
    const choice = boot(more('[Link]\nMTUBytes=9000'));
    expect(() => refuseOverridden([{ ...nic(0), takeover: true }], [choice], 'netplan')).toThrow(
      'gets MTU 9000',
    );
  });

  test('an empty value takes back what was given before', () => {
    expect(refusal('netplan', more('Gateway=192.168.100.1\nGateway='))).not.toThrow();
  });

  test('a drop-in is read with its file, from whatever folder', () => {
    const dropIn = 'usr/lib/systemd/network/10-netplan-multinic0.network.d/more.conf';
    const files = { ...NETPLAN, [dropIn]: '[Network]\nGateway=192.168.100.1\n' };
    expect(refusal('netplan', files)).toThrow(dropIn);
    const hidden = { ...files, 'etc/systemd/network/10-netplan-multinic0.network.d/more.conf': '' };
    expect(refusal('netplan', hidden)).not.toThrow();
  });
});

const refuse = (of: Interface, on: Readonly<Record<string, string>>) => (): void =>
  refuseOverridden([of], [boot(on)], 'netplan');

test('the rules of a NIC with source routing have to be there, and of any other NIC must not', () => {
  const routed = nic(0, { sourceRouting: true });
  const files = { ...NETPLAN, ...Object.fromEntries(rendererOf('netplan').render(routed)) };
  expect(refuse(routed, files)).not.toThrow();
  expect(refuse(routed, NETPLAN)).toThrow('gets no rule from 192.168.100.10/32');
  expect(refuse(nic(0), files)).toThrow('RoutingPolicyRule.From');
  const gateway = nic(0, { sourceRouting: true, gateway: '192.168.100.1' });
  expect(
    refuse(gateway, { ...NETPLAN, ...Object.fromEntries(rendererOf('netplan').render(gateway)) }),
  ).not.toThrow();
});

const other = (content: string): Record<string, string> => ({
  ...NETPLAN,
  'etc/systemd/network/05-x.network': content,
});

describe('netplan: the forms of a [Match]', () => {
  const dashes = MAC.replaceAll(':', '-');
  const dots = MAC.replaceAll(':', '').replaceAll(/(....)(?!$)/g, '$1.');

  test.each([
    ['a MAC with dashes', `[Match]\nMACAddress=${dashes}\n[Network]\nDHCP=yes\n`],
    ['a MAC with dots', `[Match]\nMACAddress=${dots}\n[Network]\nDHCP=yes\n`],
    ['a continued line', `[Match]\nMACAddress=02:00:00:00:99:99 \\\n  ${MAC}\n[Network]\nDHCP=yes\n`],
    ['two lines of one key', `[Match]\nName=foo\nName=multinic0\n[Network]\nDHCP=yes\n`],
    ['a class of characters', '[Match]\nName=multinic[0-3]\n[Network]\nDHCP=yes\n'],
    ['a line that says nothing', `[Match]\nnonsense\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`],
    ['lines that end as on Windows', `[Match]\r\nMACAddress=${MAC}\r\n[Network]\r\nDHCP=yes\r\n`],
  ])('%s fits', (_, content) => {
    expect(refusal('netplan', other(content))).toThrow('05-x.network');
  });

  test.each([
    ['a value that is taken back', '[Match]\nName=multinic0\nName=\nName=foo\n[Network]\nDHCP=yes\n'],
    ['an exception', '[Match]\nName=!multinic* eth*\n[Network]\nDHCP=yes\n'],
    ['a broken header', `[Match\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`],
    ['a key in other letters', `[match]\nMACAddress=${MAC}\n[Network]\nDHCP=yes\n`],
  ])('%s does not', (_, content) => {
    expect(refusal('netplan', other(content))).not.toThrow();
  });
});

const profile = (lines: string): Record<string, string> => ({
  ...KEYFILE,
  'etc/NetworkManager/system-connections/mine.nmconnection': `[connection]\nid=mine\ntype=ethernet\n${lines}`,
});

describe('keyfile: somebody else’s profile', () => {
  test.each([
    [`autoconnect-priority=200\n[ethernet]\nmac-address=${MAC.toUpperCase()}\n`],
    ['autoconnect-priority=200\ninterface-name=multinic0\n'],
    ['autoconnect-priority=200\n'],
    [`autoconnect-priority=200\n[ethernet]\nmac-address=${MAC.replaceAll(':', '-')}\n`],
    ['autoconnect-priority=200\n[match]\ninterface-name=multinic*;\n'],
  ])('that wins: %j', (lines) => {
    expect(refusal('keyfile', profile(lines))).toThrow(expect.objectContaining({ code: 'NotAtNextBoot' }));
  });
  test.each([
    [`autoconnect-priority=120\n[ethernet]\nmac-address=${MAC}\n`],
    ['autoconnect-priority=200\ninterface-name=ens5\n'],
    ['autoconnect-priority=200\nautoconnect=false\n'],
    ['autoconnect-priority=200\n[match]\ninterface-name=!multinic0;\n'],
    [`autoconnect-priority=200\n[ethernet]\nmac-address-denylist=${MAC};\n`],
  ])('that loses: %j', (lines) => {
    expect(refusal('keyfile', profile(lines))).not.toThrow();
  });
});

describe('ifcfg', () => {
  test('ours, where nobody else has anything to say', () => {
    const file = `${SCRIPTS}/ifcfg-multinic0`;
    expect(boot(IFCFG)).toEqual({
      mac: MAC,
      link: { file, gives: ['multinic0'] },
      profile: { file, gives: ['192.168.100.10/24'] },
    });
    expect(refusal('ifcfg', IFCFG)).not.toThrow();
  });

  test.each([
    ['nothing names NICs by ifcfg files', 'usr/lib/udev/rules.d/60-net.rules', ''],
    [
      'a rule for NICs with a driver, and this one has none',
      'usr/lib/udev/rules.d/60-net.rules',
      `DRIVERS=="?*", ${RULE}`,
    ],
    [
      'a rule after it',
      'etc/udev/rules.d/70-persistent-net.rules',
      `SUBSYSTEM=="net", ATTR{address}=="${MAC}", NAME="lan0"\n`,
    ],
    // This file wins, because the NIC already has the name ens5 when udev reads it.
    ['the name before', `${SCRIPTS}/ifcfg-ens5`, `DEVICE="ens5"\nHWADDR="${MAC.toUpperCase()}"\nONBOOT=no\n`],
    ['a file after ours', `${SCRIPTS}/ifcfg-tenant`, `DEVICE=tenant\nHWADDR=${MAC}\nONBOOT=no\n`],
    ['a profile that is stronger', `${SCRIPTS}/ifcfg-all`, 'BOOTPROTO=dhcp\nAUTOCONNECT_PRIORITY=200\n'],
    [
      'a keyfile that is stronger',
      'etc/NetworkManager/system-connections/mine.nmconnection',
      '[connection]\ntype=ethernet\nautoconnect-priority=200\n',
    ],
  ])('somebody else’s file that wins: %s', (_what, path, content) => {
    expect(refusal('ifcfg', { ...IFCFG, [path]: content })).toThrow(
      expect.objectContaining({ code: 'NotAtNextBoot' }),
    );
  });

  test.each([
    ['no MAC in it', 'ifcfg-ens5', 'DEVICE=ens5\nONBOOT=no\nBOOTPROTO=dhcp\n'],
    ['a file before ours', 'ifcfg-ens8', `DEVICE=ens8\nHWADDR=${MAC}\nONBOOT=no\n`],
    ['a copy', 'ifcfg-tenant.bak', `DEVICE=tenant\nHWADDR=${MAC}\n`],
    ['weaker', 'ifcfg-all', 'BOOTPROTO=dhcp\n'],
    [
      'one that NetworkManager leaves alone',
      'ifcfg-all',
      'BOOTPROTO=dhcp\nAUTOCONNECT_PRIORITY=200\nNM_CONTROLLED=no\n',
    ],
    [
      'a comment behind a value',
      'ifcfg-all',
      'BOOTPROTO=dhcp\nAUTOCONNECT_PRIORITY=200\nONBOOT="no" # for now\n',
    ],
  ])('that loses: %s', (_what, name, content) => {
    expect(refusal('ifcfg', { ...IFCFG, [`${SCRIPTS}/${name}`]: content })).not.toThrow();
  });

  test('a file of theirs names a NIC of keyfiles too', () => {
    const theirs = { [`${SCRIPTS}/ifcfg-ens5`]: `DEVICE=ens5\nHWADDR=${MAC}\nONBOOT=no\n` };
    expect(refusal('keyfile', { ...KEYFILE, ...theirs })).not.toThrow();
    expect(refusal('keyfile', { ...KEYFILE, ...theirs, 'usr/lib/udev/rules.d/60-net.rules': RULE })).toThrow(
      expect.objectContaining({ code: 'NotAtNextBoot' }),
    );
  });
});
