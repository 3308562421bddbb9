// NICs in foreign netplan files: definitions of NICs, and bridges, bonds or VLANs that list them.
import { parseAllDocuments } from 'yaml';
import type { DescribedNic, NicMatch } from './foreign-nics.ts';

/** netplan's folders, strongest first: a file hides files of the same name in the folders after its own. */
export const NETPLAN_FOLDERS = ['run/netplan', 'etc/netplan', 'lib/netplan'];

/** A netplan file of the host. */
export interface NetplanFile {
  /** Path on the host. */
  readonly file: string;
  readonly content: string;
}

/** Keys of a NIC that gets its whole configuration from a DHCP server. */
const DHCP: ReadonlySet<string> = new Set([
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
  'renderer',
]);

/** Sections of devices that are made of NICs, each with the key that lists the NICs. */
const MADE_OF_NICS: Readonly<Record<string, string>> = {
  bridges: 'interfaces',
  bonds: 'interfaces',
  vrfs: 'interfaces',
  vlans: 'link',
  tunnels: 'link',
};

/** A definition of one ID in one file. */
interface Definition {
  readonly id: string;
  readonly file: string;
  readonly keys: Readonly<Record<string, unknown>>;
}

/**
 * @param files the foreign files that netplan reads, sorted by name, because netplan merges the definitions of one ID
 */
export function netplanNics(files: readonly NetplanFile[]): DescribedNic[] {
  const networks = files.map(({ file, content }) => ({ file, network: networkOf(content) }));
  const definitions = networks.flatMap(({ file, network }): Definition[] =>
    Object.entries(mapOf(network['ethernets'])).map(([id, keys]) => ({ id, file, keys: mapOf(keys) })),
  );
  const matches = new Map<string, NicMatch>();
  for (const { id, keys } of definitions) {
    // netplan adds the keys of a later match, and keeps the ID as the name where the first definition has no match.
    const first = matches.get(id);
    const { name, ...more } = matchOf(id, mapOf(keys['match']));
    if (first === undefined) matches.set(id, { ...more, ...(name !== undefined && { name }) });
    else if ('match' in keys) matches.set(id, withMore(first, more));
  }
  const described = definitions.map(({ id, file, keys }): DescribedNic => ({
    id,
    file,
    by: 'netplan',
    match: matches.get(id) ?? matchOf(id, {}),
    more: Object.keys(keys).filter((key) => !DHCP.has(key)),
  }));
  const members = networks.flatMap(({ file, network }) =>
    membersOf(network).map(({ id, key }): DescribedNic => ({
      id,
      file,
      by: 'netplan',
      match: matches.get(id) ?? matchOf(id, {}),
      more: [key],
    })),
  );
  return [...described, ...members];
}

function withMore({ name, ...first }: NicMatch, more: NicMatch): NicMatch {
  return { ...first, ...(name !== undefined && more.patterns === undefined && { name }), ...more };
}

/** IDs of NICs that a bridge, bond, VLAN … lists, each with the key that lists it. */
function membersOf(network: Readonly<Record<string, unknown>>): { id: string; key: string }[] {
  return Object.entries(MADE_OF_NICS).flatMap(([section, list]) =>
    Object.entries(mapOf(network[section])).flatMap(([device, keys]) => {
      const names = [mapOf(keys)[list]].flat();
      return names.flatMap((id) =>
        typeof id === 'string' ? [{ id, key: `${section}.${device}.${list}` }] : [],
      );
    }),
  );
}

/** The match of a definition. A definition without a match is for the NIC whose name is the ID. */
function matchOf(id: string, match: Readonly<Record<string, unknown>>): NicMatch {
  const mac = match['macaddress'];
  const words = (key: string): string[] =>
    [match[key]].flat().flatMap((each) => (typeof each === 'string' ? each.split(/\s+/) : []));
  const names = words('name');
  const drivers = words('driver');
  const isEmpty = typeof mac !== 'string' && names.length === 0 && drivers.length === 0;
  return {
    ...(typeof mac === 'string' && { mac: mac.toLowerCase() }),
    ...(isEmpty && { name: id }),
    ...(names.length > 0 && { patterns: names }),
    ...(drivers.length > 0 && { drivers }),
  };
}

function networkOf(content: string): Record<string, unknown> {
  // Reads all values as text, so that an unquoted MAC of digits alone is not read as a number.
  const [document] = parseAllDocuments(content, { schema: 'failsafe', uniqueKeys: false });
  if (document === undefined || document.errors.length > 0) return {};
  try {
    return mapOf(mapOf(document.toJS({ maxAliasCount: -1 }))['network']);
  } catch {
    // An alias refers to itself.
    return {};
  }
}

function mapOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
