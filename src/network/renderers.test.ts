import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '../api/errors.ts';
import { byIndex, type Interface } from './interface.ts';
import type { RendererKind } from './node.ts';
import type { Files } from './renderer.ts';
import { RENDERER_KINDS, rendererOf } from './renderers.ts';
import { thrownBy } from '../../test/support/thrown-by.ts';
import { mac } from '../../test/support/mac.ts';

const NIC: Interface = {
  name: 'multinic0',
  mac: mac('fa:16:3e:5e:62:3e'),
  address: '192.168.1.100',
  prefix: 24,
  mtu: 1500,
};
const NIC6: Interface = {
  ...NIC,
  name: 'multinic10',
  address: '2001:db8::1',
  prefix: 64,
  portId: 'port-1',
  takeover: true,
};

const NETPLAN = 'etc/netplan/90-multinic0.yaml';
const IFCFG = 'etc/sysconfig/network-scripts/ifcfg-multinic0';
const CONNECTION = 'etc/NetworkManager/system-connections/multinic0.nmconnection';
const LINK = 'etc/systemd/network/70-multinic0.link';
const HEADER =
  '# Managed by multinic-agent. Edit it in git (branch of this node) or in the MultiNicBizConfig, not on the host.\n';

describe('the file of one interface', () => {
  test('netplan', () => {
    expect([...rendererOf('netplan').render(NIC)]).toEqual([
      [
        NETPLAN,
        `${HEADER}network:
  version: 2
  ethernets:
    multinic0:
      match:
        macaddress: "fa:16:3e:5e:62:3e"
      dhcp4: false
      set-name: multinic0
      dhcp6: false
      addresses:
        - "192.168.1.100/24"
      accept-ra: false
      link-local: []
      optional: true
      mtu: 1500
`,
      ],
    ]);
  });

  test('netplan, IPv6, a port and another file’s ID', () => {
    expect([...rendererOf('netplan').render({ ...NIC6, netplanId: 'ens6' })]).toEqual([
      [
        'etc/netplan/99-multinic10.yaml',
        `${HEADER}# OpenStack port: port-1
# Takeover: true
network:
  version: 2
  ethernets:
    ens6:
      match:
        macaddress: "fa:16:3e:5e:62:3e"
      dhcp4: false
      set-name: multinic10
      dhcp6: false
      addresses:
        - "2001:db8::1/64"
      accept-ra: false
      link-local: [ipv6]
      optional: true
      mtu: 1500
`,
      ],
    ]);
  });

  test('ifcfg', () => {
    expect([...rendererOf('ifcfg').render(NIC)]).toEqual([
      [
        IFCFG,
        `${HEADER}TYPE=Ethernet
DEVICE=multinic0
ONBOOT=yes
NAME=multinic0
BOOTPROTO=none
HWADDR=fa:16:3e:5e:62:3e
DEFROUTE=no
IPADDR=192.168.1.100
PEERDNS=no
PREFIX=24
AUTOCONNECT_PRIORITY=130
MTU=1500
IPV6_AUTOCONF=no
IPV6INIT=no
IPV6_DEFROUTE=no
IPV6_DISABLED=yes
IPV6_PEERDNS=no
`,
      ],
    ]);
  });

  test('ifcfg, IPv6', () => {
    const text = [...rendererOf('ifcfg').render(NIC6).values()].join('');
    expect(text).toContain('IPV6INIT=yes\n');
    expect(text).toContain('IPV6_DISABLED=no\n');
    expect(text).toContain('IPV6ADDR=2001:db8::1/64\n');
    expect(text).not.toMatch(/^(IPADDR|PREFIX)=/m);
  });

  test('keyfile', () => {
    expect([...rendererOf('keyfile').render(NIC)]).toEqual([
      [
        CONNECTION,
        `${HEADER}[connection]
id=multinic0
type=ethernet
uuid=19e34fcf-a545-83d8-84ed-1e53d9b5d373
autoconnect-priority=130
interface-name=multinic0

[ethernet]
mac-address=fa:16:3e:5e:62:3e
# MTU in bytes
mtu=1500

[ipv4]
method=manual
never-default=true
address1=192.168.1.100/24
ignore-auto-dns=true

[ipv6]
method=disabled
never-default=true
ignore-auto-dns=true
`,
      ],
      [
        LINK,
        `${HEADER}[Match]
MACAddress=fa:16:3e:5e:62:3e
Type=ether

[Link]
Name=multinic0
`,
      ],
    ]);
  });

  test('keyfile, IPv6: the address moves to its section', () => {
    const text = [...rendererOf('keyfile').render(NIC6).values()].join('');
    expect(text).toMatch(/\[ipv4\]\nmethod=disabled\nnever-default=true\nignore-auto-dns=true\n/);
    expect(text).toMatch(/\[ipv6\]\nmethod=manual\nnever-default=true\naddress1=2001:db8::1\/64\n/);
  });
});

