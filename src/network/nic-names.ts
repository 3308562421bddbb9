// Stable names: a NIC's name follows its MAC, so removing multinic1 never renames multinic2.

import { byIndex, nameOfIndex, type Interface, type Network, type WantedInterface } from './interface.ts';
import type { Mac } from './mac.ts';

/**
 * Gives names to the interfaces that a CR wants on a node. A name comes from the CR, else from the tip, else from the
 * base (a NIC that a revert took away gets its old name back), else it is the lowest free one.
 * @param tip the branch's network now; its netplan IDs stay with their MACs
 * @param base the network that the controller committed last for a spec
 * @param auto whether a NIC has source routing if its CR says nothing
 */
export function assignNames(
  wanted: readonly WantedInterface[],
  tip: Network,
  base: Network,
  auto: (nic: WantedInterface) => boolean = () => false,
): Network {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  const give = (mac: Mac, name: string | undefined): void => {
    if (name === undefined || names.has(mac) || taken.has(name)) return;
    names.set(mac, name);
    taken.add(name);
  };
  // Each source of names is asked for all NICs before the next source, so that a weaker source of one NIC never takes
  // the name that a stronger source gives to a later NIC.
  for (const nic of wanted) give(nic.mac, nic.name);
  for (const known of [tip, base]) {
    const nameByMac = new Map(known.map((nic) => [nic.mac, nic.name]));
    for (const nic of wanted) give(nic.mac, nameByMac.get(nic.mac));
  }
  const lowestFree = (): string => {
    let index = 0;
    while (taken.has(nameOfIndex(index))) index += 1;
    const name = nameOfIndex(index);
    taken.add(name);
    return name;
  };

  const tipByMac = new Map(tip.map((nic) => [nic.mac, nic]));
  return wanted
    .map((nic): Interface => {
      const { sourceRouting: stated, ...rest } = nic;
      const name = names.get(nic.mac) ?? lowestFree();
      const netplanId = tipByMac.get(nic.mac)?.netplanId;
      return {
        ...rest,
        name,
        ...(stated !== undefined && { statedSourceRouting: stated }),
        ...((stated ?? auto(nic)) && { sourceRouting: true as const }),
        ...(netplanId !== undefined && { netplanId }),
      };
    })
    .sort(byIndex);
}
