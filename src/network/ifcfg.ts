// ifcfg files, for RHEL and its kin 7 and 8: read by the network scripts and by NetworkManager's ifcfg plugin.

import type { Problem } from '../api/errors.ts';
import type { Cidr } from './address.ts';
import { readIni } from './ini.ts';
import { indexOfName, type Interface } from './interface.ts';
import { Reading, readInterfaces } from './reading.ts';
import type { Files, Renderer } from './renderer.ts';
import { comments, compareKeys, HEADER, readComments } from './vocabulary.ts';

const DIRECTORY = 'etc/sysconfig/network-scripts';

export const ifcfg: Renderer = {
  kind: 'ifcfg',
  directories: [DIRECTORY],
  render: (nic) => new Map([[pathOf(nic.name), text(nic)]]),
  parse: (files, { lenient = false } = {}) =>
    readInterfaces(files, nameOf, (name, problems) => read(name, files, lenient, problems)),
  manages: (path) => nameOf(path) !== undefined,
  hostMode: () => 0o644,
};

function pathOf(name: string): string {
  return `${DIRECTORY}/ifcfg-${name}`;
}

function nameOf(path: string): string | undefined {
  const start = `${DIRECTORY}/ifcfg-`;
  const name = path.slice(start.length);
  return path.startsWith(start) && indexOfName(name) !== undefined ? name : undefined;
}

/**
 * Constant and varying lines alternate, so that git merges edits of neighbouring fields; the priority is above
 * cloud-init's 120. IPV6_DISABLED is needed because IPV6INIT=no alone means `ignore` to NetworkManager, and the kernel
 * then still accepts router advertisements.
 */
function text(nic: Interface): string {
  const ipv6 = nic.address.includes(':');
  const lines: (string | false)[] = [
    'TYPE=Ethernet',
    `DEVICE=${nic.name}`,
    'ONBOOT=yes',
    `NAME=${nic.name}`,
    'BOOTPROTO=none',
    `HWADDR=${nic.mac}`,
    'DEFROUTE=no',
    !ipv6 && `IPADDR=${nic.address}`,
    'PEERDNS=no',
    !ipv6 && `PREFIX=${nic.prefix}`,
    'AUTOCONNECT_PRIORITY=130',
    `MTU=${nic.mtu}`,
    'IPV6_AUTOCONF=no',
    `IPV6INIT=${ipv6 ? 'yes' : 'no'}`,
    'IPV6_DEFROUTE=no',
    `IPV6_DISABLED=${ipv6 ? 'no' : 'yes'}`,
    'IPV6_PEERDNS=no',
    ipv6 && `IPV6ADDR=${nic.address}/${nic.prefix}`,
  ];
  return `${HEADER}\n${comments(nic)}${lines.filter((line) => line !== false).join('\n')}\n`;
}

function read(name: string, files: Files, lenient: boolean, problems: Problem[]): Interface | undefined {
  const path = pathOf(name);
  const content = files.get(path) ?? '';
  const ini = readIni(path, content);
  const { problems: flaws, ...said } = readComments(path, content);
  const reading = new Reading(path, ini.keys);
  const mac = reading.mac('HWADDR');
  const mtu = reading.mtu('MTU');
  const address = reading.has('IPV6ADDR') ? reading.cidr('IPV6ADDR') : readIPv4(reading);
  problems.push(...ini.problems, ...flaws, ...reading.problems);
  if (mac === undefined || mtu === undefined || address === undefined) return undefined;
  const nic: Interface = {
    name,
    mac,
    address: address.text,
    prefix: address.prefix,
    mtu,
    ...said,
  };
  const expected = readIni(path, text(nic)).keys;
  problems.push(...compareKeys(path, ini.keys, expected, reading.read, lenient));
  return nic;
}

function readIPv4(reading: Reading): Cidr | undefined {
  const address = reading.address('IPADDR');
  const prefix = reading.prefix('PREFIX', address);
  return address === undefined || prefix === undefined ? undefined : { ...address, prefix };
}
