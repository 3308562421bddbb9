// systemd-networkd's configuration and progress of links, read from state files that all of its versions write.
import { networkFile } from '../foreign/next-boot.ts';
import { readFolder } from '../foreign/boot-folders.ts';
import type { NamedNic } from './machine.ts';
import type { Root } from '../files/root.ts';

const STATES = 'run/systemd/netif/links';
/** Limit of a wait for networkd. `netplan apply` does not wait for networkd, which works for about a second. */
export const NETWORKD_MS = 3_000;
/**
 * Matches the line of a state file that says that networkd waits for a carrier. The restore script uses the pattern
 * with `grep -E`.
 */
export const NETWORKD_WAITS = '^OPER_STATE=(off|no-carrier|dormant)$';
/** Matches the line of a state file that says that networkd still works on the link. */
export const NETWORKD_WORKS = '^ADMIN_STATE=(pending|initialized|configuring)$';

/**
 * The addresses that networkd adds whenever a link gets its carrier: networkd does not notice live changes, and still
 * holds the file that it loaded at boot.
 * @param ifindex the kernel's number of the link
 * @returns none for a link that networkd does not manage
 */
export function loadedAddresses(root: Root, ifindex: number): string[] {
  const state = stateOf(root, ifindex);
  const file = /^NETWORK_FILE=\/(.+)$/m.exec(state)?.[1];
  const network = (file !== undefined && root.readForeign(file)?.content) || '';
  return [...network.matchAll(/^Address=(\S+)$/gm)].flatMap(([, address]) => address ?? []);
}

/**
 * Whether networkd has a file for a NIC of this name. If networkd has loaded the file, it configures a NIC that gets
 * such a name again, and then drops all foreign rules and blackhole routes of the machine.
 */
export function hasFileFor(root: Root, { mac, name }: NamedNic): boolean {
  return networkFile({ mac, names: [name] }, (folder) => readFolder(root, folder)) !== undefined;
}

/** Whether networkd manages a link. */
export function isManaged(root: Root, ifindex: number): boolean {
  return /^ADMIN_STATE=(configuring|configured)$/m.test(stateOf(root, ifindex));
}

/**
 * Whether networkd has configured every link that has a carrier. networkd may remove state that is added to a link
 * before that.
 * @param ifindexes numbers of the links; left out: all links
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

/** The state file of a link. */
function stateOf(root: Root, ifindex: number | string): string {
  return root.readForeign(`${STATES}/${ifindex}`)?.content ?? '';
}
