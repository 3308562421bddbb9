// The next boot: which file gives a NIC its name then, and which its addresses. As udev, networkd and NetworkManager
// choose: by file name over all of their folders, or by priority.
import { MultinicError } from '../../api/errors.ts';
import type { Interface, Network } from '../../network/interface.ts';
import type { RendererKind } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import type { ReadFolder } from './generator.ts';
import { iniEntries, settings, shellValues } from './ini-entries.ts';

/** A NIC as it is before anybody has named it. */
export interface BootNic {
  readonly mac: string;
  /** What the kernel may call it at first, and what it was called before us. */
  readonly names: readonly string[];
  /** Its kernel driver; a virtual link has none. */
  readonly driver?: string;
}

export interface BootChoice {
  readonly file: string;
  /** What it gives: a name, or addresses with prefix. */
  readonly gives: readonly string[];
  /** It asks a DHCP server. */
  readonly dhcp?: boolean;
}

/** What counts for a NIC at the next boot; what is absent, nobody's file decides. */
export interface NextBoot {
  readonly mac: string;
  /** A .link file or a udev rule; gives one name, or none (the kernel's, or udev's policy). */
  readonly link?: BootChoice;
  /** Of networkd. */
  readonly network?: BootChoice;
  /** Of NetworkManager. */
  readonly profile?: BootChoice;
}

/** Strongest first: a file hides those of its name in the folders after it. */
const SYSTEMD_FOLDERS = [
  'etc/systemd/network',
  'run/systemd/network',
  'usr/local/lib/systemd/network',
  'usr/lib/systemd/network',
];
const RULES_FOLDERS = ['etc/udev/rules.d', 'run/udev/rules.d', 'usr/lib/udev/rules.d'];
const PROFILE_FOLDERS = ['etc', 'run', 'usr/lib'].map((root) => `${root}/NetworkManager/system-connections`);

export const IFCFG_FOLDER = 'etc/sysconfig/network-scripts';

/** All folders that are read. */
export const BOOT_FOLDERS: readonly string[] = [
  ...SYSTEMD_FOLDERS,
  ...RULES_FOLDERS,
  ...PROFILE_FOLDERS,
  IFCFG_FOLDER,
];

/** Where udev takes the name that a .link file gives, unless a rule before gave one. */
const NET_SETUP_LINK = '80-net-setup-link.rules';

export function nextBoot(nics: readonly BootNic[], read: ReadFolder): NextBoot[] {
  const units = merged(SYSTEMD_FOLDERS, read);
  const rules = merged(RULES_FOLDERS, read);
  const ifcfgs = readIfcfgs(read(IFCFG_FOLDER));
  const profiles = [
    ...PROFILE_FOLDERS.flatMap((folder) =>
      [...read(folder)].map(([name, content]) => readKeyfile(`${folder}/${name}`, content)),
    ),
    ...ifcfgs.map(readIfcfg),
  ];
  return nics.map((nic) => {
    const link = nameGiver(nic, units, rules, ifcfgs);
    const name = link?.gives[0];
    const names = name === undefined ? nic.names : [name];
    const network = first(units, '.network', { ...nic, names });
    const profile = strongest(profiles, nic.mac, names);
    return {
      mac: nic.mac,
      ...(link && { link }),
      ...(network && { network: networkChoice(network) }),
      ...(profile && { profile }),
    };
  });
}

/** The .network file that systemd-networkd takes for a NIC of these names. */
export function networkFile(nic: BootNic, read: ReadFolder): string | undefined {
  return first(merged(SYSTEMD_FOLDERS, read), '.network', nic)?.file;
}

/**
 * Whether ours counts at the next boot, for every NIC of the commit.
 * @param boots in the order of the network
 * @throws MultinicError `NotAtNextBoot` naming the file that would win
 */
export function refuseLosers(network: Network, boots: readonly NextBoot[], kind: RendererKind): void {
  for (const nic of network) {
    const boot = boots.find(({ mac }) => mac === nic.mac);
    if (boot === undefined) continue;
    const [name] = boot.link?.gives ?? [];
    // A recorded host need not have the rule that names NICs by ifcfg files.
    if (name !== nic.name && (kind !== 'ifcfg' || boot.link !== undefined))
      throw loses(nic, boot.link, `is named ${name ?? 'as the kernel likes'}`);
    if (kind === 'netplan') refuseNetwork(nic, boot.network);
    else refuseProfile(nic, boot.profile, kind);
  }
}

