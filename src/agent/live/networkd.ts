// What systemd-networkd has for links, and how far it is with them. It says so in files that all its versions write, so nobody need be asked.
import { networkFile } from '../foreign/next-boot.ts';
import { readFolder } from '../foreign/boot-folders.ts';
import type { NamedNic } from '../host/machine.ts';
import type { Root } from '../files/root.ts';

const STATES = 'run/systemd/netif/links';
/** `netplan apply` does not wait for networkd, which works for about a second. */
export const NETWORKD_MS = 3_000;
/** A line of a state file, for `grep -E` of the restore script too: networkd waits for a carrier. */
export const NETWORKD_WAITS = '^OPER_STATE=(off|no-carrier|dormant)$';
/** A line of a state file: networkd still works on the link. */
export const NETWORKD_WORKS = '^ADMIN_STATE=(pending|initialized|configuring)$';

/**
 * The addresses that networkd gives a link whenever it gets its carrier. A live change passes networkd by: they stay
 * those of the boot.
 * @param ifindex the kernel's number of the link
 * @returns none of a link that networkd leaves alone
 */
export function loadedAddresses(root: Root, ifindex: number): string[] {
  const state = stateOf(root, ifindex);
  const file = /^NETWORK_FILE=\/(.+)$/m.exec(state)?.[1];
  const network = (file !== undefined && root.readForeign(file)?.content) || '';
  return [...network.matchAll(/^Address=(\S+)$/gm)].flatMap(([, address]) => address ?? []);
}

/**
 * Whether it has a file for a NIC of this name. One that it let go of, and that gets such a name again, it configures anew,
 * and with that it drops all rules and blackholes of others on the machine. It may not have loaded the file: then it does not.
 */
export function hasFileFor(root: Root, { mac, name }: NamedNic): boolean {
  return networkFile({ mac, names: [name] }, (folder) => readFolder(root, folder)) !== undefined;
}

/** Whether it has a link in its hands. */
export function isManaged(root: Root, ifindex: number): boolean {
  return /^ADMIN_STATE=(configuring|configured)$/m.test(stateOf(root, ifindex));
}

/**
 * Whether it is through with every link that has a carrier: one that it is still at may lose what is put there.
 * @param ifindexes of all links when left out
 */
export function isConfigured(
  root: Root,
  ifindexes: readonly (number | string)[] = root.list(STATES),
): boolean {
  return ifindexes.every((ifindex) => {
    const state = stateOf(root, ifindex);
    return new RegExp(NETWORKD_WAITS, 'm').test(state) || !new RegExp(NETWORKD_WORKS, 'm').test(state);
  });
}

/** In its own words. */
function stateOf(root: Root, ifindex: number | string): string {
  return root.readForeign(`${STATES}/${ifindex}`)?.content ?? '';
}
