// The names that cloud-init gives NICs. cloud-init renames the NICs of its network configuration at every boot, before
// any network manager starts, also if it writes no file of a network manager any more.
import { parseDocument } from 'yaml';
import type { Interface } from '../../network/interface.ts';

/** The part of the host's root that is read. */
interface ForeignFiles {
  list(folder: string): string[];
  readForeign(path: string): { readonly content: string } | undefined;
}

/** A NIC of ours that gets another name from cloud-init at the next boot. */
export interface CloudInitName {
  readonly nic: Interface;
  readonly name: string;
  /** The file with cloud-init's network configuration. */
  readonly file: string;
}

/** Files that switch off cloud-init, or its network configuration. */
const SWITCHES = ['etc/cloud/cloud-init.disabled', 'var/lib/cloud/data/upgraded-network'];
const SETTINGS = 'etc/cloud/cloud.cfg';
const SETTINGS_FOLDER = 'etc/cloud/cloud.cfg.d';
/** The configuration of the datasource, weakest last: cloud-init 23.3 and newer keep it as JSON; a seed stays a file. */
const DATASOURCE = [
  'var/lib/cloud/instance/network-config.json',
  'run/cloud-init/network-config.json',
  'var/lib/cloud/seed/nocloud-net/network-config',
  'var/lib/cloud/seed/nocloud/network-config',
];

/** NICs that cloud-init renames at the next boot, as far as its files tell. */
export function renamedByCloudInit(root: ForeignFiles, network: readonly Interface[]): CloudInitName[] {
  if (SWITCHES.some((path) => root.readForeign(path) !== undefined)) return [];
  const source = settings(root) ?? datasource(root);
  if (source === undefined) return [];
  const names = new Map(namesIn(source.network));
  return network.flatMap((nic) => {
    const name = names.get(nic.mac);
    return name === undefined || name === nic.name ? [] : [{ nic, name, file: source.file }];
  });
}

interface Source {
  readonly file: string;
  readonly network: Readonly<Record<string, unknown>>;
}

/** The network configuration in cloud-init's settings, which comes before that of a datasource; the last file wins. */
function settings(root: ForeignFiles): Source | undefined {
  const files = root.list(SETTINGS_FOLDER).filter((name) => name.endsWith('.cfg'));
  const paths = [SETTINGS, ...files.map((name) => `${SETTINGS_FOLDER}/${name}`)];
  return sources(root, paths).findLast(({ network }) => Object.keys(network).length > 0);
}

function datasource(root: ForeignFiles): Source | undefined {
  return sources(root, DATASOURCE, 'whole')[0];
}

/** @param where `whole`: the file itself is the configuration, possibly below the key `network` */
function sources(root: ForeignFiles, paths: readonly string[], where?: 'whole'): Source[] {
  return paths.flatMap((file) => {
    const content = root.readForeign(file)?.content;
    if (content === undefined) return [];
    const value = valueOf(content);
    return [{ file, network: mapOf(value['network'] ?? (where === 'whole' ? value : undefined)) }];
  });
}

/** MAC and name of each NIC that cloud-init names. `config: disabled` has none. */
function namesIn(network: Readonly<Record<string, unknown>>): (readonly [mac: string, name: string])[] {
  const list = Array.isArray(network['config']) ? (network['config'] as unknown[]).map(mapOf) : [];
  const v1 = list.map((each) => [
    each['type'] === 'physical' ? each['mac_address'] : undefined,
    each['name'],
  ]);
  const v2 = Object.values(mapOf(network['ethernets'])).map((each) => {
    const { match, 'set-name': name } = mapOf(each);
    return [mapOf(match)['macaddress'], name];
  });
  return [...v1, ...v2].flatMap(([mac, name]) =>
    typeof mac === 'string' && typeof name === 'string' ? [[mac.toLowerCase(), name] as const] : [],
  );
}

function valueOf(content: string): Record<string, unknown> {
  // Reads all values as text, so that an unquoted MAC of digits alone is not read as a number.
  const document = parseDocument(content, { schema: 'failsafe', uniqueKeys: false });
  if (document.errors.length > 0) return {};
  try {
    return mapOf(document.toJS({ maxAliasCount: 100 }));
  } catch {
    return {};
  }
}

function mapOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
