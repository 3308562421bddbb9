// The files that systemd's readers choose from for a NIC: `.link` files of udev, `.network` files of networkd.
import { matchesGlob } from 'node:path';
import type { ReadFolder } from './boot-folders.ts';
import { unitEntries, type IniEntry } from './ini-entries.ts';
import type { Mac } from '../../network/mac.ts';

/** A NIC as a boot finds it, before any file names it. */
export interface BootNic {
  readonly mac: Mac;
  /** Names that the kernel may give the NIC first, and the name that the NIC had before the agent. */
  readonly names: readonly string[];
  /** Kernel driver of the NIC; a virtual link has none. */
  readonly driver?: string;
}

/** A file of one kind, from any of its folders. */
export interface BootFile {
  readonly name: string;
  /** Path on the host. */
  readonly file: string;
  readonly content: string;
}

/** A `.link` or `.network` file with its drop-ins. */
export interface SystemdFile extends BootFile {
  readonly entries: readonly IniEntry[];
  /** Drop-ins of the file, in the order in which systemd reads them. */
  readonly dropIns: readonly string[];
}

/** systemd's folders, strongest first: a file hides files of the same name in the folders after its own. */
export const SYSTEMD_FOLDERS = [
  'etc/systemd/network',
  'run/systemd/network',
  'usr/local/lib/systemd/network',
  'usr/lib/systemd/network',
  'lib/systemd/network',
];

/**
 * Files of all folders in the order in which their reader tries them. An empty file, or a link to /dev/null, hides
 * other files of its name and is not listed itself.
 */
export function mergedFiles(folders: readonly string[], read: ReadFolder): BootFile[] {
  const files = new Map<string, BootFile>();
  for (const folder of folders) {
    for (const [name, content] of read(folder)) {
      if (!files.has(name)) files.set(name, { name, file: `${folder}/${name}`, content });
    }
  }
  return [...files.values()]
    .filter(({ content }) => content !== '')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The file of that suffix that systemd takes for a NIC: the first whose [Match] fits. */
export function systemdFileFor(suffix: string, nic: BootNic, read: ReadFolder): SystemdFile | undefined {
  for (const file of mergedFiles(SYSTEMD_FOLDERS, read)) {
    if (!file.name.endsWith(suffix)) continue;
    const whole = withDropIns(file, read);
    if (whole !== undefined && fits(whole.entries, nic)) return whole;
  }
  return undefined;
}

/** Values of one key. An empty value clears the values before it. */
export function valuesOf(entries: readonly IniEntry[], key: string): string[] {
  let values: string[] = [];
  for (const [each, value] of entries) {
    if (each === key) values = value === '' ? [] : [...values, value];
  }
  return values;
}

function withDropIns(file: BootFile, read: ReadFolder): SystemdFile | undefined {
  const main = unitEntries(file.content);
  if (main === undefined) return undefined;
  const folders = SYSTEMD_FOLDERS.map((folder) => `${folder}/${file.name}.d`);
  const dropIns = mergedFiles(folders, read).filter(({ name }) => name.endsWith('.conf'));
  return {
    ...file,
    entries: [...main, ...dropIns.flatMap(({ content }) => unitEntries(content) ?? [])],
    dropIns: dropIns.map((each) => each.file),
  };
}

/** Conditions of a [Match] that the agent can judge for any NIC. */
const JUDGED = ['MACAddress', 'PermanentMACAddress', 'OriginalName', 'Name', 'Type', 'Driver'];
/** Conditions that systemd knows and the agent cannot judge. systemd ignores any other key. */
const NOT_JUDGED = [
  'Path',
  'Property',
  'Kind',
  'WLANInterfaceType',
  'SSID',
  'BSSID',
  'Host',
  'Virtualization',
  'KernelCommandLine',
  'KernelVersion',
  'Credential',
  'Architecture',
  'Firmware',
];

/**
 * Whether a [Match] fits a NIC, as far as the agent can judge. A file with a condition that the agent cannot judge (a
 * path, a property, a kernel's command line) fits only if the file names the NIC's MAC.
 */
function fits(entries: readonly IniEntry[], { mac, names, driver }: BootNic): boolean {
  const conditions = [...JUDGED, ...NOT_JUDGED].flatMap((key): (readonly [string, string[]])[] => {
    const words = valuesOf(entries, `Match.${key}`).flatMap((value) => patternsOf(value));
    return words.length === 0 ? [] : [[key, words]];
  });
  const byMac = conditions.some(([key]) => key.endsWith('MACAddress'));
  if (conditions.length === 0 || (!byMac && conditions.some(([key]) => NOT_JUDGED.includes(key))))
    return false;
  return conditions.every(([key, words]) => {
    if (key.endsWith('MACAddress')) return words.some((word) => canonicalMac(word) === mac);
    if (key === 'OriginalName' || key === 'Name') return names.some((name) => globsMatch(words, name));
    if (key === 'Driver') return driver !== undefined && globsMatch(words, driver);
    return key !== 'Type' || globsMatch(words, 'ether');
  });
}

/** The patterns in a value, with their quotes. A `!` before the first pattern inverts all of them. */
function patternsOf(value: string): string[] {
  const inverted = value.startsWith('!');
  const words = (inverted ? value.slice(1) : value).split(/\s+/).filter((word) => word !== '');
  return words.map((word) => `${inverted ? '!' : ''}${word}`);
}

/**
 * Whether a text fits a list of patterns: no exception (`!`) matches, and another pattern matches or the list has
 * exceptions only.
 */
export function globsMatch(patterns: readonly string[], text: string): boolean {
  const exceptions = patterns.filter((pattern) => pattern.startsWith('!'));
  if (exceptions.some((pattern) => globMatches(pattern.slice(1), text))) return false;
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!'));
  return wanted.length === 0 || wanted.some((pattern) => globMatches(pattern, text));
}

/** Whether a shell pattern matches as in fnmatch(3): braces and a leading dot have no special meaning. */
export function globMatches(pattern: string, text: string): boolean {
  const literal = pattern.replaceAll(/[{}()+@|]/g, String.raw`\$&`);
  // A leading `x` takes the special meaning from a leading dot. Names never contain a slash.
  return matchesGlob(`x${text}`, `x${literal}`);
}

/** The canonical text of a MAC that is written with colons, with dashes, or with dots between four digits. */
export function canonicalMac(text: string): string {
  const digits = /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i.test(text)
    ? text.replaceAll('.', '').replaceAll(/..(?!$)/g, '$&:')
    : text.replaceAll('-', ':');
  return digits
    .toLowerCase()
    .split(':')
    .map((byte) => byte.padStart(2, '0'))
    .join(':');
}
