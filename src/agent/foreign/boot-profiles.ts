// Finds the profile that NetworkManager takes for a NIC at boot, among key files and ifcfg files.
import type { ReadFolder } from './boot-folders.ts';
import { fits } from './foreign-nics.ts';
import { isNo, type Ifcfg } from './ifcfg-files.ts';
import { readKeyfiles, type Keyfile } from './keyfiles.ts';
import { canonicalMac } from './systemd-files.ts';
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
  const profiles = [...readKeyfiles(read).flatMap(ofKeyfile), ...ifcfgs.flatMap(ofIfcfg)];
  return profiles
    .filter((profile) => profile.isFor(mac, names))
    .toSorted((a, b) => b.priority - a.priority)[0];
}

function ofKeyfile({ file, keys, match, excepted }: Keyfile): BootProfile[] {
  // NetworkManager takes the type of a profile without one from the profile's sections.
  const type = keys.get('connection.type') ?? 'ethernet';
  const connects =
    ['ethernet', '802-3-ethernet'].includes(type) &&
    !/^(false|no|off|0)$/i.test(keys.get('connection.autoconnect') ?? '');
  if (!connects) return [];
  const methods = ['ipv4', 'ipv6'].map((family) => keys.get(`${family}.method`));
  return [
    {
      file,
      gives: ['ipv4', 'ipv6'].flatMap((family) => addressesOf(keys, family)),
      dhcp: methods.includes('auto'),
      priority: Number(keys.get('connection.autoconnect-priority') ?? 0),
      isFor: (mac, names) => !excepted.includes(mac) && fits(match, { mac, names }),
    },
  ];
}

function ofIfcfg({ file, values }: Ifcfg): BootProfile[] {
  const connects =
    /^(ethernet)?$/i.test(values.get('TYPE') ?? '') &&
    !isNo(values.get('ONBOOT')) &&
    !isNo(values.get('NM_CONTROLLED'));
  if (!connects) return [];
  const mac = values.get('HWADDR');
  const name = values.get('DEVICE');
  return [
    {
      file,
      gives: addressesOfIfcfg(values),
      dhcp: /^(dhcp|bootp)$/i.test(values.get('BOOTPROTO') ?? ''),
      priority: Number(values.get('AUTOCONNECT_PRIORITY') ?? 0),
      isFor: (own, names) =>
        (mac === undefined || canonicalMac(mac) === own) && (name === undefined || names.includes(name)),
    },
  ];
}

/** `IPADDR`, `IPADDR1` … with their prefixes, `IPV6ADDR`, and the list of further IPv6 addresses. */
function addressesOfIfcfg(values: ReadonlyMap<string, string>): string[] {
  const ipv4 = [...values].flatMap(([key, address]) => {
    const index = /^IPADDR(\d*)$/.exec(key)?.[1];
    return index === undefined ? [] : [`${address}/${values.get(`PREFIX${index}`) ?? '32'}`];
  });
  const ipv6 = ['IPV6ADDR', 'IPV6ADDR_SECONDARIES'].flatMap((key) => (values.get(key) ?? '').split(' '));
  return [...ipv4, ...ipv6.filter((each) => each !== '')];
}

/** `address`, `address1` … of a family, without the gateway that may follow. */
function addressesOf(keys: ReadonlyMap<string, string>, family: string): string[] {
  const key = new RegExp(`^${family}\\.address(es)?\\d*$`);
  return [...keys].flatMap(([each, value]) => (key.test(each) ? [value.split(/[,;]/)[0] ?? ''] : []));
}
