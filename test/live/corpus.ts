// Odd but valid files of foreign configuration, by the rules of their documentation.

/** Foreign files on a host; null is a link to /dev/null. */
export interface Case {
  readonly title: string;
  readonly files: Readonly<Record<string, string | null>>;
}

export interface Nic {
  readonly mac: string;
  readonly name: string;
}

const dashed = (mac: string): string => mac.replaceAll(':', '-');
const dotted = (mac: string): string => mac.replaceAll(':', '').replaceAll(/(....)(?!$)/g, '$1.');

/** Bodies of [Match] sections, by title. */
function matches({ mac, name }: Nic, key: string): Record<string, string> {
  const start = name.slice(0, 2);
  return {
    'a MAC': `MACAddress=${mac}`,
    'a MAC in capitals': `MACAddress=${mac.toUpperCase()}`,
    'a MAC with dashes': `MACAddress=${dashed(mac)}`,
    'a MAC with dots': `MACAddress=${dotted(mac)}`,
    'several MACs': `MACAddress=02:00:00:00:99:99 ${mac}`,
    'MACs on two lines': `MACAddress=02:00:00:00:99:99\nMACAddress=${mac}`,
    'MACs taken back': `MACAddress=${mac}\nMACAddress=`,
    'another MAC': 'MACAddress=02:00:00:00:99:99',
    'a MAC and another name': `MACAddress=${mac}\n${key}=foo`,
    'a name': `${key}=${name}`,
    'a pattern': `${key}=${start}*`,
    'a pattern of one letter': `${key}=${name.slice(0, -1)}?`,
    'a class': `${key}=${start}[a-z]*`,
    'a class turned round': `${key}=[!e]*`,
    'a class of others': `${key}=[xyz]*`,
    'any name': `${key}=*`,
    'an exception that is the NIC': `${key}=!${start}*`,
    'an exception of others': `${key}=!eth* ens*`,
    'exceptions, the NIC among them': `${key}=!eth* ${start}*`,
    'names on two lines': `${key}=foo\n${key}=${name}`,
    'names taken back': `${key}=${name}\n${key}=\n${key}=foo`,
    'names in quotes': `${key}="${name}" foo`,
    'names over a continued line': `${key}=foo \\\n  ${name}`,
    'a comment within a continued line': `${key}=foo \\\n# ${name}\n bar`,
    'blanks around the sign': `${key} = ${name}`,
    'a line without a sign': `nonsense\n${key}=${name}`,
    'an unknown key': `Foo=bar\n${key}=${name}`,
    'a key in other letters': `${key.toLowerCase()}=${name}`,
    'a comment': `#${key}=foo\n;${key}=foo\n${key}=${name}`,
    'a type': 'Type=ether',
    'another type': 'Type=wlan',
    'an exception of a type': 'Type=!wlan',
    'a type and a name': `Type=ether\n${key}=${name}`,
    'lines that end as on Windows': `MACAddress=${mac}\r`,
    'no condition': '',
  };
}

function systemdCases(nic: Nic, key: string, suffix: string, body: string): Case[] {
  const etc = `etc/systemd/network/05-corpus${suffix}`;
  const lib = `usr/lib/systemd/network/05-corpus${suffix}`;
  const whole = `[Match]\nMACAddress=${nic.mac}\n${body}`;
  return [
    ...Object.entries(matches(nic, key)).map(([title, match]) => ({
      title,
      files: { [etc]: `[Match]\n${match}\n${body}` },
    })),
    {
      title: 'two [Match] sections',
      files: { [etc]: `[Match]\n${key}=${nic.name}\n${body}[Match]\nMACAddress=${nic.mac}\n` },
    },
    {
      title: 'two [Match] sections, one of another',
      files: { [etc]: `[Match]\nType=wlan\n${body}[Match]\nMACAddress=${nic.mac}\n` },
    },
    { title: 'a broken header', files: { [etc]: `[Match\nMACAddress=${nic.mac}\n${body}` } },
    { title: 'a line before any section', files: { [etc]: `foo=bar\n${whole}` } },
    { title: 'no [Match]', files: { [etc]: body } },
    { title: 'a file of the vendor', files: { [lib]: whole } },
    { title: 'a file of the vendor hidden by an empty one', files: { [lib]: whole, [etc]: '' } },
    { title: 'a file of the vendor hidden by a link', files: { [lib]: whole, [etc]: null } },
    {
      title: 'a file of /run hidden by one of /etc',
      files: { [`run/systemd/network/05-corpus${suffix}`]: whole, [etc]: `[Match]\n${key}=foo\n${body}` },
    },
    {
      title: 'a drop-in that takes the NIC out',
      files: {
        [etc]: `[Match]\n${key}=${nic.name}\n${body}`,
        [`${etc}.d/10-x.conf`]: '[Match]\nMACAddress=02:00:00:00:99:99\n',
      },
    },
    {
      title: 'a drop-in that is hidden',
      files: { [etc]: whole, [`${lib}.d/10-x.conf`]: '[Match]\nType=wlan\n', [`${etc}.d/10-x.conf`]: null },
    },
    {
      title: 'a drop-in without its suffix',
      files: { [etc]: whole, [`${etc}.d/10-x`]: '[Match]\nType=wlan\n' },
    },
    { title: 'a file without its suffix', files: { [etc.replace(suffix, '')]: whole } },
  ];
}

