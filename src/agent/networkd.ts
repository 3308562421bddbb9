// What systemd-networkd has loaded for a link. It says so in files that all its versions write, so nobody need be asked.
import type { Root } from './root.ts';

/**
 * The addresses that networkd gives a link whenever it gets its carrier. A live change passes networkd by: they stay
 * those of the boot.
 * @param ifindex the kernel's number of the link
 * @returns none of a link that networkd leaves alone
 */
export function loadedAddresses(root: Root, ifindex: number): string[] {
  const state = root.readForeign(`run/systemd/netif/links/${ifindex}`)?.content ?? '';
  const file = /^NETWORK_FILE=\/(.+)$/m.exec(state)?.[1];
  const network = (file !== undefined && root.readForeign(file)?.content) || '';
  return [...network.matchAll(/^Address=(\S+)$/gm)].flatMap(([, address]) => address ?? []);
}
