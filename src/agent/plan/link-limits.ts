// Settings that the kernel would refuse for a NIC, found before anything is touched.
import { MultinicError } from '../../api/errors.ts';
import { nicOf, type LinkTarget } from '../host/links.ts';
import type { HostState } from '../host/machine.ts';

/**
 * Refuses an MTU that the driver does not take, and an IPv6 address where the kernel does no IPv6.
 * @throws MultinicError `MtuOutOfRange`, `AddressFamilyDisabled`
 */
export function refuseBeyondLimits(
  { mac, name, mtu, addresses, ipv6 }: LinkTarget,
  { links, mtuLimits = [], withoutIpv6 = [] }: HostState,
): void {
  const link = nicOf(links, mac);
  if (link === undefined) return;
  const limits = mtuLimits.find((each) => each.name === link.name);
  if (
    limits !== undefined &&
    mtu !== link.mtu &&
    (mtu < limits.min || (limits.max > 0 && mtu > limits.max))
  ) {
    const range = limits.max > 0 ? `from ${limits.min} to ${limits.max}` : `of ${limits.min} or more`;
    throw new MultinicError(
      'MtuOutOfRange',
      `${name} (${mac}) takes an MTU ${range}, and the commit gives it ${mtu}; correct the MTU of this NIC in the MultiNicBizConfig`,
      { data: { mac, mtu, min: limits.min, max: limits.max } },
    );
  }
  const address = addresses.find((each) => each.includes(':') && !link.addresses.includes(each));
  // A target without `ipv6` is one that NetworkManager configures, and NetworkManager switches IPv6 on by itself.
  if (address !== undefined && ipv6 !== undefined && withoutIpv6.includes(link.name)) {
    throw new MultinicError(
      'AddressFamilyDisabled',
      `the kernel does no IPv6 on ${link.name} (${mac}), which is to have ${address}; on the node run \`sysctl -w net.ipv6.conf.${link.name}.disable_ipv6=0\` and set net.ipv6.conf.default.disable_ipv6 to 0 in /etc/sysctl.d, then run \`multinic retry\`, or give the NIC an IPv4 address`,
      { data: { mac, link: link.name, address } },
    );
  }
}