describe.each(RENDERER_KINDS)('%s', (kind) => {
  const renderer = rendererOf(kind);

  test('reads back what it wrote, sorted by index', () => {
    const network = [NIC6, { ...NIC, name: 'multinic9' }, NIC];
    const files = new Map(network.flatMap((nic) => [...renderer.render(nic)]));
    expect(renderer.parse(files)).toEqual([...network].sort(byIndex));
  });

  test('manages what it writes, in the folders that it names, and nothing that only looks like it', () => {
    for (let index = 0; index < 10_000; index += 37) {
      for (const path of renderer.render({ ...NIC, name: `multinic${index}` }).keys()) {
        expect(renderer.manages(path)).toBe(true);
        expect(renderer.directories).toContain(path.slice(0, path.lastIndexOf('/')));
        expect(renderer.manages(`x/${path}`)).toBe(false);
        expect(renderer.manages(`${path}.bak`)).toBe(false);
        expect(renderer.manages(path.replace('multinic', 'multinic0'))).toBe(false);
        expect(renderer.manages(path.replace('multinic', '../multinic'))).toBe(false);
        expect(renderer.manages(`${path}\n`)).toBe(false);
      }
    }
  });

  test('a comment and the file’s end may be edited', () => {
    const files = edit(renderer.render(NIC), /^/, '# A note\n');
    expect(renderer.parse(files)).toEqual([NIC]);
  });

  test('a MAC in capitals is the same MAC', () => {
    expect(renderer.parse(edit(renderer.render(NIC), /fa:16:3e:5e:62:3e/, 'FA:16:3E:5E:62:3E'))).toEqual([
      NIC,
    ]);
  });

  test.each([
    ['a value of ours changed', /multinic0$/m, 'multinic1'],
    ['an MTU in octal', /1500$/m, '01500'],
    ['an MTU in hexadecimal', /1500$/m, '0x5dc'],
    ['no address', /192\.168\.1\.100/, 'fe80::1%eth0'],
    ['a prefix that is too long', /([/=])24\b/, '$133'],
    ['no MAC', /fa:16:3e:5e:62:3e/, 'fa:16:3e'],
    ['a port with control characters', /\n/, '\n# OpenStack port: a\u0007b\n'],
    ['two ports', /\n/, '\n# OpenStack port: a\n# OpenStack port: b\n'],
  ])('refuses %s', (_, pattern, replacement) => {
    const files = edit(renderer.render(NIC), pattern, replacement);
    expect([...files.values()]).not.toEqual([...renderer.render(NIC).values()]);
    expect(() => renderer.parse(files)).toThrow(InvalidInputError);
    expect(() => renderer.parse(files, { lenient: true })).toThrow(InvalidInputError);
  });

  test('refuses a path of others', () => {
    const files = new Map([...renderer.render(NIC), ['etc/passwd', 'root']]);
    expect(problemsOf(() => renderer.parse(files))).toEqual([
      expect.objectContaining({ path: 'etc/passwd', code: 'ForeignFile' }),
    ]);
  });
});

test('modes: secret where the OS asks for it, readable for udev and the network scripts', () => {
  expect([mode('netplan', NETPLAN), mode('ifcfg', IFCFG)]).toEqual([0o600, 0o644]);
  expect([mode('keyfile', CONNECTION), mode('keyfile', LINK)]).toEqual([0o600, 0o644]);
});

