// Other machines on the networks of the NICs, asked by the kernel's own ARP and NDP and by TCP.
import { networkAddress, parseCidr } from '../../network/address.ts';
import type { NeighbourPort } from '../host/host.ts';
import { heldAddresses, ipOf, nicOf } from '../host/links.ts';
import type { ClaimedAddress, Conflict, Link } from '../host/machine.ts';
import { answers, type Probe } from '../host/probe.ts';
import { run, until } from '../command/host-command.ts';
import { hasCarrier, ip, readLinks, unreadable, type RawLink } from './ip.ts';
import { CARRIER_MS } from './live-links.ts';
import type { Mac } from '../../network/mac.ts';

const PROBE_MS = 5_000;

export class LiveNeighbours implements NeighbourPort {
  async conflicts(claims: readonly ClaimedAddress[]): Promise<Conflict[]> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const here = new Set(links.flatMap(heldAddresses).map(ipOf));
    const open = claims.filter(({ address }) => !address.includes(':') && !here.has(ipOf(address)));
    const byMac = Map.groupBy(open, ({ mac }) => mac);
    const asked = await Promise.all([...byMac].map(([mac, own]) => conflictsOn(nicOf(links, mac), own)));
    return asked.flat();
  }

  async announce(claims: readonly ClaimedAddress[]): Promise<void> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    await Promise.all(
      claims.map(async ({ mac, address }) => {
        const name = nicOf(links, mac)?.name;
        const target = firstOther(address);
        if (name === undefined || target === undefined) return;
        // A failed announcement is no error: other machines then forget the old MAC after their own timeouts.
        await neighbour(target, name).catch(() => undefined);
      }),
    );
  }

  async answers({ mac, from, host, port }: Probe): Promise<boolean> {
    const name = nicOf(readLinks(await ip<RawLink>('-d', 'addr', 'show')), mac)?.name;
    if (name === undefined) return false;
    return until(PROBE_MS, async () =>
      port === undefined
        ? (await neighbour(host, name)) !== undefined
        : answers({ host, port }, PROBE_MS / 2, from),
    );
  }
}

/**
 * The first other address of an IPv4 subnet, often the gateway's. The kernel's question for it goes to the whole
 * network with our address and MAC as the sender, and every machine that has an entry for our address corrects the
 * entry.
 */
export function firstOther(address: string): string | undefined {
  const cidr = parseCidr(address);
  if (cidr === undefined || cidr.family !== 4 || cidr.prefix > 30) return undefined;
  const [a, b, c, last = 0] = networkAddress(cidr).split('.').map(Number);
  const first = `${a}.${b}.${c}.${last + 1}`;
  return first === cidr.text ? `${a}.${b}.${c}.${last + 2}` : first;
}

/** Brings one NIC up and asks its network for each address. */
async function conflictsOn(nic: Link | undefined, claims: readonly ClaimedAddress[]): Promise<Conflict[]> {
  if (nic === undefined) return [];
  const { mac, name } = nic;
  await run(['ip', 'link', 'set', name, 'up']);
  if (!(await until(CARRIER_MS, () => hasCarrier(name)))) return [];
  return withAddress(mac, name, async () => {
    const conflicts: Conflict[] = [];
    // One question after the other, because each changes the settings by which the NIC asks.
    for (const claim of claims) {
      const holder = await neighbour(ipOf(claim.address), name);
      if (holder !== undefined) conflicts.push({ ...claim, holder });
    }
    return conflicts;
  });
}

interface RawNeighbour {
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

/**
 * Asks the network for an address by the kernel's own ARP or NDP, because a pod may not send raw packets. The kernel asks
 * three times, a tenth of a second apart instead of a second.
 * @returns MAC of the machine that answers
 * @throws MultinicError `HostUnreadable`, also where `ip` is older than iproute2 5.16 and has no `use`
 */
async function neighbour(address: string, name: string): Promise<string | undefined> {
  const entry = async (): Promise<RawNeighbour | undefined> =>
    (await ip<RawNeighbour>('neigh', 'show', address, 'dev', name))[0];
  const written = await entry();
  // The entry is permanent, so the kernel does not ask.
  if (isIn(written, WRITTEN_STATES)) return written?.lladdr;
  const table = address.includes(':') ? 'ndisc_cache' : 'arp_cache';
  const [{ retrans } = {}] = await ip<{ retrans?: number }>('ntable', 'show', 'dev', name, 'name', table);
  const askEvery = (ms: number): Promise<unknown> =>
    run(['ip', 'ntable', 'change', 'name', table, 'dev', name, 'retrans', String(ms)]);
  await askEvery(ARP_RETRANS_MS);
  try {
    // Removes an entry from before the question, because it is no answer.
    await run(['ip', 'neigh', 'del', address, 'dev', name]);
    const question = ['neigh', 'replace', address, 'dev', name, 'nud', 'none', 'use'];
    const { code, stderr } = await run(['ip', ...question]);
    if (code !== 0) throw unreadable(question, stderr);
    let holder: string | undefined;
    await until(ARP_MS, async () => {
      const now = await entry();
      holder = isIn(now, KNOWN_STATES) ? now?.lladdr : undefined;
      return holder !== undefined || now?.state?.includes('FAILED') === true;
    });
    return holder;
  } finally {
    await run(['ip', 'neigh', 'del', address, 'dev', name]);
    // A value of ARP_RETRANS_MS comes from a killed agent, so the kernel's default replaces it.
    await askEvery(retrans === undefined || retrans === ARP_RETRANS_MS ? KERNEL_RETRANS_MS : retrans);
  }
}

function isIn(entry: RawNeighbour | undefined, states: ReadonlySet<string>): boolean {
  return entry?.state?.some((state) => states.has(state)) === true;
}

/**
 * Gives a NIC without an IPv4 address a link-local one (RFC 3927) while it asks; the address expires if this process
 * dies. Without it the question would carry the node's own address, and other machines would learn the wrong MAC for it.
 */
async function withAddress<T>(mac: Mac, name: string, ask: () => Promise<T>): Promise<T> {
  const [link] = await ip<RawLink>('addr', 'show', 'dev', name);
  if (link?.addr_info?.some(({ family }) => family === 'inet') === true) return ask();
  const [high = 0, low = 0] = mac
    .split(':')
    .slice(-2)
    .map((byte) => Number.parseInt(byte, 16));
  // Avoids 169.254.169.254 (metadata service) and 169.254.20 and 25 (DNS of CNIs).
  const own = [`169.254.${100 + (high % 60)}.${low}/32`, 'dev', name];
  await run(['ip', 'addr', 'add', ...own, 'scope', 'link', 'valid_lft', '10', 'preferred_lft', '10']);
  try {
    return await ask();
  } finally {
    await run(['ip', 'addr', 'del', ...own]);
  }
}

const ARP_RETRANS_MS = 100;
const KERNEL_RETRANS_MS = 1_000;
const ARP_MS = 1_000;
const KNOWN_STATES: ReadonlySet<string> = new Set(['REACHABLE', 'STALE', 'DELAY', 'PROBE']);
const WRITTEN_STATES: ReadonlySet<string> = new Set(['PERMANENT', 'NOARP']);
