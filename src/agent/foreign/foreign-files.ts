// Descriptions of NICs in foreign files.
import { rendererOf } from '../../network/renderers.ts';
import { readFolder } from './boot-folders.ts';
import type { DescribedNic, NicMatch } from './foreign-nics.ts';
import { NETPLAN_FOLDERS, netplanNics } from './foreign-netplan.ts';
import { IFCFG_FOLDER, isIfcfg, isNo, isYes } from './ifcfg-files.ts';
import { shellValues } from './ini-entries.ts';
import { readKeyfiles, type Keyfile } from './keyfiles.ts';
import type { Root } from '../files/root.ts';
import { canonicalMac, mergedFiles } from './systemd-files.ts';

/**
 * Reads the NICs that foreign files describe: our file has to use the ID under which cloud-init describes a NIC
 * (`ens6`), or cloud-init's file wins at the next boot. A NIC with more settings than DHCP was configured by a person
 * on purpose.
 */
export function describedNics(root: Root): DescribedNic[] {
  const read = (folder: string): ReadonlyMap<string, string> => readFolder(root, folder);
  const netplan = mergedFiles(NETPLAN_FOLDERS, read).filter(
    ({ name, file }) => name.endsWith('.yaml') && !rendererOf('netplan').manages(file),
  );
  const keyfiles = readKeyfiles(read);
  const profiles = keyfiles
    .filter(({ file }) => !rendererOf('keyfile').manages(file))
    .flatMap((keyfile) => [...ofKeyfile(keyfile), ...parentOf(keyfile, keyfiles)]);
  const ifcfgs = [...read(IFCFG_FOLDER)]
    .filter(([name]) => isIfcfg(name) && !rendererOf('ifcfg').manages(`${IFCFG_FOLDER}/${name}`))
    .flatMap(([name, content]) => {
      const file = `${IFCFG_FOLDER}/${name}`;
      const routes = ['route', 'route6', 'rule', 'rule6'].map((kind) => file.replace('/ifcfg-', `/${kind}-`));
      return readIfcfg(
        file,
        content,
        routes.filter((path) => root.readForeign(path) !== undefined),
      );
    });
  return [...netplanNics(netplan), ...profiles, ...ifcfgs];
}

/** Methods by which NetworkManager configures a NIC that no file describes. */
const PASSIVE_METHODS: ReadonlySet<string> = new Set(['auto', 'dhcp', 'disabled', 'ignore', 'link-local']);
const KEYFILE_MORE =
  /^ipv[46]\.(address|route|routing-rule|gateway|dns$)|^connection\.(master|controller|slave-type|port-type)$|cloned-mac-address$/;

function ofKeyfile({ file, entries, keys, match }: Keyfile): DescribedNic[] {
  if (Object.keys(match).length === 0) return [];
  const more = entries.flatMap(([key, value]) => {
    if (value === '') return [];
    if (/^ipv[46]\.method$/.test(key)) return PASSIVE_METHODS.has(value) ? [] : [`${key}=${value}`];
    return KEYFILE_MORE.test(key) ? [key] : [];
  });
  return [{ id: keys.get('connection.id') ?? file, match, file, by: 'profile', more }];
}

/** Types of devices that stand on one other device: VLANs and the like. */
const ON_A_PARENT: ReadonlySet<string> = new Set([
  'vlan',
  'macvlan',
  'ipvlan',
  'macsec',
  'vxlan',
  'ip-tunnel',
]);

/**
 * The NIC under the VLAN or other device of a profile. `parent` names the NIC, or another profile by its UUID; without
 * `parent` the profile names the NIC by MAC.
 */
function parentOf({ file, keys }: Keyfile, all: readonly Keyfile[]): DescribedNic[] {
  const type = keys.get('connection.type') ?? '';
  if (!ON_A_PARENT.has(type)) return [];
  const parent = keys.get(`${type}.parent`);
  const mac = keys.get('ethernet.mac-address') ?? keys.get('802-3-ethernet.mac-address');
  const id = keys.get('connection.id') ?? file;
  const found = (match: NicMatch, key: string): DescribedNic[] => [
    { id, match, file, by: 'profile', more: [key] },
  ];
  if (parent !== undefined) {
    const profile = all.find((each) => each.keys.get('connection.uuid') === parent);
    return found(profile?.match ?? { name: parent }, `${type}.parent`);
  }
  return mac === undefined ? [] : found({ mac: canonicalMac(mac) }, `connection.type=${type}`);
}

const IFCFG_MORE =
  /^(IPADDR\d*|IPV6ADDR(_SECONDARIES)?|GATEWAY\d*|IPV6_DEFAULTGW|DNS\d+|MASTER|BRIDGE|TEAM_MASTER|MACADDR)$/;

/** @param routes names of the route files that exist beside the ifcfg file */
function readIfcfg(file: string, content: string, routes: readonly string[]): DescribedNic[] {
  const values = shellValues(content);
  const mac = values.get('HWADDR');
  // The alias `ens6:0` belongs to the NIC `ens6`.
  const name = values.get('DEVICE')?.split(':')[0];
  if (mac === undefined && name === undefined) return [];
  const match: NicMatch = {
    ...(mac !== undefined && { mac: canonicalMac(mac) }),
    ...(mac === undefined && name !== undefined && { name }),
  };
  const keys = [...values].flatMap(([key, value]) => {
    if (key === 'NM_CONTROLLED') return isNo(value) ? [`${key}=${value}`] : [];
    return IFCFG_MORE.test(key) && value !== '' ? [key] : [];
  });
  const id = values.get('NAME') ?? file;
  const own: DescribedNic = { id, match, file, by: 'profile', more: [...keys, ...routes] };
  const parent = parentOfVlan(values);
  return parent === undefined ? [own] : [own, { ...own, match: { name: parent }, more: ['VLAN'] }];
}

/** The NIC under a VLAN: PHYSDEV, or the part of DEVICE before the dot. */
function parentOfVlan(values: ReadonlyMap<string, string>): string | undefined {
  const isVlan = /^vlan$/i.test(values.get('TYPE') ?? '') || isYes(values.get('VLAN'));
  return isVlan ? (values.get('PHYSDEV') ?? /^(.+)\.\d+$/.exec(values.get('DEVICE') ?? '')?.[1]) : undefined;
}
