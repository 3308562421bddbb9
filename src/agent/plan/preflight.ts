import { MultinicError } from '../../api/errors.ts';
import { nameIn } from '../files/managed-files.ts';
import type { HostState, Link } from '../host/machine.ts';
import { heldAddresses, ipOf, linkSteps, nicOf, type LinkTarget } from '../host/links.ts';
import { DEFAULT_DESTINATIONS } from '../host/gateways.ts';
import { refuseBeyondLimits } from './link-limits.ts';
import { refuseOverlaps } from './overlap.ts';
import type { Plan } from './plan.ts';
import { useByOthers } from './used-nics.ts';

/**
 * Refuses a change that would take a network away from the node or from other software, before anything is touched.
 * @param linkTo the links that lead to addresses which must not be cut off, by address
 * @param ours MACs of NICs that the agent has configured: routes may use them because of the agent, and are checked after
 *   the change
 * @throws MultinicError `NicInUse`, `NameTaken`, `AddressInUse`, `MtuOutOfRange`, `AddressFamilyDisabled`, `SubnetOverlaps`
 */
export function preflight(
  plan: Plan,
  host: HostState,
  linkTo: ReadonlyMap<string, string>,
  ours: ReadonlySet<string>,
): void {
  const left = new Set(plan.left.map(({ mac }) => mac));
  const touched = touchedLinks(plan, host);
  for (const link of touched.filter(({ mac }) => !left.has(mac))) {
    const use = useOf(link, host, ours.has(link.mac) ? new Map() : linkTo);
    if (use !== undefined) {
      const isWanted = plan.present.some(({ mac }) => mac === link.mac);
      const remedy = isWanted
        ? 'take this MAC out of the MultiNicBizConfig, or free the NIC first'
        : 'free the NIC first, or put this MAC back into the MultiNicBizConfig';
      throw new MultinicError('NicInUse', `${link.name} (${link.mac}) ${use}; ${remedy}`, {
        data: { mac: link.mac, link: link.name },
      });
    }
  }
  for (const target of plan.targets) {
    refuseTakenName(target, plan.targets, host);
    refuseTakenAddress(target, plan.targets, host);
    refuseBeyondLimits(target, host);
  }
  refuseOverlaps(plan, host, new Set(touched.map(({ mac }) => mac)), linkTo);
}

/** Links that the plan changes now, or whose files it changes for the next boot. */
function touchedLinks(plan: Plan, host: HostState): Link[] {
  const running = linkSteps(host.links, plan.targets).map(({ mac }) => mac);
  const names = new Set(plan.files.map((step) => nameIn(step.path)));
  const configured = plan.present.filter((nic) => names.has(nic.name)).map((nic) => nic.mac);
  // A NIC that leaves the commit still has the name of its files.
  return host.links.filter(
    ({ mac, name }) => running.includes(mac) || configured.includes(mac) || names.has(name),
  );
}

/** The node's use of a NIC, as the end of a sentence; undefined: no use is known. */
export function useOf(link: Link, host: HostState, linkTo: ReadonlyMap<string, string>): string | undefined {
  const byOthers = useByOthers(link, host);
  if (byOthers !== undefined) return byOthers;
  if (defaultLinks(host).some(({ name }) => name === link.name)) return 'carries the node’s default route';
  const own = heldAddresses(link).find((address) => host.nodeAddresses.includes(ipOf(address)));
  if (own !== undefined) return `carries the node’s own address ${own}`;
  // The route to an address of the machine itself is loopback, so such an address counts for the NIC that has it.
  const peer = [...linkTo].find(
    ([address, name]) => name === link.name || heldAddresses(link).map(ipOf).includes(address),
  )?.[0];
  return peer === undefined ? undefined : `is the way to ${peer}, where an API server or the store is`;
}

/**
 * The node's primary NICs, in the order of their routes: IPv4 and IPv6 may use different NICs, and a second route takes
 * over when the first fails.
 */
export function defaultLinks({ links, routes }: Pick<HostState, 'links' | 'routes'>): Link[] {
  const names = new Set(routes.filter(({ to }) => DEFAULT_DESTINATIONS.has(to)).map(({ dev }) => dev));
  return [...names].flatMap((name) => links.filter((link) => link.name === name));
}

function refuseTakenName(
  target: LinkTarget,
  targets: readonly LinkTarget[],
  { links, altnames = [] }: HostState,
): void {
  const other = altnames.find(({ altname }) => altname === target.name)?.name;
  const holder = links.find(({ name, mac }) => [target.name, other].includes(name) && mac !== target.mac);
  // systemd 245 to 253: after a rename udev keeps the old name as an alternative name, so one of our NICs may hold it.
  const moves = targets.some(({ mac, name }) => mac === holder?.mac && name !== target.name);
  if (holder === undefined || moves) return;
  throw new MultinicError(
    'NameTaken',
    `${target.name} is the name of ${holder.mac}, which is not to be configured; rename that link, or give ${target.mac} another name in the MultiNicBizConfig`,
    { data: { name: target.name, mac: holder.mac } },
  );
}

function refuseTakenAddress(
  target: LinkTarget,
  targets: readonly LinkTarget[],
  { links, otherAddresses = [] }: HostState,
): void {
  const now = nicOf(links, target.mac)?.addresses ?? [];
  const held = [
    ...links
      .filter(({ mac }) => mac !== target.mac)
      .flatMap(({ mac, name, addresses, leases = [] }) => {
        const kept = targets.find((each) => each.mac === mac)?.addresses ?? addresses;
        return [...kept, ...leases].map((address) => ({ address, name: `${name} (${mac})` }));
      }),
    ...otherAddresses,
  ];
  for (const address of target.addresses.filter((each) => !now.includes(each))) {
    const ip = ipOf(address);
    const holder = held.find((each) => ipOf(each.address) === ip);
    if (holder !== undefined) {
      throw new MultinicError(
        'AddressInUse',
        `${ip} is already an address of ${holder.name}; remove it there, or correct the MultiNicBizConfig`,
        { data: { address: ip, holder: holder.name } },
      );
    }
  }
}