export function networkCorpus(nic: Nic): Case[] {
  return systemdCases(nic, 'Name', '.network', '[Network]\nDescription=corpus\n');
}

export function linkCorpus(nic: Nic): Case[] {
  return systemdCases(nic, 'OriginalName', '.link', '[Link]\nDescription=corpus\n');
}

const netplanCase = (title: string, network: string): Case => ({
  title,
  files: { 'etc/netplan-corpus/50-x.yaml': `network: ${network}\n` },
});

/** Paths stand for /etc/netplan in a folder of its own. */
export function netplanCorpus({ mac, name }: Nic): Case[] {
  const start = name.slice(0, 2);
  return [
    netplanCase('the name as ID', `{version: 2, ethernets: {${name}: {dhcp4: true}}}`),
    netplanCase('another name', '{version: 2, ethernets: {foo: {dhcp4: true}}}'),
    netplanCase('no version', `{ethernets: {${name}: {dhcp4: true}}}`),
    netplanCase('a MAC', `{version: 2, ethernets: {lan: {match: {macaddress: "${mac}"}, dhcp4: true}}}`),
    netplanCase(
      'a MAC in capitals',
      `{version: 2, ethernets: {lan: {match: {macaddress: "${mac.toUpperCase()}"}, dhcp4: true}}}`,
    ),
    netplanCase(
      'another MAC under the name as ID',
      `{version: 2, ethernets: {${name}: {match: {macaddress: "02:00:00:00:99:99"}, dhcp4: true}}}`,
    ),
    netplanCase(
      'a name in the match',
      `{version: 2, ethernets: {lan: {match: {name: ${name}}, dhcp4: true}}}`,
    ),
    netplanCase('a pattern', `{version: 2, ethernets: {lan: {match: {name: "${start}*"}, dhcp4: true}}}`),
    netplanCase('a pattern of others', '{version: 2, ethernets: {lan: {match: {name: "e*"}, dhcp4: true}}}'),
    netplanCase('an empty match', '{version: 2, ethernets: {lan: {match: {}, dhcp4: true}}}'),
    netplanCase('a driver', '{version: 2, ethernets: {lan: {match: {driver: veth}, dhcp4: true}}}'),
    netplanCase('another driver', '{version: 2, ethernets: {lan: {match: {driver: e1000}, dhcp4: true}}}'),
    netplanCase(
      'a driver and a MAC',
      `{version: 2, ethernets: {lan: {match: {driver: veth, macaddress: "${mac}"}, dhcp4: true}}}`,
    ),
    netplanCase(
      'a bridge over the ID',
      `{version: 2, ethernets: {${name}: {}}, bridges: {br0: {interfaces: [${name}]}}}`,
    ),
    netplanCase(
      'a VLAN over the ID',
      `{version: 2, ethernets: {${name}: {}}, vlans: {v5: {id: 5, link: ${name}}}}`,
    ),
    netplanCase('a key twice', `{version: 2, ethernets: {${name}: {dhcp4: true, dhcp4: false}}}`),
    {
      title: 'one ID over two files',
      files: {
        'etc/netplan-corpus/10-a.yaml': `network: {version: 2, ethernets: {lan: {match: {macaddress: "${mac}"}}}}\n`,
        'etc/netplan-corpus/20-b.yaml': 'network: {version: 2, ethernets: {lan: {dhcp4: true}}}\n',
      },
    },
    {
      title: 'one ID whose match is changed',
      files: {
        'etc/netplan-corpus/10-a.yaml': `network: {version: 2, ethernets: {lan: {match: {macaddress: "${mac}"}}}}\n`,
        'etc/netplan-corpus/20-b.yaml':
          'network: {version: 2, ethernets: {lan: {match: {macaddress: "02:00:00:00:99:99"}, dhcp4: true}}}\n',
      },
    },
    {
      title: 'an anchor',
      files: {
        'etc/netplan-corpus/50-x.yaml': `network:\n  version: 2\n  ethernets:\n    lan: &lan\n      match: {macaddress: "${mac}"}\n      dhcp4: true\n    foo: {}\n`,
      },
    },
    {
      title: 'a match in the second file only',
      files: {
        'etc/netplan-corpus/10-a.yaml': 'network: {version: 2, ethernets: {lan: {dhcp6: true}}}\n',
        'etc/netplan-corpus/20-b.yaml': `network: {version: 2, ethernets: {lan: {match: {macaddress: "${mac}"}, dhcp4: true}}}\n`,
      },
    },
    {
      title: 'many aliases',
      files: {
        'etc/netplan-corpus/50-x.yaml': `network:\n  version: 2\n  ethernets:\n    a0: &lan {dhcp4: true}\n    ${name}: *lan\n${Array.from({ length: 300 }, (_, index) => `    b${index}: *lan\n`).join('')}`,
      },
    },
    {
      title: 'a second document',
      files: {
        'etc/netplan-corpus/50-x.yaml': `network: {version: 2, ethernets: {foo: {dhcp4: true}}}\n---\nnetwork: {version: 2, ethernets: {${name}: {dhcp4: true}}}\n`,
      },
    },
    {
      title: 'a first document and a broken one',
      files: {
        'etc/netplan-corpus/50-x.yaml': `network: {version: 2, ethernets: {${name}: {dhcp4: true}}}\n---\nnetwork: {\n`,
      },
    },
    {
      title: 'a broken file',
      files: { 'etc/netplan-corpus/50-x.yaml': 'network: {version: 2, ethernets: {\n' },
    },
    {
      title: 'a file without its suffix',
      files: {
        'etc/netplan-corpus/50-x.yml': `network: {version: 2, ethernets: {${name}: {dhcp4: true}}}\n`,
      },
    },
  ];
}

