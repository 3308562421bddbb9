import { parseAllDocuments } from 'yaml';
import { MultinicError } from '../../api/errors.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import type { ReadFolder } from './boot-folders.ts';
import { iniEntries, shellValues } from './ini-entries.ts';

/**
 * Reads foreign files and ours together, as an OS does at boot, and refuses files that would take the network from the
 * machine or give our NICs to other software. Clashes among foreign files alone are not refused.
 * @param judge `syntax`: checks the syntax too, because a recorded host has no generator; `claims`: checks clashes
 *   alone, because the host's own generator checks the rest
 * @throws MultinicError `ValidationFailed` naming the file
 */
export function generate(kind: RendererKind, read: ReadFolder, judge: Judge = 'syntax'): void {
  GENERATORS[kind](read, judge);
}

type Judge = 'syntax' | 'claims';
type Generator = (read: ReadFolder, judge: Judge) => void;

const GENERATORS: Readonly<Record<RendererKind, Generator>> = { netplan, ifcfg, keyfile };

/** Checks netplan's files. With one broken file among them netplan configures nothing at the next boot. */
function netplan(read: ReadFolder, judge: Judge): void {
  const folder = 'etc/netplan';
  const names = new Claims('netplan', 'set-name');
  for (const [name, content] of matching(read(folder), /\.yaml$/)) {
    const file = `${folder}/${name}`;
    for (const [id, definition] of Object.entries(ethernetsOf(file, content, judge))) {
      const setName = isMap(definition) ? definition['set-name'] : undefined;
      // The same ID in two files is one definition: netplan merges them.
      if (typeof setName === 'string') names.claim(setName, id, file);
    }
  }
}

/**
 * The `ethernets` of a file. Like netplan, reads only the first document, and accepts a repeated key and any number of
 * aliases.
 */
function ethernetsOf(file: string, content: string, judge: Judge): Record<string, unknown> {
  try {
    const [document] = parseAllDocuments(content, { version: '1.1', uniqueKeys: false });
    const error = document?.errors[0]?.message.split('\n')[0];
    if (error !== undefined) throw failed(file, error);
    const whole: unknown = document?.toJS({ maxAliasCount: -1 }) ?? {};
    return section(file, section(file, whole, 'network'), 'ethernets');
  } catch (error) {
    if (judge === 'claims') return {};
    throw error instanceof MultinicError ? error : failed(file, (error as Error).message);
  }
}

/**
 * Refuses two ifcfg files that configure one device at boot, because they undo each other. next-boot.ts judges two
 * files for one MAC, such as cloud-init's and ours: one names the NIC, and one configures it.
 */
function ifcfg(read: ReadFolder): void {
  const folder = 'etc/sysconfig/network-scripts';
  const devices = new Claims('ifcfg', 'DEVICE');
  for (const [name, content] of matching(read(folder), /^ifcfg-[^.~]+$/)) {
    const file = `${folder}/${name}`;
    const values = shellValues(content);
    if (/^no$/i.test(values.get('ONBOOT') ?? '')) continue;
    devices.claim(values.get('DEVICE'), file, file);
  }
}

/**
 * Refuses two profiles with one uuid. Refuses two .link files for one MAC too, because the order of files would decide
 * the name.
 */
function keyfile(read: ReadFolder): void {
  const connections = 'etc/NetworkManager/system-connections';
  const uuids = new Claims('keyfile', 'uuid');
  for (const [name, content] of matching(read(connections), /^[^.].*\.nmconnection$/)) {
    const file = `${connections}/${name}`;
    uuids.claim(sections(content).get('connection.uuid'), file, file);
  }
  const links = 'etc/systemd/network';
  const macs = new Claims('keyfile', 'MACAddress');
  for (const [name, content] of matching(read(links), /\.link$/)) {
    const file = `${links}/${name}`;
    const values = sections(content);
    const mac = values.get('Match.MACAddress') ?? values.get('Match.PermanentMACAddress');
    macs.claim(mac?.toLowerCase(), file, file);
  }
}

/** Names, MACs and uuids that no other file may use once one of our files uses them. */
class Claims {
  readonly #kind: RendererKind;
  readonly #what: string;
  readonly #owners = new Map<string, { owner: string; file: string }>();

  constructor(kind: RendererKind, what: string) {
    this.#kind = kind;
    this.#what = what;
  }

  claim(value: string | undefined, owner: string, file: string): void {
    if (value === undefined || value === '') return;
    const other = this.#owners.get(value);
    const isOurs = [file, other?.file ?? ''].some((path) => rendererOf(this.#kind).manages(path));
    if (other !== undefined && other.owner !== owner && isOurs) {
      throw failed(file, `${this.#what} ${value} is already that of ${other.owner} in ${other.file}`);
    }
    this.#owners.set(value, { owner, file });
  }
}

function matching(files: ReadonlyMap<string, string>, pattern: RegExp): [name: string, content: string][] {
  return [...files].filter(([name]) => pattern.test(name)).sort(([a], [b]) => (a < b ? -1 : 1));
}

function sections(content: string): Map<string, string> {
  return new Map(iniEntries(content));
}

function section(file: string, parent: unknown, key: string): Record<string, unknown> {
  const value = isMap(parent) ? (parent[key] ?? {}) : undefined;
  if (!isMap(value)) throw failed(file, `${key} is not a mapping`);
  return value;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function failed(file: string, why: string): MultinicError {
  return new MultinicError(
    'ValidationFailed',
    `${file}: ${why}; mend or remove the file, then run \`multinic retry\``,
    {
      data: { file },
    },
  );
}
