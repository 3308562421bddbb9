// NetworkManager makes an automatic DHCP profile for each NIC without a profile, and its default route may beat the
// node's. A NIC that left the commit must get none: a file in NetworkManager's settings forbids it while the NIC is on
// the machine.

import { parseMac, type Mac } from '../../network/mac.ts';

const FOLDER = 'etc/NetworkManager/conf.d';
const PATH = /^etc\/NetworkManager\/conf\.d\/90-multinic-([0-9a-f]{12})\.conf$/;

export const NO_AUTO_DEFAULT_FOLDER = FOLDER;

export function noAutoDefaultPath(mac: Mac): string {
  return `${FOLDER}/90-multinic-${mac.replaceAll(':', '')}.conf`;
}

/** The MAC that a path is about; undefined for any other path. */
export function noAutoDefaultMac(path: string): Mac | undefined {
  return parseMac(PATH.exec(path)?.[1]?.replaceAll(/..(?!$)/g, '$&:') ?? '');
}

/** Adds to foreign settings: a plain `=` would replace them. */
export function noAutoDefault(mac: Mac): string {
  return `# Written by multinic-agent when it gave this NIC back.
[main]
no-auto-default+=mac:${mac}
`;
}
