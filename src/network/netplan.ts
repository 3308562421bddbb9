// netplan, for Ubuntu and for Debian with netplan: one file for each interface, under /etc/netplan.

import { isAlias, isMap, isNode, isScalar, isSeq, parseDocument, stringify } from 'yaml';
import type { Problem } from '../api/errors.ts';
import { compareFiles, filesOf, joinRouting } from './found-routing.ts';
import { addressesOf, cidrsOf, indexOfName, MAX_ADDRESSES, type Interface } from './interface.ts';
import { dropIn, nameOfDropIn, readDropIn } from './networkd-drop-in.ts';
import { Reading, readInterfaces } from './reading.ts';
import type { Files, Renderer } from './renderer.ts';
import { nameOfSysctlFile, sysctlFile, SYSCTL_FOLDER } from './sysctl-file.ts';
import { isPlainText } from './text.ts';
import { comments, compareKeys, HEADER, readComments, type Keys } from './vocabulary.ts';
import type { Reason } from '../api/reasons/reasons.ts';

export const netplan: Renderer = {
  kind: 'netplan',
  directories: ['etc/netplan', SYSCTL_FOLDER],
  render,
  parse: (files, { lenient = false } = {}) =>
    readInterfaces(files, nameOf, (name, problems) => read(name, files, lenient, problems)),
  manages: (path) => nameOf(path) !== undefined,
  // networkd and sysctl files are readable by everyone; netplan's are not.
  hostMode: (path) => (path.startsWith('etc/netplan/') ? 0o600 : 0o644),
};

function render(nic: Interface): Files {
  return new Map([[pathOf(nic.name), text(nic)], ...dropIn(nic), ...sysctlFile(nic)]);
}

/**
 * Whether a NIC's file may use this netplan ID of another file. A managed name is refused: netplan makes file names of
 * IDs, so two managed NICs would share one file.
 */