describe('netplan, strictly', () => {
  test.each([
    ['broken YAML', /version: 2/, 'version: [2', 'InvalidYaml'],
    ['a gateway', /dhcp4: false/, 'dhcp4: false\n      gateway4: 192.168.1.1', 'ForeignKey'],
    ['DHCP', /dhcp4: false/, 'dhcp4: true', 'ForeignValue'],
    ['another spelling of a boolean', /dhcp4: false/, 'dhcp4: no', 'ForeignValue'],
    ['a constant removed', /      optional: true\n/, '', 'MissingKey'],
    [
      'a second address without its prefix',
      /(        - .*\n)/,
      '$1        - "192.168.1.101"\n',
      'InvalidAddress',
    ],
    ['a second NIC', /    multinic0:/, '    other: {dhcp4: true}\n    multinic0:', 'InvalidEthernets'],
    ['one of our names as ID', /    multinic0:/, '    multinic7:', 'InvalidNetplanId'],
    ['a bridge', /  ethernets:/, '  bridges: {br0: {interfaces: [eth0]}}\n  ethernets:', 'ForeignKey'],
    ['a key twice', /dhcp4: false/, 'dhcp4: false\n      dhcp4: false', 'InvalidYaml'],
    ['an anchor', /dhcp4: false/, 'dhcp4: &a false', 'InvalidYaml'],
    ['an alias', /dhcp6: false/, 'dhcp6: *a', 'InvalidYaml'],
    ['a tag', /set-name: /, 'set-name: !!str ', 'InvalidYaml'],
    ['a path as one key', /match:\n {8}macaddress/, 'match.macaddress', 'InvalidYaml'],
    ['a text instead of an empty list', /link-local: \[\]/, 'link-local: "[]"', 'ForeignKey'],
    ['one empty list more', /dhcp4: false/, 'dhcp4: false\n      routes: []', 'ForeignKey'],
    ['no empty list', / {6}link-local: \[\]\n/, '', 'MissingKey'],
    ['a second document', /$/, '---\nnetwork: {}\n', 'InvalidYaml'],
    ['an unquoted number of a MAC', /"fa:.*"/, '12:34:56:12:34:56', 'UnquotedMac'],
  ])('refuses %s', (_, pattern, replacement, code) => {
    expect(problemsOf(parseEdited(pattern, replacement)).map((problem) => problem.code)).toContain(code);
  });

  test('refuses an empty file', () => {
    expect(problemsOf(() => rendererOf('netplan').parse(new Map([[NETPLAN, '']])))[0]?.path).toBe(NETPLAN);
  });

  test.each([
    'ens6',
    'eth0.100',
    '123',
    'yes',
    '1e3',
    'a:b',
    '*',
    '[x]',
    '~',
    'true',
    'x#y',
    '이더넷',
    '__proto__',
    'a'.repeat(64),
  ])('another file’s ID %s', (netplanId) => {
    const nic = { ...NIC, netplanId };
    const files = rendererOf('netplan').render(nic);
    expect(rendererOf('netplan').parse(files)).toEqual([nic]);
    expect(rendererOf('netplan').parse(edit(files, /$/, '# a note\n'))).toEqual([nic]);
  });

  test.each(['multinic1', 'a b', 'a/b', '"a"', '', 'a'.repeat(65)])(
    'no ID of another file: %j',
    (netplanId) => {
      const files = rendererOf('netplan').render({ ...NIC, netplanId });
      expect(() => rendererOf('netplan').parse(files)).toThrow(InvalidInputError);
    },
  );

  test.each([
    ['a value without text', /dhcp4: false/, 'dhcp4:', 'ForeignValue'],
    ['a key without a value', /match:\n.*\n/, 'match: {}\n', 'InvalidYaml'],
    ['an anchor on a key', /dhcp4: false/, '&a dhcp4: false', 'InvalidYaml'],
    ['a tag on a key', /dhcp4: false/, '!!str dhcp4: false', 'InvalidYaml'],
    ['a list as a key', /dhcp4: false/, '? [dhcp4]\n      : false', 'InvalidYaml'],
    ['a NIC without a name', /multinic0:/, '? [multinic0]\n    :', 'InvalidEthernets'],
    ['a text instead of NICs', /ethernets:[^]*/, 'ethernets: multinic0\n', 'InvalidEthernets'],
    ['a MAC that is missing', /macaddress: .*/, 'macaddres: x', 'InvalidMac'],
    ['an address that is none', /192\.168\.1\.100/, '192.168.1.256', 'InvalidAddress'],
    ['another ID that no file may have', /    multinic0:/, '    multinic7:', 'InvalidNetplanId'],
  ])('says one thing of %s', (_, pattern, replacement, code) => {
    const problems = problemsOf(parseEdited(pattern, replacement));
    expect(problems.filter((problem) => problem.code !== 'ForeignKey').map((each) => each.code)).toEqual([
      code,
    ]);
  });

  test('says what is wrong with the YAML', () => {
    const [problem] = problemsOf(parseEdited(/version: 2/, 'version: [2'));
    expect(problem?.message).toMatch(/^is not plain YAML \(Flow sequence .+ at line \d+.*\); correct it$/);
  });

  test('takes an unquoted MAC with letters, and a quoted one of digits, in files that somebody edited', () => {
    expect(parseEdited(/"fa:.*"/, 'fa:16:3e:5e:62:3e')()).toEqual([NIC]);
    const digits = mac('02:34:56:12:34:56');
    for (const quote of ['"', "'"])
      expect(parseEdited(/"fa:.*"/, `${quote}${digits}${quote} # a note`)()).toEqual([
        { ...NIC, mac: digits },
      ]);
  });

  test('takes a file of 8,192 characters, and no larger one', () => {
    const [text = ''] = rendererOf('netplan').render(NIC).values();
    const long = (length: number): Files =>
      new Map([[NETPLAN, `${text}#${'x'.repeat(length - text.length - 1)}`]]);
    expect(rendererOf('netplan').parse(long(8192))).toEqual([NIC]);
    expect(problemsOf(() => rendererOf('netplan').parse(long(8193)))).toMatchObject([
      { code: 'FileTooLarge' },
    ]);
  });

  test('takes the names of its own files alone', () => {
    const { manages } = rendererOf('netplan');
    const names = ['90-multinic0', '98-multinic8', '99-multinic9', '99-multinic10', '99-multinic9999'];
    for (const name of names) expect([name, manages(`etc/netplan/${name}.yaml`)]).toEqual([name, true]);
    for (const name of ['91-multinic0', '99-multinic8', '90-multinic10', '99-multinic10000', '90-multinic'])
      expect([name, manages(`etc/netplan/${name}.yaml`)]).toEqual([name, false]);
  });

  test.each([
    ['one address', NIC],
    ['another ID', { ...NIC, netplanId: 'ens6' }],
    [
      'sixteen addresses',
      { ...NIC, furtherAddresses: Array.from({ length: 15 }, (_, index) => `2001:db8::${index + 10}/64`) },
    ],
  ])('reads a file as it was rendered many times faster than an edited one: %s', (_, nic) => {
    const own = rendererOf('netplan').render(nic);
    const edited = edit(own, /\n$/, '\n# a note\n');
    // Microseconds of this thread's CPU, because other programs run meanwhile.
    const time = (files: Files): number => {
      const began = process.threadCpuUsage();
      for (let each = 0; each < 5; each += 1) expect(rendererOf('netplan').parse(files)).toEqual([nic]);
      const { user, system } = process.threadCpuUsage(began);
      return user + system;
    };
    let [quick, slow] = [0, 0];
    // The kernel may count CPU in steps of ten milliseconds, so the sum of many measurements counts.
    while (slow < 200_000) {
      quick += time(own);
      slow += time(edited);
    }
    expect(quick).toBeLessThan(slow / 2);
  });

  test('the layout is free', () => {
    const flow = `network: {version: 2, ethernets: {multinic0: {match: {macaddress: 'fa:16:3e:5e:62:3e'}, dhcp4: false,
      set-name: multinic0, dhcp6: false, addresses: [192.168.1.100/24], accept-ra: false, link-local: [], optional: true, mtu: 1500}}}\n`;
    expect(rendererOf('netplan').parse(new Map([[NETPLAN, flow]]))).toEqual([NIC]);
  });
});

