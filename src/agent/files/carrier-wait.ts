// At boot NetworkManager waits six seconds for the carrier of each NIC with a profile, and so does everything that waits
// for the network (networkd's files call a NIC optional). A setting ends this wait. With it alone NetworkManager would
// drop a running NIC at once when its carrier flaps, so a second setting has it ignore carriers, as networkd does. A NIC
// with an IPv6 address keeps the defaults, because duplicate address detection needs a carrier.
import type { Network } from '../../network/interface.ts';

export const CARRIER_WAIT_PATH = 'etc/NetworkManager/conf.d/90-multinic-carrier.conf';

/** @returns the content of the file; undefined: no NIC needs it */
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
