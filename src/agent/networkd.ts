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

/** Whether it is through with every link that has a carrier: one that it is still at may lose what is put there. */
export function isSettled(root: Root): boolean {
  const folder = 'run/systemd/netif/links';
  return root.list(folder).every((name) => {
    const state = root.readForeign(`${folder}/${name}`)?.content ?? '';
    const waits = /^OPER_STATE=(off|no-carrier|dormant)$/m.test(state);
    return waits || !/^ADMIN_STATE=(pending|initialized|configuring)$/m.test(state);
  });
}