function refuseNetwork(nic: Interface, choice: BootChoice | undefined): void {
  if (choice === undefined) {
    throw new MultinicError(
      'NotAtNextBoot',
      `at the next boot systemd-networkd has nothing for ${nic.name} (${nic.mac}): netplan’s renderer on this node is another (renderer: NetworkManager?); write renderer: networkd for it, or keyfile in the annotation multinic.io/renderer on the Node, then run \`multinic retry\``,
      { data: { mac: nic.mac } },
    );
  }
  if (!choice.gives.includes(`${nic.address}/${nic.prefix}`)) {
    throw loses(nic, choice, `gets ${choice.gives.join(', ') || 'no address'}`);
  }
  if (choice.dhcp === true) throw loses(nic, choice, 'asks a DHCP server');
}

function refuseProfile(nic: Interface, choice: BootChoice | undefined, kind: RendererKind): void {
  if (choice === undefined || rendererOf(kind).manages(choice.file)) return;
  throw loses(nic, choice, 'gets another profile');
}

function loses(nic: Interface, choice: BootChoice | undefined, what: string): MultinicError {
  const by = choice === undefined ? '' : ` by ${choice.file}`;
  return new MultinicError(
    'NotAtNextBoot',
    `at the next boot ${nic.mac}, which shall be ${nic.name} ${nic.address}/${nic.prefix}, ${what}${by}; take that NIC out of the file, or remove it, then run \`multinic retry\``,
    { data: { mac: nic.mac, ...(choice && { file: choice.file }) } },
  );
}

interface BootFile {
  readonly name: string;
  readonly file: string;
  readonly content: string;
}

/** In the order in which they are tried. */
function merged(folders: readonly string[], read: ReadFolder): BootFile[] {
  const files = new Map<string, BootFile>();
  for (const folder of folders) {
    for (const [name, content] of read(folder)) {
      if (!files.has(name)) files.set(name, { name, file: `${folder}/${name}`, content });
    }
  }
  return [...files.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The last rule that gives a name wins; the one of a .link file is taken only where there is none yet. */
function nameGiver(
  nic: BootNic,
  units: readonly BootFile[],
  rules: readonly BootFile[],
  ifcfgs: readonly Ifcfg[],
): BootChoice | undefined {
  const link = first(units, '.link', nic);
  let given: BootChoice | undefined;
  for (const { name, file, content } of rules) {
    if (name === NET_SETUP_LINK && link !== undefined) given ??= linkChoice(link);
    for (const line of settings(content)) {
      const mac = /ATTR\{address\}=="([^"]+)"/.exec(line)?.[1]?.toLowerCase();
      // netplan's own rules are for NICs with a driver.
      if (/DRIVERS=="\?\*"/.test(line) && nic.driver === undefined) continue;
      const renamed = /PROGRAM==?"[^"]*\/rename_device"/.test(line) ? renameDevice(nic, ifcfgs) : undefined;
      if (renamed !== undefined) given = renamed;
      const [, named] = /\bNAME:?="([^"$%]+)"/.exec(line) ?? [];
      if (mac === nic.mac && named !== undefined) given = { file, gives: [named] };
    }
  }
  return given ?? (link && linkChoice(link));
}

function linkChoice({ file, content }: BootFile): BootChoice {
  return { file, gives: valuesOf(content, 'Link.Name') };
}

function networkChoice({ file, content }: BootFile): BootChoice {
  const dhcp = valuesOf(content, 'Network.DHCP').some((value) => !/^(no|false|0|off)$/i.test(value));
  const gives = [...valuesOf(content, 'Network.Address'), ...valuesOf(content, 'Address.Address')];
  return { file, gives, ...(dhcp && { dhcp }) };
}

function first(files: readonly BootFile[], suffix: string, nic: BootNic): BootFile | undefined {
  return files.find(({ name, content }) => name.endsWith(suffix) && matches(content, nic));
}

/** What can be told of any NIC. */
const KNOWN = new Set(['MACAddress', 'PermanentMACAddress', 'OriginalName', 'Name', 'Type', 'Driver']);

/**
 * As far as can be told: a file that also asks for a path, a property or a kernel's command line counts for a NIC only if
 * it names its MAC.
 */
function matches(content: string, { mac, names, driver }: BootNic): boolean {
  const entries = (iniEntries(content) ?? []).filter(([key]) => key.startsWith('Match.'));
  const conditions = entries.map(([key, value]) => [key.slice('Match.'.length), value] as const);
  const byMac = conditions.some(([key]) => key.endsWith('MACAddress'));
  if (conditions.length === 0 || (!byMac && conditions.some(([key]) => !KNOWN.has(key)))) return false;
  return conditions.every(([key, value]) => {
    const words = value.split(/\s+/);
    if (key.endsWith('MACAddress'))
      return words.some((word) => word.toLowerCase().replaceAll('-', ':') === mac);
    if (key === 'OriginalName' || key === 'Name') return names.some((name) => globMatches(words, name));
    if (key === 'Driver') return driver !== undefined && globMatches(words, driver);
    return key !== 'Type' || globMatches(words, 'ether');
  });
}