describe('ini, strictly', () => {
  test.each([
    ['ifcfg', /ONBOOT=yes/, 'ONBOOT=yes\nGATEWAY=192.168.1.1', 'ForeignKey'],
    ['ifcfg', /\n/g, '\r\n', 'InvalidLine'],
    ['ifcfg', /DEFROUTE=no/, 'DEFROUTE=yes', 'ForeignValue'],
    ['ifcfg', /DEFROUTE=no\n/, '', 'MissingKey'],
    ['ifcfg', /ONBOOT=yes/, 'ONBOOT=yes\nONBOOT=yes', 'InvalidLine'],
    ['ifcfg', /NAME=multinic0/, 'NAME=$(reboot)', 'InvalidLine'],
    ['ifcfg', /NAME=multinic0/, 'reboot', 'InvalidLine'],
    ['ifcfg', /ONBOOT=yes/, '# comment \\\nONBOOT=yes', 'InvalidLine'],
    ['ifcfg', /IPADDR=192.168.1.100/, 'IPADDR=2001:db8::1', 'ForeignKey'],
    ['ifcfg', /IPADDR=192.168.1.100/, 'IPADDR=192.168.1.100\nIPV6ADDR=2001:db8::1/64', 'ForeignValue'],
    ['keyfile', /never-default=true/, 'never-default=false', 'ForeignValue'],
    ['keyfile', /never-default=true/, 'never-default=true\ngateway=192.168.1.1', 'ForeignKey'],
    ['keyfile', /uuid=1/, 'uuid=2', 'ForeignValue'],
    ['keyfile', /\[ethernet\]/, '[802-3-ethernet]', 'InvalidMac'],
    ['keyfile', /\[ipv6\]/, '[ipv4]', 'InvalidLine'],
    ['keyfile', /Name=multinic0/, 'Name=eth0', 'ForeignValue'],
    ['keyfile', /MACAddress=fa/, 'MACAddress=f8', 'MacMismatch'],
  ] as const)('%s refuses %s → %s', (kind, pattern, replacement, code) => {
    const files = edit(rendererOf(kind).render(NIC), pattern, replacement);
    expect(problemsOf(() => rendererOf(kind).parse(files)).map((problem) => problem.code)).toContain(code);
  });

  test.each([
    [/ONBOOT=yes/, 'on boot', 'line 4 ("on boot") is not KEY=value; write it without blanks and quotes'],
    [/ONBOOT=yes/, 'MTU=1\nMTU=2', 'line 5 ("MTU=2") sets MTU again; write each key once'],
    [/ONBOOT=yes/, `x ${'y'.repeat(78)}`, `line 4 ("x ${'y'.repeat(78)}") is not KEY=value`],
    [/ONBOOT=yes/, `x ${'y'.repeat(79)}`, `line 4 ("x ${'y'.repeat(78)}") is not KEY=value`],
    [/ONBOOT=yes/, '# a \\', 'line 4 ("# a \\\\") ends in a backslash; remove it'],
  ])('the message for %s → %j names the line', (pattern, replacement, message) => {
    const problems = problemsOf(() =>
      rendererOf('ifcfg').parse(edit(rendererOf('ifcfg').render(NIC), pattern, replacement)),
    );
    expect(problems.some((problem) => problem.message.startsWith(message))).toBe(true);
  });

  test('a section twice is refused with its line', () => {
    const files = edit(rendererOf('keyfile').render(NIC), /\[ipv6\]/, '[ipv4]');
    const problems = problemsOf(() => rendererOf('keyfile').parse(files));
    expect(problems).toContainEqual({
      path: CONNECTION,
      code: 'InvalidLine',
      message: 'line 20 ("[ipv4]") opens a section twice; write each section once',
    });
  });

  test('keyfile says one thing of a .link file with another MAC', () => {
    const files = edit(rendererOf('keyfile').render(NIC), /MACAddress=fa/, 'MACAddress=f8');
    expect(problemsOf(() => rendererOf('keyfile').parse(files))).toMatchObject([
      { path: `${LINK}: Match.MACAddress`, code: 'MacMismatch' },
    ]);
  });

  test.each(['ifcfg', 'keyfile'] as const)('%s: an address that moves to the other family', (kind) => {
    const nic = { ...NIC, address: '2001:db8::1', prefix: 64, furtherAddresses: ['2001:db8::2/64'] };
    const { parse, render } = rendererOf(kind);
    expect(parse(render(nic))).toEqual([nic]);
    const both = { ...NIC, furtherAddresses: ['192.168.1.101/25', '2001:db8::1/64', '2001:db8::2/65'] };
    expect(parse(render(both))).toEqual([both]);
  });

  test.each([CONNECTION, LINK])('keyfile refuses %s alone', (path) => {
    const files = new Map([...rendererOf('keyfile').render(NIC)].filter(([key]) => key === path));
    expect(problemsOf(() => rendererOf('keyfile').parse(files))).toEqual([
      expect.objectContaining({ path: path === LINK ? CONNECTION : LINK, code: 'MissingFile' }),
    ]);
  });
});

