// Finds the profile that NetworkManager takes for a NIC at boot, among key files and ifcfg files.
import type { ReadFolder } from './boot-folders.ts';
import type { Ifcfg } from './ifcfg-files.ts';
import { iniEntries } from './ini-entries.ts';
import { canonicalMac, globsMatch } from './systemd-files.ts';
import type { Mac } from '../../network/mac.ts';

/** A profile of an Ethernet NIC that connects by itself. */
export interface BootProfile {
  readonly file: string;
  /** Addresses with prefix. */
  readonly gives: readonly string[];
  /** The profile uses DHCP or router advertisements. */
  readonly dhcp: boolean;
  readonly priority: number;
  /** Whether the profile is for a NIC with this MAC and one of these names. */
  readonly isFor: (mac: Mac, names: readonly string[]) => boolean;
}

export const PROFILE_FOLDERS = ['etc', 'run', 'usr/lib'].map(
  (root) => `${root}/NetworkManager/system-connections`,
);

/**
 * Whether NetworkManager reads a file as a profile: it ignores editors' copies, temporary files and certificates.
 * Outside of /etc a profile must have the suffix `.nmconnection`.
 */
export function isProfileName(name: string, folder: string): boolean {
  if (/^\.|~$|\.(pem|der|nmmeta|[A-Za-z0-9]{6})$/.test(name)) return false;
  return folder.startsWith('etc/') || name.endsWith('.nmconnection');
}

/**
 * The profile with the highest priority that fits the NIC. NetworkManager itself decides between equal priorities by
 * the last use.
 */
export function profileFor(
  mac: Mac,
  names: readonly string[],
  ifcfgs: readonly Ifcfg[],
  read: ReadFolder,
): BootProfile | undefined {
  const profiles = [
    ...PROFILE_FOLDERS.flatMap((folder) =>
      [...read(folder)]
        .filter(([name]) => isProfileName(name, folder))
        .flatMap(([name, content]) => readKeyfile(`${folder}/${name}`, content)),
    ),
    ...ifcfgs.flatMap(readIfcfg),
  ];
  return profiles
    .filter((profile) => profile.isFor(mac, names))
    .toSorted((a, b) => b.priority - a.priority)[0];
}

function readKeyfile(file: string, content: string): BootProfile[] {
  const entries = iniEntries(content);
  if (entries === undefined) return [];
  const keys = new Map(entries);
  // NetworkManager keeps in memory only the profiles that it generated for the state of the kernel.
  if (keys.get('.nmmeta.nm-generated') === 'true') return [];
  const ethernet = (key: string): string | undefined =>
    keys.get(`ethernet.${key}`) ?? keys.get(`802-3-ethernet.${key}`);
  // NetworkManager takes the type of a profile without one from the profile's sections.
  const type = keys.get('connection.type') ?? 'ethernet';
  const connects =
    ['ethernet', '802-3-ethernet'].includes(type) &&
    !/^(false|no|off|0)$/i.test(keys.get('connection.autoconnect') ?? '');
  if (!connects) return [];
  const methods = ['ipv4', 'ipv6'].map((family) => keys.get(`${family}.method`));
  const mac = ethernet('mac-address');
  const excepted = listOf(ethernet('mac-address-denylist') ?? ethernet('mac-address-blacklist'));
  const name = keys.get('connection.interface-name');
  const patterns = listOf(keys.get('match.interface-name'));
  return [
    {
      file,
      gives: ['ipv4', 'ipv6'].flatMap((family) => addressesOf(keys, family)),
      dhcp: methods.includes('auto'),
      priority: Number(keys.get('connection.autoconnect-priority') ?? 0),
      isFor: (own, names) =>
        (mac === undefined || canonicalMac(mac) === own) &&
        !excepted.some((each) => canonicalMac(each) === own) &&
        (name === undefined || names.includes(name)) &&
        (patterns.length === 0 || names.some((each) => globsMatch(patterns, each))),
    },
  ];
}

function readIfcfg({ file, values }: Ifcfg): BootProfile[] {
  const connects =
    /^(ethernet)?$/i.test(values.get('TYPE') ?? '') &&
    !/^(no|false|n|f|0)$/i.test(values.get('ONBOOT') ?? '') &&
    !/^(no|false|n|f|0)$/i.test(values.get('NM_CONTROLLED') ?? '');
  if (!connects) return [];
  const address = values.get('IPADDR');
  const mac = values.get('HWADDR');
  const name = values.get('DEVICE');
  return [
    {
      file,
      gives: [
        ...(address === undefined ? [] : [`${address}/${values.get('PREFIX') ?? '32'}`]),
        ...(values.get('IPV6ADDR') ?? '').split(' ').filter((each) => each !== ''),
      ],
      dhcp: /^(dhcp|bootp)$/i.test(values.get('BOOTPROTO') ?? ''),
      priority: Number(values.get('AUTOCONNECT_PRIORITY') ?? 0),
      isFor: (own, names) =>
        (mac === undefined || canonicalMac(mac) === own) && (name === undefined || names.includes(name)),
    },
  ];
}

/** `address`, `address1` … of a family, without the gateway that may follow. */
function addressesOf(keys: ReadonlyMap<string, string>, family: string): string[] {
  const key = new RegExp(`^${family}\\.address(es)?\\d*$`);
  return [...keys].flatMap(([each, value]) => (key.test(each) ? [value.split(/[,;]/)[0] ?? ''] : []));
}

function listOf(value = ''): string[] {
  return value
    .split(/[;,\s]/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}