/** `ens* !ens5`: one of them, unless the list begins with `!`, which turns it round. */
function globMatches(words: readonly string[], text: string): boolean {
  const [head = ''] = words;
  const inverted = head.startsWith('!');
  const patterns = inverted ? [head.slice(1), ...words.slice(1)] : words;
  const hit = patterns.some((pattern) => {
    const source = pattern
      .replaceAll(/[.+^${}()|\\]/g, String.raw`\$&`)
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`).test(text);
  });
  return hit !== inverted;
}

function valuesOf(content: string, key: string): string[] {
  return (iniEntries(content) ?? []).flatMap(([each, value]) => (each === key ? [value] : []));
}

/** The shell assignments of an ifcfg file. */
interface Ifcfg {
  readonly file: string;
  readonly values: ReadonlyMap<string, string>;
}

/** Package managers and editors leave copies beside them. */
export function isIfcfg(name: string): boolean {
  return /^ifcfg-(?!.*(\.(rpmnew|rpmsave|rpmorig|orig|old|bak)|~)$)/.test(name);
}

/** In the order of their names, less those that no reader takes. */
function readIfcfgs(folder: ReadonlyMap<string, string>): Ifcfg[] {
  return [...folder]
    .filter(([name]) => isIfcfg(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, content]) => ({ file: `${IFCFG_FOLDER}/${name}`, values: shellValues(content) }));
}

/** As the helper of initscripts chooses: the file with the name that a NIC has already, else the last; ONBOOT is no matter. */
function renameDevice({ mac, names }: BootNic, ifcfgs: readonly Ifcfg[]): BootChoice | undefined {
  const candidates = ifcfgs.flatMap(({ file, values }): BootChoice[] => {
    const device = values.get('DEVICE');
    const own = values.get('HWADDR')?.toLowerCase() === mac;
    return own && device !== undefined ? [{ file, gives: [device] }] : [];
  });
  return candidates.find(({ gives }) => gives.some((name) => names.includes(name))) ?? candidates.at(-1);
}

/** What NetworkManager makes of a file, as far as it decides which NIC gets it; absent: any. */
interface BootProfile {
  readonly choice: BootChoice;
  readonly connects: boolean;
  readonly mac: string | undefined;
  readonly name: string | undefined;
  readonly priority: number;
}

function readKeyfile(file: string, content: string): BootProfile {
  const keys = new Map(iniEntries(content));
  const type = keys.get('connection.type');
  const methods = ['ipv4', 'ipv6'].map((family) => keys.get(`${family}.method`));
  const gives = ['ipv4', 'ipv6'].flatMap((family) => keys.get(`${family}.address1`)?.split(',')[0] ?? []);
  return {
    choice: { file, gives, ...(methods.includes('auto') && { dhcp: true }) },
    connects:
      (type === 'ethernet' || type === '802-3-ethernet') && keys.get('connection.autoconnect') !== 'false',
    mac: (keys.get('ethernet.mac-address') ?? keys.get('802-3-ethernet.mac-address'))?.toLowerCase(),
    name: keys.get('connection.interface-name'),
    priority: Number(keys.get('connection.autoconnect-priority') ?? 0),
  };
}

function readIfcfg({ file, values }: Ifcfg): BootProfile {
  const address = values.get('IPADDR');
  const gives = [
    ...(address === undefined ? [] : [`${address}/${values.get('PREFIX') ?? '32'}`]),
    ...(values.get('IPV6ADDR') ?? '').split(' ').filter((each) => each !== ''),
  ];
  return {
    choice: { file, gives, ...(/^dhcp$/i.test(values.get('BOOTPROTO') ?? '') && { dhcp: true }) },
    connects:
      /^(ethernet)?$/i.test(values.get('TYPE') ?? '') &&
      !/^(no|false|n|f|0)$/i.test(values.get('ONBOOT') ?? ''),
    mac: values.get('HWADDR')?.toLowerCase(),
    name: values.get('DEVICE'),
    priority: Number(values.get('AUTOCONNECT_PRIORITY') ?? 0),
  };
}

/** Of the profiles that fit and connect by themselves, the one with the highest priority. */
function strongest(
  profiles: readonly BootProfile[],
  mac: string,
  names: readonly string[],
): BootChoice | undefined {
  const fitting = profiles.filter(
    (each) =>
      each.connects &&
      (each.mac === undefined || each.mac === mac) &&
      (each.name === undefined || names.includes(each.name)),
  );
  return fitting.toSorted((a, b) => b.priority - a.priority)[0]?.choice;
}
