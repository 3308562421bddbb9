import { parseDocument } from 'yaml';
import { readIni } from '../network/ini.ts';
import { rendererOf } from '../network/renderers.ts';
import type { Root } from './root.ts';

/** A NIC that somebody else's file describes. */
export interface DescribedNic {
  /** Key under `ethernets`; with `profile`, that of NetworkManager. */
  readonly id: string;
  /** undefined: the file goes by the link's name. */
  readonly mac: string | undefined;
  /** The link's name, where the file says it. */
  readonly link: string | undefined;
  readonly file: string;
  readonly by: 'netplan' | 'profile';
  /** What it has beyond DHCP, as keys: `addresses`; empty: what cloud-init or an installer writes for any NIC. */
  readonly more: readonly string[];
}

/** Where netplan reads from, weakest last: it merges definitions of one ID over all of them. */
const NETPLAN_FOLDERS = ['etc/netplan', 'run/netplan', 'lib/netplan'];
const PROFILE_FOLDER = 'etc/NetworkManager/system-connections';
/** Of a NIC that gets all from a DHCP server. */
const NETPLAN_DHCP: ReadonlySet<string> = new Set([
  'match',
  'set-name',
  'dhcp4',
  'dhcp6',
  'dhcp4-overrides',
  'dhcp6-overrides',
  'dhcp-identifier',
  'accept-ra',
  'optional',
  'critical',
  'mtu',
  'wakeonlan',
]);

/**
 * What other files say of which NIC. A NIC that cloud-init describes as `ens6` has to be described under that ID by us
 * too, or cloud-init's definition wins at the next boot; one that has more than DHCP is somebody's on purpose.
 */
export function describedNics(root: Root): DescribedNic[] {
  const netplan = rendererOf('netplan');
  const keyfile = rendererOf('keyfile');
  return [
    ...NETPLAN_FOLDERS.flatMap((folder) => others(root, folder, '.yaml', netplan.manages, readEthernets)),
    ...others(root, PROFILE_FOLDER, '.nmconnection', keyfile.manages, readProfile),
  ];
}

function others(
  root: Root,
  folder: string,
  suffix: string,
  ours: (path: string) => boolean,
  read: (file: string, content: string) => DescribedNic[],
): DescribedNic[] {
  return root
    .list(folder)
    .map((name) => `${folder}/${name}`)
    .filter((path) => path.endsWith(suffix) && !ours(path))
    .flatMap((path) => read(path, root.readForeign(path)?.content ?? ''));
}

function readEthernets(file: string, content: string): DescribedNic[] {
  // All values as text: an unquoted MAC of digits alone is no number.
  const document = parseDocument(content, { schema: 'failsafe' });
  if (document.errors.length > 0) return [];
  const ethernets = child(child(document.toJS(), 'network'), 'ethernets');
  return Object.keys(ethernets).map((id) => {
    const definition = child(ethernets, id);
    const mac = child(definition, 'match')['macaddress'];
    return {
      id,
      mac: typeof mac === 'string' ? mac.toLowerCase() : undefined,
      link: id,
      file,
      by: 'netplan',
      more: Object.keys(definition).filter((key) => !NETPLAN_DHCP.has(key)),
    };
  });
}

function readProfile(file: string, content: string): DescribedNic[] {
  const { keys } = readIni(file, content);
  const manual = ['ipv4', 'ipv6'].filter((family) => keys.get(`${family}.method`) === 'manual');
  const mac = keys.get('ethernet.mac-address')?.toLowerCase();
  const link = keys.get('connection.interface-name');
  if (mac === undefined && link === undefined) return [];
  const id = keys.get('connection.id') ?? file;
  return [{ id, mac, link, file, by: 'profile', more: manual.map((family) => `${family}.method=manual`) }];
}

function child(parent: unknown, key: string): Record<string, unknown> {
  const value =
    typeof parent === 'object' && parent !== null ? (parent as Record<string, unknown>)[key] : undefined;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
