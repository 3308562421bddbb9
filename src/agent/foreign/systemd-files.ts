// The files that systemd's readers choose from for a NIC: `.link` files of udev, `.network` files of networkd.
import { matchesGlob } from 'node:path';
import type { ReadFolder } from './boot-folders.ts';
import { unitEntries, type IniEntry } from './ini-entries.ts';
import type { Mac } from '../../network/mac.ts';

/** A NIC as a boot finds it, before any file names it. */
export interface BootNic {
  readonly mac: Mac;
  /** Names that the kernel may give it first, and the name that it had before us. */
  readonly names: readonly string[];
  /** Its kernel driver; a virtual link has none. */
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
  /** Its drop-ins, in the order in which they are read. */
  readonly dropIns: readonly string[];
}

/** Strongest first: a file hides those of its name in the folders after it. */
export const SYSTEMD_FOLDERS = [
  'etc/systemd/network',
  'run/systemd/network',
  'usr/local/lib/systemd/network',
  'usr/lib/systemd/network',
  'lib/systemd/network',
];

/**
 * Files of all folders in the order in which they are tried. An empty file, or a link to /dev/null, hides others of its
 * name and is none itself.
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

/** Values of one key; an empty one takes back those before it. */
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

/** Conditions that can be judged for any NIC. */
const JUDGED = ['MACAddress', 'PermanentMACAddress', 'OriginalName', 'Name', 'Type', 'Driver'];
/** Conditions that systemd knows too; it passes over any other key. */
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
 * Whether a [Match] fits, as far as can be told: a file that also asks for a path, a property or a kernel's command line
 * counts for a NIC only if it names its MAC.
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

/** Words of a value, quotes and all; a `!` before the first turns round all of them. */
function patternsOf(value: string): string[] {
  const inverted = value.startsWith('!');
  const words = (inverted ? value.slice(1) : value).split(/\s+/).filter((word) => word !== '');
  return words.map((word) => `${inverted ? '!' : ''}${word}`);
}

/** One of the patterns matches, or there are exceptions alone; no exception (`!`) does. */
export function globsMatch(patterns: readonly string[], text: string): boolean {
  const exceptions = patterns.filter((pattern) => pattern.startsWith('!'));
  if (exceptions.some((pattern) => globMatches(pattern.slice(1), text))) return false;
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!'));
  return wanted.length === 0 || wanted.some((pattern) => globMatches(pattern, text));
}

/** A shell's pattern, as fnmatch(3) takes it: no braces, and no special meaning of a dot. */
export function globMatches(pattern: string, text: string): boolean {
  const literal = pattern.replaceAll(/[{}()+@|]/g, String.raw`\$&`);
  // A name never has a slash, and a dot at its begin is nothing special.
  return matchesGlob(`x${text}`, `x${literal}`);
}

/** The ways in which MACs are written: with colons, dashes, or dots between four digits. */
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
