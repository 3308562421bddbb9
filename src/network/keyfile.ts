// NetworkManager keyfiles, for RHEL and its kin from 9 on. NetworkManager never renames a NIC, so each comes with
// a .link file that udev reads.

import { createHash } from 'node:crypto';
import type { Problem } from '../api/errors.ts';
import { readIni } from './ini.ts';
import {
  compareFiles,
  DEFAULTS,
  filesOf,
  joinRouting,
  routingIn,
  type FileRoute,
  type FoundRouting,
} from './found-routing.ts';
import { cidrsOf, indexOfName, type Interface } from './interface.ts';
import { Reading, readInterfaces } from './reading.ts';
import type { Files, Renderer } from './renderer.ts';
import { metricOf, routingOf, ruleText } from './source-routing.ts';
import { nameOfSysctlFile, sysctlFile, SYSCTL_FOLDER } from './sysctl-file.ts';
import { comments, compareKeys, HEADER, readComments, type Keys } from './vocabulary.ts';

const CONNECTIONS = 'etc/NetworkManager/system-connections';
const LINKS = 'etc/systemd/network';

export const keyfile: Renderer = {
  kind: 'keyfile',
  directories: [CONNECTIONS, LINKS, SYSCTL_FOLDER],
  render,
  parse: (files, { lenient = false } = {}) =>
    readInterfaces(files, nameOf, (name, problems) => read(name, files, lenient, problems)),
  manages: (path) => nameOf(path) !== undefined,
  // NetworkManager ignores a profile that other users may read. udev and sysctl files are readable by everyone.
  hostMode: (path) => (path.startsWith(CONNECTIONS) ? 0o600 : 0o644),
};

function render(nic: Interface): Files {
  return new Map([
    [connectionPath(nic.name), connection(nic)],
    [linkPath(nic.name), link(nic)],
    ...sysctlFile(nic),
  ]);
}

function connectionPath(name: string): string {
  return `${CONNECTIONS}/${name}.nmconnection`;
}

function linkPath(name: string): string {
  return `${LINKS}/70-${name}.link`;
}

function nameOf(path: string): string | undefined {
  return nameOfSysctlFile(path) ?? nameOfProfile(path);
}

function nameOfProfile(path: string): string | undefined {
  const name = /\b(multinic[0-9]+)\.(?:nmconnection|link)$/.exec(path)?.[1];
  if (name === undefined || indexOfName(name) === undefined) return undefined;
  return path === connectionPath(name) || path === linkPath(name) ? name : undefined;
}

/**
 * Constant and varying lines alternate, so that git merges edits of neighbouring fields. The priority is above
 * cloud-init's 120, because it decides between two profiles that fit one NIC.
 */
function connection(nic: Interface): string {
  return `${HEADER}
${comments(nic)}[connection]
id=${nic.name}
type=ethernet
uuid=${uuidOf(nic.name)}
autoconnect-priority=130
interface-name=${nic.name}

[ethernet]
mac-address=${nic.mac}
# MTU in bytes
mtu=${nic.mtu}

${family(nic, 4)}
${family(nic, 6)}`;
}

/** The section of one address family. */
function family(nic: Interface, version: 4 | 6): string {
  const cidrs = cidrsOf(nic).filter((cidr) => cidr.includes(':') === (version === 6));
  const lines = cidrs.map((cidr, index) => `address${index + 1}=${cidr}\n`);
  const metric = nic.sourceRouting === true ? `route-metric=${metricOf(nic.name)}\n` : '';
  return `[ipv${version}]
method=${cidrs.length > 0 ? 'manual' : 'disabled'}
never-default=true
${lines.join('# further address\n')}ignore-auto-dns=true
${cidrs.length > 0 ? metric : ''}${routes(nic, version)}`;
}

/** Routes and rules of one family, with a constant line before each. Scope 253 is that of a link. */
function routes(nic: Interface, version: 4 | 6): string {
  const routing = routingOf(nic);
  const ways = routing.routes.filter(({ family }) => family === version);
  const rules = routing.rules.filter(({ family }) => family === version);
  return [
    ...ways.map(({ to, via, src, scope, table, metric }, index) => {
      const destination = to === 'default' ? DEFAULTS[version] : to;
      const options = [
        table !== 'main' && `table=${table}`,
        src !== undefined && `src=${src}`,
        scope !== undefined && 'scope=253',
      ].filter((option) => option !== false);
      const next = [via, via === undefined ? undefined : metric].filter((part) => part !== undefined);
      const route = `# route\nroute${index + 1}=${[destination, ...next].join(',')}\n`;
      return options.length === 0
        ? route
        : `${route}# its options\nroute${index + 1}_options=${options.join(',')}\n`;
    }),
    ...rules.map((rule, index) => `# rule\nrouting-rule${index + 1}=${ruleText(rule)}\n`),
  ].join('');
}

