// Running links of the host: one change at a time, by the image's own `ip` and the host's /proc.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { entryOf, toCommands, withLinksRenamed, NO_FOREIGN_STATE } from '../host/foreign-state.ts';
import type { LinkPort } from '../host/host.ts';
import { linkLocalOf, nicOf, NO_LINK_LOCAL } from '../host/links.ts';
import type { Ipv6, Link, LinkGroup, LinkStep, Readiness } from '../host/machine.ts';
import { run, until } from '../command/host-command.ts';
import type { NetworkManager } from './network-manager.ts';
import { addressesOf, batch, ip, readinessOf, readLinks, refused, set, type RawLink } from './ip.ts';
import type { Mac } from '../../network/mac.ts';
import { addRouting, removeRouting, setSettings } from './live-routing.ts';

const RENAME_MS = 3_000;
const ALTNAME_MS = 1_000;
export const CARRIER_MS = 5_000;

type Rename = LinkStep & { op: 'rename' };

export class LiveLinks implements LinkPort {
  readonly #root: string;
  readonly #manager: NetworkManager;

  /** @param root root of the host, because /proc/sys of a pod is read-only */
  constructor(root: string, manager: NetworkManager) {
    this.#root = root;
    this.#manager = manager;
  }

  async change([step, ...more]: LinkGroup): Promise<void> {
    const found = await find(step.mac);
    if (found === undefined) throw refused(step, 'no such device');
    const { link, raw } = found;
    switch (step.op) {
      case 'rename':
        return rename(step, link, addressesOf(raw));
      case 'ipv6':
        return setIpv6(this.#root, link, step);
      case 'set':
        await set(step, 'link', 'set', link.name, 'mtu', String(step.mtu));
        return set(step, 'link', 'set', link.name, step.up ? 'up' : 'down');
      case 'add':
        return addAddresses([step, ...more.filter(isAdd)], link, raw);
      case 'drop':
        return drop(step, link);
      case 'manage':
        await this.#manager.manage(link.name, step.networkManager);
        if (!step.networkManager) await dropLeases(link.name);
        return;
      case 'sysctl':
        return setSettings(this.#root, link, step);
      case 'route':
        return addRouting(step, link);
      case 'unroute':
        return removeRouting(step, link);
    }
  }

  async readiness(macs: readonly Mac[]): Promise<Readiness[]> {
    let found: Readiness[] = [];
    await until(CARRIER_MS, async () => {
      found = await readReadiness(macs);
      return found.every(({ carrier, undecided }) => carrier && undecided.length === 0);
    });
    return found;
  }
}

type Add = LinkStep & { op: 'add' };

function isAdd(step: LinkStep): step is Add {
  return step.op === 'add';
}

/** Adds addresses of one NIC by one process. */
async function addAddresses(steps: readonly [Add, ...Add[]], { name }: Link, raw: RawLink): Promise<void> {
  const lines = steps.flatMap(({ address, metric }) => {
    const broadcast = address.includes(':') || /\/3[12]$/.test(address) ? '' : ' brd +';
    const add = `addr replace ${address} dev ${name}${broadcast}`;
    if (metric === undefined) return [add];
    // Removes an address that networkd added without a connected route, because `replace` would give the address no
    // route and so no metric.
    const without = isWithoutRoute(raw, address) ? [`addr del ${address} dev ${name}`] : [];
    return [...without, `${add} metric ${metric}`];
  });
  const { code, stderr } = await batch(lines);
  if (code !== 0) throw refused(steps[0], stderr.trim());
}

function isWithoutRoute({ addr_info = [] }: RawLink, address: string): boolean {
  return addr_info.some(
    ({ local, prefixlen, noprefixroute }) => noprefixroute === true && `${local}/${prefixlen}` === address,
  );
}

/** Finds a link by its MAC among the present links, with one process. */
async function find(mac: Mac): Promise<{ link: Link; raw: RawLink } | undefined> {
  const all = await ip<RawLink>('-d', 'addr', 'show');
  const link = nicOf(readLinks(all), mac);
  const raw = all.find(({ ifname }) => ifname === link?.name);
  return link === undefined || raw === undefined ? undefined : { link, raw };
}

async function readReadiness(macs: readonly Mac[]): Promise<Readiness[]> {
  const raw = await ip<RawLink>('-d', 'addr', 'show');
  const links = readLinks(raw);
  return macs.flatMap((mac) => {
    const name = nicOf(links, mac)?.name;
    const found = raw.find(({ ifname }) => ifname === name);
    return found === undefined ? [] : [readinessOf(mac, found)];
  });
}

async function drop(step: LinkStep & { op: 'drop' }, link: Link): Promise<void> {
  // The address may be gone by now: a link that goes down loses its IPv6 addresses, and the kernel may remove the other
  // addresses of a subnet with the first.
  if (!link.addresses.includes(step.address)) return;
  try {
    await set(step, 'addr', 'del', step.address, 'dev', link.name);
  } catch (error) {
    // networkd removes its own addresses when a link goes down, and may have removed this one first.
    const now = await find(step.mac);
    if (now?.link.addresses.includes(step.address) === true) throw error;
  }
}

/** Removes leases of a DHCP server or a router, because NetworkManager leaves them on a link that it releases. */
async function dropLeases(name: string): Promise<void> {
  for (const args of [
    ['addr', 'flush', 'dev', name, 'dynamic'],
    ['-4', 'route', 'flush', 'dev', name, 'proto', 'dhcp'],
    ['-6', 'route', 'flush', 'dev', name, 'proto', 'dhcp'],
    ['-6', 'route', 'flush', 'dev', name, 'proto', 'ra'],
  ])
    await run(['ip', ...args]);
}

/** Renames a link. Takes the link down first, because kernels up to 6.1 refuse to rename a link that is up. */
async function rename(step: Rename, link: Link, addresses: readonly string[]): Promise<void> {
  await set(step, 'link', 'set', link.name, 'down');
  await giveName(step, link.name);
  // /sys and programs that watch links show the new name later than the kernel has it, and the next command needs the
  // name.
  const deadline = performance.now() + RENAME_MS;
  while (!existsSync(`/sys/class/net/${step.to}`) && performance.now() < deadline) await pause(10);
  if (link.up) await set(step, 'link', 'set', step.to, 'up');
  // The kernel removes the IPv6 addresses of a link that goes down, and networkd may remove the IPv4 addresses.
  const then = { ...NO_FOREIGN_STATE, addresses: addresses.map(entryOf) };
  const now = withLinksRenamed(then, new Map([[link.name, step.to]]), new Set([step.to]));
  for (const command of toCommands(now)) await run(['ip', ...command.split(' ')]);
}

/** udev (systemd 245 to 253) keeps the old name of a renamed NIC as an alternative name, which blocks that name. */
async function giveName({ to, ...step }: Rename, from: string): Promise<void> {
  let last = await run(['ip', 'link', 'set', from, 'name', to]);
  if (last.code === 0) return;
  await until(ALTNAME_MS, async () => {
    await run(['ip', 'link', 'property', 'del', 'dev', from, 'altname', to]);
    last = await run(['ip', 'link', 'set', from, 'name', to]);
    return last.code === 0 || existsSync(`/sys/class/net/${to}`);
  });
  if (last.code !== 0) throw refused({ to, ...step }, last.stderr.trim());
}

function ipv6File(root: string, name: string, key: string): string {
  return join(root, 'proc/sys/net/ipv6/conf', name, key);
}

/** @returns undefined: the kernel does no IPv6 on the link (disabled, or an MTU below 1280), or has no such settings */
export function readIpv6(root: string, name: string): Ipv6 | undefined {
  const read = (key: string): number => Number(readFileSync(ipv6File(root, name, key), 'utf8'));
  try {
    if (read('disable_ipv6') === 1) return undefined;
    return { acceptRa: read('accept_ra'), addrGenMode: read('addr_gen_mode') };
  } catch {
    return undefined;
  }
}

/**
 * Whether the kernel refuses IPv6 addresses on a link. A link with an MTU below 1280 has no settings of its own, so the
 * setting for new links counts.
 */
export function isWithoutIpv6(root: string, name: string): boolean {
  const own = ipv6File(root, name, 'disable_ipv6');
  const file = existsSync(own) ? own : ipv6File(root, 'default', 'disable_ipv6');
  return !existsSync(file) || readFileSync(file, 'utf8').trim() === '1';
}

async function setIpv6(
  root: string,
  { name, mac, up }: Link,
  step: LinkStep & { op: 'ipv6' },
): Promise<void> {
  const { acceptRa, addrGenMode } = step;
  const now = readIpv6(root, name);
  try {
    writeFileSync(ipv6File(root, name, 'accept_ra'), `${acceptRa}\n`);
    if (addrGenMode === now?.addrGenMode) return;
    writeFileSync(ipv6File(root, name, 'addr_gen_mode'), `${addrGenMode}\n`);
  } catch (error) {
    throw refused(step, (error as Error).message);
  }
  // The kernel makes a link-local address when it is told to, also on a link that is down, and never removes it. The
  // link may have none, or one made in another way, so a failure is no error.
  if (addrGenMode === NO_LINK_LOCAL || !up)
    await run(['ip', 'addr', 'del', `${linkLocalOf(mac)}/64`, 'dev', name]);
}
