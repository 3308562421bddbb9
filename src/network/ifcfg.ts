// ifcfg files, for RHEL and its kin 7 and 8: read by the network scripts and by NetworkManager's ifcfg plugin.

import type { Problem } from '../api/errors.ts';
import type { Cidr } from './address.ts';
import { readIni } from './ini.ts';
import { compareFiles, DEFAULTS, filesOf, joinRouting, routingIn, type FileRoute } from './found-routing.ts';
import { cidrsOf, indexOfName, type Interface } from './interface.ts';
import { Reading, readInterfaces } from './reading.ts';
import type { Files, Renderer } from './renderer.ts';
import { metricOf, routingOf, ruleText } from './source-routing.ts';
import { nameOfSysctlFile, sysctlFile, SYSCTL_FOLDER } from './sysctl-file.ts';
import { comments, compareKeys, HEADER, readComments } from './vocabulary.ts';

const DIRECTORY = 'etc/sysconfig/network-scripts';

export const ifcfg: Renderer = {
  kind: 'ifcfg',
  directories: [DIRECTORY, SYSCTL_FOLDER],
  render,
  parse: (files, { lenient = false } = {}) =>
    readInterfaces(files, nameOf, (name, problems) => read(name, files, lenient, problems)),
  manages: (path) => nameOf(path) !== undefined,
  hostMode: () => 0o644,
};

function render(nic: Interface): Files {
  return new Map([
    [pathOf(nic.name), text(nic)],
    ...routeFile(nic, 4),
    ...routeFile(nic, 6),
    ...sysctlFile(nic),
  ]);
}

function pathOf(name: string): string {
  return `${DIRECTORY}/ifcfg-${name}`;
}

function routePath(name: string, version: 4 | 6): string {
  return `${DIRECTORY}/route${version === 6 ? '6' : ''}-${name}`;
}

const FILE = /^etc\/sysconfig\/network-scripts\/(?:ifcfg|route|route6)-(multinic[0-9]+)$/;

function nameOf(path: string): string | undefined {
  const name = FILE.exec(path)?.[1];
  return name !== undefined && indexOfName(name) !== undefined ? name : nameOfSysctlFile(path);
}

/** The routes of one family, as `ip route add` takes them. Without routes there is no file. */
function routeFile(nic: Interface, version: 4 | 6): Files {
  const routes = routingOf(nic).routes.filter(({ family }) => family === version);
  if (routes.length === 0) return new Map();
  const lines = routes.map(({ to, via, src, scope, table, metric }) => {
    const parts = [
      to === 'default' ? DEFAULTS[version] : to,
      via !== undefined && `via ${via}`,
      `dev ${nic.name}`,
      scope !== undefined && `scope ${scope}`,
      src !== undefined && `src ${src}`,
      table !== 'main' && `table ${table}`,
      metric !== undefined && `metric ${metric}`,
    ];
    return `# route\n${parts.filter((part) => part !== false).join(' ')}\n`;
  });
  return new Map([[routePath(nic.name, version), `${HEADER}\n${lines.join('')}`]]);
}

/**
 * Constant and varying lines alternate, so that git merges edits of neighbouring fields; the priority is above
 * cloud-init's 120. IPV6_DISABLED is needed because IPV6INIT=no alone means `ignore` to NetworkManager, and the kernel
 * then still accepts router advertisements.
 */
function text(nic: Interface): string {
  const [ipv4, ipv6] = ([4, 6] as const).map((version) =>
    cidrsOf(nic).filter((cidr) => cidr.includes(':') === (version === 6)),
  ) as [string[], string[]];
  const [first = '', prefix = ''] = ipv4[0]?.split('/') ?? [];
  const ifIPv4 = ipv4.length > 0;
  const ifIPv6 = ipv6.length > 0;
  const metric = nic.sourceRouting === true ? metricOf(nic.name) : undefined;
  const lines: (string | false)[] = [
    'TYPE=Ethernet',
    `DEVICE=${nic.name}`,
    'ONBOOT=yes',
    `NAME=${nic.name}`,
    'BOOTPROTO=none',
    `HWADDR=${nic.mac}`,
    'DEFROUTE=no',
    ifIPv4 && `IPADDR=${first}`,
    'PEERDNS=no',
    ifIPv4 && `PREFIX=${prefix}`,
    ...ipv4.slice(1).flatMap((cidr, index) => {
      const [address, length] = cidr.split('/');
      return [
        '# further address',
        `IPADDR${index + 1}=${address}`,
        '# its prefix',
        `PREFIX${index + 1}=${length}`,
      ];
    }),
    'AUTOCONNECT_PRIORITY=130',
    `MTU=${nic.mtu}`,
    'IPV6_AUTOCONF=no',
    `IPV6INIT=${ifIPv6 ? 'yes' : 'no'}`,
    'IPV6_DEFROUTE=no',
    `IPV6_DISABLED=${ifIPv6 ? 'no' : 'yes'}`,
    'IPV6_PEERDNS=no',
    ifIPv6 && `IPV6ADDR=${ipv6[0]}`,
    ipv6.length > 1 && `IPV6ADDR_SECONDARIES="${ipv6.slice(1).join(' ')}"`,
    ifIPv4 && metric !== undefined && `IPV4_ROUTE_METRIC=${metric}`,
    ifIPv6 && metric !== undefined && `IPV6_ROUTE_METRIC=${metric}`,
    ...rules(nic, 4),
    ...rules(nic, 6),
  ];
  return `${HEADER}\n${comments(nic)}${lines.filter((line) => line !== false).join('\n')}\n`;
}

