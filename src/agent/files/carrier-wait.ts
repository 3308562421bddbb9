// At boot NetworkManager, and everything that waits for the network, waits six seconds for the carrier of each NIC with
// a profile. `carrier-wait-timeout` ends this wait, as `optional` does in networkd's files.
import { addressesOf, type Network } from '../../network/interface.ts';

export const CARRIER_WAIT_PATH = 'etc/NetworkManager/conf.d/90-multinic-carrier.conf';

/**
 * The settings file for NICs that need no carrier; `ignore-carrier` is needed beside `carrier-wait-timeout`, or
 * NetworkManager would drop a running NIC when its carrier flaps. A NIC with an IPv6 address keeps the defaults,
 * because duplicate address detection needs a carrier.
 * @returns the content of the file; undefined: no NIC needs the file
 */
export function carrierWait(network: Network): string | undefined {
  const names = network.flatMap((nic) =>
    addressesOf(nic).some((address) => address.includes(':')) ? [] : [nic.name],
  );
  if (names.length === 0) return undefined;
  return `# Written by multinic-agent: these NICs are configured with or without a carrier, and no boot waits for one.
[device-multinic]
match-device=${names.map((name) => `interface-name:${name}`).join(',')}
ignore-carrier=yes
carrier-wait-timeout=0
`;
}