describe('leniently, the earlier agent’s files', () => {
  const earlierNetplan = `network:
  version: 2
  ethernets:
    multinic0:
      match:
        macaddress: FA:16:3E:5E:62:3E
      set-name: multinic0
      addresses: ["192.168.1.100/24"]
      mtu: 1500
`;
  const earlierIfcfg = `DEVICE=multinic0
NAME=multinic0
TYPE=Ethernet
ONBOOT=yes
BOOTPROTO=none
IPADDR=192.168.1.100
PREFIX=24
MTU=1500
HWADDR=fa:16:3e:5e:62:3e
`;

  test.each([
    ['netplan', NETPLAN, earlierNetplan],
    ['ifcfg', IFCFG, earlierIfcfg],
  ] as const)('%s', (kind, path, text) => {
    const renderer = rendererOf(kind);
    const files = new Map([[path, text]]);
    expect(renderer.parse(files, { lenient: true })).toEqual([NIC]);
    expect(problemsOf(() => renderer.parse(files)).every(({ code }) => code === 'MissingKey')).toBe(true);
  });

  test('netplan, with a MAC of digits only that nobody quoted: netplan reads it as text', () => {
    const text = earlierNetplan.replace('FA:16:3E:5E:62:3E', '02:00:00:10:01:01');
    const files = new Map([[NETPLAN, text]]);
    expect(rendererOf('netplan').parse(files, { lenient: true })).toEqual([
      { ...NIC, mac: mac('02:00:00:10:01:01') },
    ]);
  });

  test('but not what would bring more than that', () => {
    const netplan = new Map([[NETPLAN, `${earlierNetplan}      dhcp4: true\n`]]);
    expect(problemsOf(() => rendererOf('netplan').parse(netplan, { lenient: true }))).toHaveLength(1);
    const ifcfg = new Map([[IFCFG, `${earlierIfcfg}GATEWAY=192.168.1.1\n`]]);
    expect(problemsOf(() => rendererOf('ifcfg').parse(ifcfg, { lenient: true }))).toHaveLength(1);
  });
});

function edit(files: Files, pattern: RegExp, replacement: string): Files {
  return new Map([...files].map(([path, text]) => [path, text.replace(pattern, replacement)]));
}

function problemsOf(act: () => unknown) {
  return thrownBy(act).problems;
}

function mode(kind: RendererKind, path: string): number {
  return rendererOf(kind).hostMode(path);
}

/** Parses the netplan file of NIC after an edit. */
function parseEdited(pattern: RegExp, replacement: string) {
  return () => rendererOf('netplan').parse(edit(rendererOf('netplan').render(NIC), pattern, replacement));
}