/**
 * The .link file of a NIC. `Type=ether` excludes a VLAN or bond on top of the NIC, which has the same MAC and another
 * type to udev.
 */
function link(nic: Interface): string {
  return `${HEADER}
[Match]
MACAddress=${nic.mac}
Type=ether

[Link]
Name=${nic.name}
`;
}

/**
 * A profile's UUID, which must not change: it depends on the name alone, so that a person who edits the MAC in git
 * computes nothing. RFC 9562 allows such a private scheme as version 8.
 */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(`multinic.io/${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function read(name: string, files: Files, lenient: boolean, problems: Problem[]): Interface | undefined {
  const path = connectionPath(name);
  const pathOfLink = linkPath(name);
  const content = files.get(path);
  const linkContent = files.get(pathOfLink);
  if (content === undefined || linkContent === undefined) {
    const [missing, present] = content === undefined ? [path, pathOfLink] : [pathOfLink, path];
    problems.push({
      path: missing,
      code: 'MissingFile',
      message: `is missing beside ${present}; add it, or remove both`,
    });
    return undefined;
  }
  const ini = readIni(path, content);
  const { problems: flaws, said, linkOnly } = readComments(path, content);
  const reading = new Reading(path, ini.keys);
  const linkIni = readIni(pathOfLink, linkContent);
  const linkReading = new Reading(pathOfLink, linkIni.keys);
  problems.push(...ini.problems, ...flaws, ...linkIni.problems);
  const values = { ...joinRouting(path, said, readRouting(name, ini.keys), problems), linkOnly };
  const nic = toInterface(name, reading, values);
  const linkMac = linkReading.mac('Match.MACAddress');
  problems.push(...reading.problems, ...linkReading.problems);
  if (nic === undefined || linkMac === undefined) return undefined;
  if (nic.mac !== linkMac) {
    problems.push({
      path: `${pathOfLink}: Match.MACAddress`,
      code: 'MacMismatch',
      message: `is not the MAC of ${path}; write ${nic.mac} in both`,
    });
  }
  problems.push(
    ...compareKeys(path, ini.keys, readIni(path, connection(nic)).keys, reading.read, lenient),
    ...compareKeys(pathOfLink, linkIni.keys, readIni(pathOfLink, link(nic)).keys, linkReading.read, lenient),
    ...compareFiles(filesOf(name, files, nameOf), render(nic), new Set([path, pathOfLink])),
  );
  return nic;
}

function toInterface(
  name: string,
  reading: Reading,
  { linkOnly, ...values }: ReturnType<typeof joinRouting> & { readonly linkOnly: boolean },
): Interface | undefined {
  const mac = reading.mac('ethernet.mac-address');
  const mtu = reading.mtu('ethernet.mtu');
  const first = reading.keys.has('ipv4.address1') ? 'ipv4' : 'ipv6';
  if (mac === undefined || mtu === undefined) return undefined;
  if (linkOnly) return { name, mac, mtu, ...values };
  const address = reading.cidr(`${first}.address1`);
  const further = [
    ...reading.cidrs((index) => `${first}.address${index + 2}`),
    ...(first === 'ipv4' ? reading.cidrs((index) => `ipv6.address${index + 1}`) : []),
  ].sort();
  if (address === undefined) return undefined;
  return {
    name,
    mac,
    address: address.text,
    prefix: address.prefix,
    mtu,
    ...(further.length > 0 && { furtherAddresses: further }),
    ...values,
  };
}

function readRouting(name: string, keys: Keys): FoundRouting {
  const found = [...keys].flatMap(([key, value]): FileRoute[] => {
    if (!/^ipv[46]\.route[0-9]+$/.test(key)) return [];
    const [to = '', via, metric] = value.split(',');
    const table = /(?:^|,)table=([0-9]+)/.exec(keys.get(`${key}_options`) ?? '')?.[1];
    return [{ to, via, table, metric }];
  });
  return routingIn(
    name,
    found,
    [...keys.keys()].some((key) => /^ipv[46]\.routing-rule[0-9]+$/.test(key)),
  );
}