export function isNetplanId(id: string): boolean {
  return isPlainText(id, 64) && !/[\s/"'\\]/.test(id) && indexOfName(id) === undefined;
}

/**
 * The path of a NIC's file. In netplan the later file name wins, so our names begin with 90 to 99, and with 99 from
 * multinic9 on.
 */
function pathOf(name: string): string {
  const index = indexOfName(name) ?? 0;
  return `etc/netplan/9${Math.min(index, 9)}-${name}.yaml`;
}

function nameOf(path: string): string | undefined {
  return nameOfNetplan(path) ?? nameOfDropIn(path) ?? nameOfSysctlFile(path);
}

function nameOfNetplan(path: string): string | undefined {
  const name = /^etc\/netplan\/9[0-9]-(multinic[0-9]+)\.yaml$/.exec(path)?.[1];
  return name !== undefined && indexOfName(name) !== undefined && pathOf(name) === path ? name : undefined;
}

/** A constant line between two addresses lets git merge edits of both. */
const FURTHER = '        # further address';

/**
 * Constant and varying lines alternate, so that git merges edits of neighbouring fields. MACs and addresses are quoted:
 * unquoted, YAML 1.1 readers take 12:34:56:12:34:56 for a number.
 */
function text(nic: Interface): string {
  const linkLocal = addressesOf(nic).some((address) => address.includes(':')) ? '[ipv6]' : '[]';
  const list = cidrsOf(nic).map((cidr) => `        - "${cidr}"\n`);
  const addresses = list.length === 0 ? '' : `      addresses:\n${list.join(`${FURTHER}\n`)}`;
  return `${HEADER}
${comments(nic)}network:
  version: 2
  ethernets:
    ${stringify(nic.netplanId ?? nic.name, { compat: 'yaml-1.1' }).trimEnd()}:
      match:
        macaddress: "${nic.mac}"
      dhcp4: false
      set-name: ${nic.name}
      dhcp6: false
${addresses}      accept-ra: false
      link-local: ${linkLocal}
      optional: true
      mtu: ${nic.mtu}
`;
}

function read(name: string, files: Files, lenient: boolean, problems: Problem[]): Interface | undefined {
  const path = pathOf(name);
  const mine = filesOf(name, files, nameOf);
  const { problems: flaws, said, linkOnly } = readComments(path, mine.get(path) ?? '');
  problems.push(...flaws);
  const [dropInFile] = [...mine].filter(([file]) => nameOfDropIn(file) !== undefined);
  const found = dropInFile === undefined ? {} : readDropIn(name, dropInFile[1], dropInFile[0], problems);
  const values = { ...joinRouting(path, said, found, problems), linkOnly };
  const nic = readMain(name, mine.get(path) ?? '', lenient, values, problems);
  if (nic !== undefined) problems.push(...compareFiles(mine, render(nic), new Set([path])));
  return nic;
}

type Values = ReturnType<typeof joinRouting> & { readonly linkOnly: boolean };

function readMain(
  name: string,
  content: string,
  lenient: boolean,
  values: Values,
  problems: Problem[],
): Interface | undefined {
  const path = pathOf(name);
  // Nearly every file has exactly the bytes that we render, and reading them by line is many times faster than YAML.
  // The result counts only if rendering it gives this very file.
  const own = readOwn(content);
  if (own !== undefined) {
    const nic = toInterface(name, own.id, new Reading(path, own.keys), values);
    if (nic !== undefined && text(nic) === content) return nic;
  }

  const document = readYaml(path, content, problems, lenient);
  if (document === undefined) return undefined;
  const reading = new Reading(path, document.keys);
  const nic = toInterface(name, document.id, reading, values);
  problems.push(...reading.problems);
  if (nic === undefined) return undefined;
  const expected = readYaml(path, text(nic), problems, lenient)?.keys ?? new Map<string, string>();
  problems.push(...compareKeys(path, document.keys, expected, reading.read, lenient));
  return nic;
}

function toInterface(
  name: string,
  id: string,
  reading: Reading,
  { linkOnly, ...values }: Values,
): Interface | undefined {
  if (id !== name && !isNetplanId(id)) {
    const path = `${reading.path}: network.ethernets.${id}`;
    const message = `is neither ${name} nor an ID that another file may have; write ${name}`;
    reading.problems.push({ path, code: 'InvalidNetplanId', message });
  }
  const key = `network.ethernets.${id}.`;
  const mac = reading.mac(`${key}match.macaddress`);
  const cidr = linkOnly ? undefined : reading.cidr(`${key}addresses[0]`);
  const further = linkOnly ? [] : reading.cidrs((index) => `${key}addresses[${index + 1}]`);
  const mtu = reading.mtu(`${key}mtu`);
  if (mac === undefined || mtu === undefined || reading.problems.length > 0) return undefined;
  return {
    name,
    mac,
    ...(cidr && { address: cidr.text, prefix: cidr.prefix }),
    mtu,
    ...(further.length > 0 && { furtherAddresses: further }),
    ...values,
    ...(id !== name && { netplanId: id }),
  };
}

interface Ethernet {
  readonly id: string;
  readonly keys: Keys;
}

/** Takes values from the lines at which `text` writes them, without a search, so that no file can make this slow. */
function readOwn(content: string): Ethernet | undefined {
  const lines = content.split('\n', 24 + 2 * MAX_ADDRESSES);
  const first = lines.indexOf('network:');
  const value = (line: number, start: string): string | undefined => {
    const found = lines[first + line];
    return found?.startsWith(start) === true
      ? found.slice(start.length).replace(/^"(.*)"$/, '$1')
      : undefined;
  };
  const id = value(3, '    ')?.replace(/:$/, '').replaceAll('"', '');
  const mac = value(5, '        macaddress: ');
  const cidr = value(10, '        - ');
  if (id === undefined || mac === undefined || cidr === undefined) return undefined;
  const key = `network.ethernets.${id}.`;
  const keys = new Map([
    [`${key}match.macaddress`, mac],
    [`${key}addresses[0]`, cidr],
  ]);
  let last = 10;
  while (lines[first + last + 1] === FURTHER) {
    last += 2;
    keys.set(`${key}addresses[${(last - 10) / 2}]`, value(last, '        - ') ?? '');
  }
  const mtu = value(last + 4, '      mtu: ');
  return mtu === undefined ? undefined : { id, keys: keys.set(`${key}mtu`, mtu) };
}

/**
 * Limit on the length of a file. YAML readers take quadratic time for some texts, and a pushed file must not stop the
 * process that judges it.
 */
const MAX_LENGTH = 8192;

/**
 * Reads all scalars as text, as netplan's own libyaml does. libyaml takes neither 0x5dc nor 01500 for an MTU of 1500,
 * whatever the YAML versions say.
 */
function readYaml(
  path: string,
  content: string,
  problems: Problem[],
  lenient: boolean,
): Ethernet | undefined {
  const refuse = (code: Reason, message: string): undefined => {
    problems.push({ path, code, message });
    return undefined;
  };
  if (content.length > MAX_LENGTH) {
    return refuse(
      'FileTooLarge',
      `has ${content.length} characters; write one interface, in ${MAX_LENGTH} at most`,
    );
  }
  const document = parseDocument(content, { schema: 'failsafe' });
  const [flaw] = [...document.errors, ...document.warnings];
  if (flaw !== undefined) {
    return refuse('InvalidYaml', `is not plain YAML (${flaw.message.split('\n')[0]}); correct it`);
  }
  const ethernets: unknown = document.getIn(['network', 'ethernets'], true);
  const key: unknown = isMap(ethernets) && ethernets.items.length === 1 ? ethernets.items[0]?.key : undefined;
  if (!isScalar(key) || typeof key.value !== 'string') {
    return refuse(
      'InvalidEthernets',
      'must have exactly one NIC under network.ethernets; write one file a NIC',
    );
  }
  const id = key.value;
  const keys = new Map<string, string>();
  if (!flatten(document.contents, '', id, keys)) {
    return refuse('InvalidYaml', 'has anchors, tags or odd keys; write plain maps, lists and text');
  }
  // The earlier agent quoted nothing, and netplan itself reads its files as text.
  if (lenient) return { id, keys };
  const mac: unknown = document.getIn(['network', 'ethernets', id, 'match', 'macaddress'], true);
  if (isScalar(mac) && mac.type === 'PLAIN' && /^[0-9:]+$/.test(String(mac.value))) {
    return refuse('UnquotedMac', `some readers take the MAC ${String(mac.value)} for a number; quote it`);
  }
  return { id, keys };
}

/**
 * Fills keys by path (`network.ethernets.multinic0.addresses[0]`, an empty list as `link-local[]`), so that no two
 * structures look alike.
 * @returns false for anything that plain YAML does not need
 */
function flatten(node: unknown, path: string, id: string, keys: Map<string, string>): boolean {
  if (isAlias(node) || !isNode(node) || node.anchor !== undefined || node.tag !== undefined) return false;
  if (isScalar(node)) {
    keys.set(path, String(node.value));
    return typeof node.value === 'string';
  }
  if (isSeq(node)) {
    if (node.items.length === 0) keys.set(`${path}[]`, '');
    return node.items.every((item, index) => flatten(item, `${path}[${index}]`, id, keys));
  }
  if (!isMap(node) || node.items.length === 0) return false;
  return node.items.every(({ key, value }) => {
    const name = isScalar(key) && key.anchor === undefined && key.tag === undefined ? key.value : undefined;
    const plain =
      typeof name === 'string' &&
      (/^[A-Za-z0-9-]+$/.test(name) || (path === 'network.ethernets' && name === id));
    return plain && flatten(value, path === '' ? name : `${path}.${name}`, id, keys);
  });
}
