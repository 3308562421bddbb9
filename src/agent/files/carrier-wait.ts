// At boot NetworkManager waits six seconds for the carrier of each NIC that has a profile, and so does all that waits for
// the network, where networkd's files call a NIC optional. Told not to wait, it also takes a running NIC for lost at once
// when a carrier flaps, with all that others have on it; so it is told to let carriers be as well, as networkd does. An
// IPv6 address is looked for in its network first, which takes a carrier: such NICs are left to its defaults.
import type { Network } from '../../network/interface.ts';

export const CARRIER_WAIT_PATH = 'etc/NetworkManager/conf.d/90-multinic-carrier.conf';

/** @returns the file's content; undefined: no NIC is in need of it */
export function carrierWait(network: Network): string | undefined {
  const names = network.flatMap(({ name, address }) => (address.includes(':') ? [] : [name]));
  if (names.length === 0) return undefined;
  return `# Written by multinic-agent: these NICs are configured with or without a carrier, and no boot waits for one.
[device-multinic]
match-device=${names.map((name) => `interface-name:${name}`).join(',')}
ignore-carrier=yes
carrier-wait-timeout=0
`;
}
