// The key files of NetworkManager that count as configuration, as NetworkManager chooses and reads them.
import type { ReadFolder } from './boot-folders.ts';
import type { NicMatch } from './foreign-nics.ts';
import { iniEntries, type IniEntry } from './ini-entries.ts';
import { canonicalMac } from './systemd-files.ts';

/** A profile in a key file. */
export interface Keyfile {
  /** Path on the host. */
  readonly file: string;
  readonly entries: readonly IniEntry[];
  /** The last value of each `section.key`. */
  readonly keys: ReadonlyMap<string, string>;
  /** The NICs that the profile is for; empty: any. */
  readonly match: NicMatch;
  /** MACs of NICs that the profile is never for. */
  readonly excepted: readonly string[];
}

const FOLDERS = ['etc', 'run', 'usr/lib'].map((root) => `${root}/NetworkManager/system-connections`);

/** Reads the profiles of all folders, without broken files and without profiles that NetworkManager generated itself. */
export function readKeyfiles(read: ReadFolder): Keyfile[] {
  return FOLDERS.flatMap((folder) =>
    [...read(folder)]
      .filter(([name]) => isProfileName(name, folder))
      .flatMap(([name, content]) => readKeyfile(`${folder}/${name}`, content)),
  );
}

/**
 * Whether NetworkManager reads a file as a profile: it ignores editors' copies, temporary files and certificates.
 * Outside of /etc a profile must have the suffix `.nmconnection`.
 */
function isProfileName(name: string, folder: string): boolean {
  if (/^\.|~$|\.(pem|der|nmmeta|[A-Za-z0-9]{6})$/.test(name)) return false;
  return folder.startsWith('etc/') || name.endsWith('.nmconnection');
}

function readKeyfile(file: string, content: string): Keyfile[] {
  const entries = iniEntries(content);
  if (entries === undefined) return [];
  const keys = new Map(entries);
  // A profile that NetworkManager wrote for a NIC which somebody configured in the kernel. The profile disappears with
  // that state.
  if (keys.get('.nmmeta.nm-generated') === 'true') return [];
  const ethernet = (key: string): string | undefined =>
    keys.get(`ethernet.${key}`) ?? keys.get(`802-3-ethernet.${key}`);
  const mac = ethernet('mac-address');
  const name = keys.get('connection.interface-name');
  const patterns = listOf(keys.get('match.interface-name'));
  const match: NicMatch = {
    ...(mac !== undefined && { mac: canonicalMac(mac) }),
    ...(name !== undefined && { name }),
    ...(patterns.length > 0 && { patterns }),
  };
  const excepted = listOf(ethernet('mac-address-denylist') ?? ethernet('mac-address-blacklist'));
  return [{ file, entries, keys, match, excepted: excepted.map(canonicalMac) }];
}

function listOf(value = ''): string[] {
  return value.split(/[;,\s]/).filter((each) => each !== '');
}