export function keyfileCorpus({ mac, name }: Nic): Case[] {
  const folder = 'etc/NetworkManager/system-connections';
  const head = '[connection]\nid=corpus\nuuid=11111111-2222-3333-4444-555555555555\n';
  const one = (title: string, body: string, file = 'corpus.nmconnection', where = folder): Case => ({
    title,
    files: { [`${where}/${file}`]: `${head}${body}` },
  });
  const typed = (title: string, body: string): Case => one(title, `type=ethernet\n${body}`);
  return [
    typed('any NIC', ''),
    typed('a MAC', `[ethernet]\nmac-address=${mac}\n`),
    typed('a MAC in capitals', `[ethernet]\nmac-address=${mac.toUpperCase()}\n`),
    typed('a MAC with dashes', `[ethernet]\nmac-address=${dashed(mac)}\n`),
    typed('another MAC', '[ethernet]\nmac-address=02:00:00:00:99:99\n'),
    typed('the old name of the section', `[802-3-ethernet]\nmac-address=${mac}\n`),
    typed('an excepted MAC', `[ethernet]\nmac-address-blacklist=${mac};\n`),
    typed('excepted MACs of others', '[ethernet]\nmac-address-blacklist=02:00:00:00:99:99;\n'),
    typed('a name', `interface-name=${name}\n`),
    typed('another name', 'interface-name=foo\n'),
    typed('a pattern as name', 'interface-name=la*\n'),
    typed('a pattern', '[match]\ninterface-name=la*\n'),
    typed('patterns', '[match]\ninterface-name=foo;la*;\n'),
    typed('a pattern of others', '[match]\ninterface-name=eth*;\n'),
    typed('an exception', `[match]\ninterface-name=!${name};\n`),
    typed('an exception of others', '[match]\ninterface-name=!eth*;\n'),
    typed('blanks around the sign', `[ethernet]\nmac-address = ${mac}\n`),
    typed('a comment', `#interface-name=foo\n[ethernet]\nmac-address=${mac}\n`),
    typed(
      'a section twice',
      `[ethernet]\nmtu=1400\n[ipv4]\nmethod=auto\n[ethernet]\nmac-address=02:00:00:00:99:99\n`,
    ),
    typed('a key twice', `interface-name=foo\ninterface-name=${name}\n`),
    typed('a line without a sign', 'nonsense\n'),
    one('the old name of the type', 'type=802-3-ethernet\n'),
    one('another type', 'type=dummy\ninterface-name=dummy7\n'),
    one('no type, but the section', '[ethernet]\n'),
    one('a file without a suffix', 'type=ethernet\n', 'corpus'),
    one('a copy of an editor', 'type=ethernet\n', 'corpus.nmconnection~'),
    one('a hidden file', 'type=ethernet\n', '.corpus.nmconnection'),
    one('a copy of rpm', 'type=ethernet\n', 'corpus.rpmsave'),
    one('a temporary file', 'type=ethernet\n', 'corpus.Ab12Cd'),
    one('a file of /run', 'type=ethernet\n', 'corpus.nmconnection', 'run/NetworkManager/system-connections'),
    one(
      'a file of /run without a suffix',
      'type=ethernet\n',
      'corpus',
      'run/NetworkManager/system-connections',
    ),
    one(
      'a file of the vendor',
      'type=ethernet\n',
      'corpus.nmconnection',
      'usr/lib/NetworkManager/system-connections',
    ),
    typed('DHCP', '[ipv4]\nmethod=auto\n'),
    typed('an address', '[ipv4]\nmethod=manual\naddress1=10.9.0.1/24\n'),
    typed('a bridge port', 'master=br0\nslave-type=bridge\n'),
  ];
}