/**
 * Rules of one family, written into the route file. With a file rule-NAME, NetworkManager would ignore all rules and
 * routes of the NIC.
 */
function rules(nic: Interface, version: 4 | 6): string[] {
  return routingOf(nic)
    .rules.filter(({ family }) => family === version)
    .flatMap((rule, index) => [
      '# rule',
      `ROUTING_RULE${version === 6 ? '6' : ''}_${index + 1}="${ruleText(rule)}"`,
    ]);
}

function read(name: string, files: Files, lenient: boolean, problems: Problem[]): Interface | undefined {
  const path = pathOf(name);
  const mine = filesOf(name, files, nameOf);
  const content = mine.get(path) ?? '';
  const ini = readIni(path, content);
  const { problems: flaws, said, linkOnly } = readComments(path, content);
  const reading = new Reading(path, ini.keys);
  problems.push(...ini.problems, ...flaws);
  const ruled = [...ini.keys.keys()].some((key) => key.startsWith('ROUTING_RULE'));
  const found = routingIn(name, readRoutes(name, mine), ruled);
  const values = { ...joinRouting(path, said, found, problems), linkOnly };
  const nic = toInterface(name, reading, values);
  problems.push(...reading.problems);
  if (nic === undefined) return undefined;
  const expected = readIni(path, text(nic)).keys;
  problems.push(
    ...compareKeys(path, ini.keys, expected, reading.read, lenient),
    ...compareFiles(mine, render(nic), new Set([path])),
  );
  return nic;
}

function toInterface(
  name: string,
  reading: Reading,
  { linkOnly, ...values }: ReturnType<typeof joinRouting> & { readonly linkOnly: boolean },
): Interface | undefined {
  const mac = reading.mac('HWADDR');
  const mtu = reading.mtu('MTU');
  if (linkOnly) return mac === undefined || mtu === undefined ? undefined : { name, mac, mtu, ...values };
  // A file without any address gets the problem of a missing IPADDR, because most files have an IPv4 address.
  const only6 = reading.has('IPV6ADDR') && !reading.has('IPADDR');
  const address = only6 ? reading.cidr('IPV6ADDR') : readIPv4(reading, '');
  const further = [
    ...(only6 || !reading.has('IPV6ADDR') ? [] : [reading.cidr('IPV6ADDR')]),
    ...indexes(reading, 'IPADDR').map((index) => readIPv4(reading, index)),
    ...reading.cidrList('IPV6ADDR_SECONDARIES'),
  ].flatMap((cidr) => (cidr === undefined ? [] : [`${cidr.text}/${cidr.prefix}`]));
  if (mac === undefined || mtu === undefined || address === undefined) return undefined;
  return {
    name,
    mac,
    address: address.text,
    prefix: address.prefix,
    mtu,
    ...(further.length > 0 && { furtherAddresses: [...new Set(further)].sort() }),
    ...values,
  };
}

/** The numbers from 1 on under which a key stands. */
function indexes(reading: Reading, key: string): string[] {
  const found: string[] = [];
  while (reading.has(`${key}${found.length + 1}`)) found.push(String(found.length + 1));
  return found;
}

/** @param index of the address: empty for the first */
function readIPv4(reading: Reading, index: string): Cidr | undefined {
  const address = reading.address(`IPADDR${index}`);
  const prefix = reading.prefix(`PREFIX${index}`, address);
  return address === undefined || prefix === undefined ? undefined : { ...address, prefix };
}

function readRoutes(name: string, mine: Files): FileRoute[] {
  const texts = ([4, 6] as const).map((version) => mine.get(routePath(name, version)) ?? '');
  return texts.flatMap((content) =>
    content.split('\n').flatMap((line): FileRoute[] => {
      const [to = '', ...words] = line.split(' ');
      if (to === '' || to.startsWith('#')) return [];
      const after = (word: string): string | undefined => {
        const at = words.indexOf(word);
        return at === -1 ? undefined : words[at + 1];
      };
      return [{ to, via: after('via'), table: after('table'), metric: after('metric') }];
    }),
  );
}
