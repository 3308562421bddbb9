// A file in NetworkManager's settings forbids an automatic profile for a NIC that left the commit, while the NIC is on
// the machine. NetworkManager would otherwise make a DHCP profile, whose default route may take precedence over the
// node's.

import { parseMac, type Mac } from '../../network/mac.ts';

const FOLDER = 'etc/NetworkManager/conf.d';
const PATH = /^etc\/NetworkManager\/conf\.d\/90-multinic-([0-9a-f]{12})\.conf$/;

export const NO_AUTO_DEFAULT_FOLDER = FOLDER;

export function noAutoDefaultPath(mac: Mac): string {
  return `${FOLDER}/90-multinic-${mac.replaceAll(':', '')}.conf`;
}

/** The MAC in the path of such a file; undefined for any other path. */
export function noAutoDefaultMac(path: string): Mac | undefined {
  return parseMac(PATH.exec(path)?.[1]?.replaceAll(/..(?!$)/g, '$&:') ?? '');
}

/** The content of the file. It uses `+=`, because `=` would replace foreign settings. */
export function noAutoDefault(mac: Mac): string {
  return `# Written by multinic-agent when it gave this NIC back.
[main]
no-auto-default+=mac:${mac}
`;
}