const ifcfgCase = (title: string, body: string, file = 'ifcfg-corpus'): Case => ({
  title,
  files: { [`etc/sysconfig/network-scripts/${file}`]: `NAME=corpus\n${body}` },
});

export function ifcfgCorpus({ mac, name }: Nic): Case[] {
  return [
    ifcfgCase('any NIC', 'TYPE=Ethernet\n'),
    ifcfgCase('a name', `TYPE=Ethernet\nDEVICE=${name}\n`),
    ifcfgCase('a name without a type', `DEVICE=${name}\n`),
    ifcfgCase('another name', 'TYPE=Ethernet\nDEVICE=foo\n'),
    ifcfgCase('a MAC', `TYPE=Ethernet\nHWADDR=${mac}\n`),
    ifcfgCase('a MAC in capitals', `TYPE=Ethernet\nHWADDR=${mac.toUpperCase()}\n`),
    ifcfgCase('a MAC in double quotes', `TYPE=Ethernet\nHWADDR="${mac}"\n`),
    ifcfgCase('a MAC in single quotes', `TYPE=Ethernet\nHWADDR='${mac}'\n`),
    ifcfgCase('another MAC', 'TYPE=Ethernet\nHWADDR=02:00:00:00:99:99\n'),
    ifcfgCase('a comment behind a value', `TYPE=Ethernet\nDEVICE=${name} # the port\n`),
    ifcfgCase('blanks before a key', `TYPE=Ethernet\n  DEVICE=foo\n`),
    ifcfgCase('a key twice', `TYPE=Ethernet\nDEVICE=foo\nDEVICE=${name}\n`),
    ifcfgCase('a key twice, the other way', `TYPE=Ethernet\nDEVICE=${name}\nDEVICE=foo\n`),
    ifcfgCase('a comment', `TYPE=Ethernet\n#DEVICE=foo\n`),
    ifcfgCase('export', 'TYPE=Ethernet\nexport DEVICE=foo\n'),
    ifcfgCase('an empty value', 'TYPE=Ethernet\nDEVICE=\n'),
    ifcfgCase('the type in other letters', 'TYPE=ethernet\n'),
    ifcfgCase('another type', 'TYPE=Bridge\nDEVICE=br7\n'),
    ifcfgCase('no NetworkManager', `TYPE=Ethernet\nDEVICE=${name}\nNM_CONTROLLED=no\n`),
    ifcfgCase('a copy', 'TYPE=Ethernet\n', 'ifcfg-corpus.bak'),
    ifcfgCase('a copy of rpm', 'TYPE=Ethernet\n', 'ifcfg-corpus.rpmsave'),
    ifcfgCase('a copy of an editor', 'TYPE=Ethernet\n', 'ifcfg-corpus~'),
    ifcfgCase('DHCP', 'TYPE=Ethernet\nBOOTPROTO=dhcp\n'),
    ifcfgCase('an address', 'TYPE=Ethernet\nBOOTPROTO=none\nIPADDR=10.9.0.1\nPREFIX=24\n'),
  ];
}
