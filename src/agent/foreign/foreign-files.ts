// Descriptions of NICs in foreign files.
import { rendererOf } from '../../network/renderers.ts';
import { readFolder } from './boot-folders.ts';
import type { DescribedNic, NicMatch } from './foreign-nics.ts';
import { NETPLAN_FOLDERS, netplanNics } from './foreign-netplan.ts';
import { IFCFG_FOLDER, isIfcfg, isNo } from './ifcfg-files.ts';
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
  const profiles = readKeyfiles(read)
    .filter(({ file }) => !rendererOf('keyfile').manages(file))
    .flatMap(ofKeyfile);
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
  return [{ id: values.get('NAME') ?? file, match, file, by: 'profile', more: [...keys, ...routes] }];
}
