// NetworkManager keyfiles, for RHEL and its kin from 9 on. NetworkManager never renames a NIC, so each comes with
// a .link file that udev reads.

import { createHash } from 'node:crypto';
import type { Problem } from '../api/errors.ts';
import { readIni } from './ini.ts';
import { indexOfName, type Interface } from './interface.ts';
import { Reading, readInterfaces } from './reading.ts';
import type { Files, Renderer } from './renderer.ts';
import { comments, compareKeys, HEADER, readComments } from './vocabulary.ts';

const CONNECTIONS = 'etc/NetworkManager/system-connections';
const LINKS = 'etc/systemd/network';

export const keyfile: Renderer = {
  kind: 'keyfile',
  directories: [CONNECTIONS, LINKS],
  render: (nic) =>
    new Map([
      [connectionPath(nic.name), connection(nic)],
      [linkPath(nic.name), link(nic)],
    ]),
  parse: (files, { lenient = false } = {}) =>
    readInterfaces(files, nameOf, (name, problems) => read(name, files, lenient, problems)),
  manages: (path) => nameOf(path) !== undefined,
  // NetworkManager ignores a connection that others may read; udev reads a link as anybody.
  hostMode: (path) => (path.startsWith(LINKS) ? 0o644 : 0o600),
};

function connectionPath(name: string): string {
  return `${CONNECTIONS}/${name}.nmconnection`;
}

function linkPath(name: string): string {
  return `${LINKS}/70-${name}.link`;
}

function nameOf(path: string): string | undefined {
  const name = /\b(multinic[0-9]+)\.(?:nmconnection|link)$/.exec(path)?.[1];
  if (name === undefined || indexOfName(name) === undefined) return undefined;
  return path === connectionPath(name) || path === linkPath(name) ? name : undefined;
}

/**
 * Constant and varying lines alternate, so that git merges edits of neighbouring fields. The priority is above
 * cloud-init's 120, because it decides between two profiles that fit one NIC.
 */
function connection(nic: Interface): string {
  const address = `address1=${nic.address}/${nic.prefix}\n`;
  const ipv6 = nic.address.includes(':');
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

[ipv4]
method=${ipv6 ? 'disabled' : 'manual'}
never-default=true
${ipv6 ? '' : address}ignore-auto-dns=true

[ipv6]
method=${ipv6 ? 'manual' : 'disabled'}
never-default=true
${ipv6 ? address : ''}ignore-auto-dns=true
`;
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
  const { problems: flaws, ...said } = readComments(path, content);
  const reading = new Reading(path, ini.keys);
  const mac = reading.mac('ethernet.mac-address');
  const mtu = reading.mtu('ethernet.mtu');
  const address = reading.cidr(reading.has('ipv6.address1') ? 'ipv6.address1' : 'ipv4.address1');

  const linkIni = readIni(pathOfLink, linkContent);
  const linkReading = new Reading(pathOfLink, linkIni.keys);
  const linkMac = linkReading.mac('Match.MACAddress');
  problems.push(...ini.problems, ...flaws, ...reading.problems, ...linkIni.problems, ...linkReading.problems);
  if (mac === undefined || mtu === undefined || address === undefined || linkMac === undefined)
    return undefined;
  if (mac !== linkMac) {
    problems.push({
      path: `${pathOfLink}: Match.MACAddress`,
      code: 'MacMismatch',
      message: `is not the MAC of ${path}; write ${mac} in both`,
    });
  }
  const nic: Interface = {
    name,
    mac,
    address: address.text,
    prefix: address.prefix,
    mtu,
    ...said,
  };
  problems.push(
    ...compareKeys(path, ini.keys, readIni(path, connection(nic)).keys, reading.read, lenient),
    ...compareKeys(pathOfLink, linkIni.keys, readIni(pathOfLink, link(nic)).keys, linkReading.read, lenient),
  );
  return nic;
}
