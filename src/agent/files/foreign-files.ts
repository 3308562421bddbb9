import { parseDocument } from 'yaml';
import { rendererOf } from '../../network/renderers.ts';
import { IFCFG_FOLDER, isIfcfg } from './ifcfg-files.ts';
import { iniEntries, shellValues } from './ini-entries.ts';
import type { Root } from './root.ts';

/** A NIC that somebody else's file describes. */
export interface DescribedNic {
  /** Key under `ethernets`; with `profile`, NetworkManager’s name for it. */
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
export const NETPLAN_FOLDERS = ['run/netplan', 'etc/netplan', 'lib/netplan'];
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
  const ifcfg = rendererOf('ifcfg');
  return [
    ...NETPLAN_FOLDERS.flatMap((folder) =>
      others(root, folder, ending('.yaml'), netplan.manages, readEthernets),
    ),
    ...others(root, PROFILE_FOLDER, ending('.nmconnection'), keyfile.manages, readKeyfile),
    ...others(root, IFCFG_FOLDER, isIfcfg, ifcfg.manages, (file, content) => {
      const routes = ['route', 'route6', 'rule', 'rule6'].map((kind) => file.replace('/ifcfg-', `/${kind}-`));
      return readIfcfg(
        file,
        content,
        routes.filter((path) => root.readForeign(path) !== undefined),
      );
    }),
  ];
}

function others(
  root: Root,
  folder: string,
  isRead: (name: string) => boolean,
  ours: (path: string) => boolean,
  read: (file: string, content: string) => DescribedNic[],
): DescribedNic[] {
  return root
    .list(folder)
    .filter(isRead)
    .map((name) => `${folder}/${name}`)
    .filter((path) => !ours(path))
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

/** What NetworkManager asks nobody's consent for, by family. */
const PASSIVE_METHODS: ReadonlySet<string> = new Set(['auto', 'dhcp', 'disabled', 'ignore', 'link-local']);
const KEYFILE_MORE = /^ipv[46]\.(address|route|routing-rule|gateway|dns$)|^connection\.(master|controller)$/;

function readKeyfile(file: string, content: string): DescribedNic[] {
  const entries = iniEntries(content) ?? [];
  const keys = new Map(entries);
  const mac = (keys.get('ethernet.mac-address') ?? keys.get('802-3-ethernet.mac-address'))?.toLowerCase();
  const link = keys.get('connection.interface-name');
  if (mac === undefined && link === undefined) return [];
  const more = entries.flatMap(([key, value]) => {
    if (value === '') return [];
    if (/^ipv[46]\.method$/.test(key)) return PASSIVE_METHODS.has(value) ? [] : [`${key}=${value}`];
    return KEYFILE_MORE.test(key) ? [key] : [];
  });
  return [{ id: keys.get('connection.id') ?? file, mac, link, file, by: 'profile', more }];
}

const IFCFG_MORE =
  /^(IPADDR\d*|IPV6ADDR(_SECONDARIES)?|GATEWAY\d*|IPV6_DEFAULTGW|DNS\d+|MASTER|BRIDGE|TEAM_MASTER)$/;

/** @param routes files beside it that exist */
function readIfcfg(file: string, content: string, routes: readonly string[]): DescribedNic[] {
  const values = shellValues(content);
  const mac = values.get('HWADDR')?.toLowerCase();
  // An alias, `ens6:0`, is of its NIC.
  const link = values.get('DEVICE')?.split(':')[0];
  if (mac === undefined && link === undefined) return [];
  const keys = [...values].flatMap(([key, value]) => (IFCFG_MORE.test(key) && value !== '' ? [key] : []));
  return [{ id: values.get('NAME') ?? file, mac, link, file, by: 'profile', more: [...keys, ...routes] }];
}

const ending =
  (suffix: string) =>
  (name: string): boolean =>
    name.endsWith(suffix);

function child(parent: unknown, key: string): Record<string, unknown> {
  const value =
    typeof parent === 'object' && parent !== null ? (parent as Record<string, unknown>)[key] : undefined;
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
