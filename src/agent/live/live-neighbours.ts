// Other machines on the networks of the NICs, asked by the kernel's own ARP and NDP and by TCP.
import { networkAddress, parseAddress, parseCidr } from '../../network/address.ts';
import type { NeighbourPort } from '../host/host.ts';
import { heldAddresses, ipOf, nicOf } from '../host/links.ts';
import type { ClaimedAddress, Conflict } from '../host/machine.ts';
import { answers, type Probe } from '../host/probe.ts';
import { until } from '../command/host-command.ts';
import { batch, ip, readLinks, unreadable, type RawLink } from './ip.ts';
import { CARRIER_MS } from './live-links.ts';

const PROBE_MS = 5_000;

export class LiveNeighbours implements NeighbourPort {
  async conflicts(claims: readonly ClaimedAddress[]): Promise<Conflict[]> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const here = new Set(links.flatMap(heldAddresses).map(ipOf));
    const open = claims.flatMap((claim) => {
      const name = nicOf(links, claim.mac)?.name;
      const isAsked = name !== undefined && !claim.address.includes(':') && !here.has(ipOf(claim.address));
      return isAsked ? [{ claim, name, address: ipOf(claim.address) }] : [];
    });
    const ready = await withCarrier([...new Set(open.map(({ name }) => name))]);
    const asked = open.filter(({ name }) => ready.has(name));
    const holders = await ask(asked);
    return asked.flatMap(({ claim }, index) => {
      const holder = holders[index];
      return holder === undefined ? [] : [{ ...claim, holder }];
    });
  }

  async announce(claims: readonly ClaimedAddress[]): Promise<void> {
    const links = readLinks(await ip<RawLink>('-d', 'addr', 'show'));
    const questions = new Map<string, Question>();
    for (const { mac, address } of claims) {
      const name = nicOf(links, mac)?.name;
      const target = firstOther(address);
      if (name !== undefined && target !== undefined)
        questions.set(`${target} ${name}`, { address: target, name });
    }
    // A failed announcement is no error: other machines then forget the old MAC after their own timeouts.
    await ask([...questions.values()]).catch(() => undefined);
  }

  async answers({ mac, from, host, port }: Probe): Promise<boolean> {
    const name = nicOf(readLinks(await ip<RawLink>('-d', 'addr', 'show')), mac)?.name;
    if (name === undefined) return false;
    return until(PROBE_MS, async () =>
      port === undefined
        ? (await ask([{ address: host, name }]))[0] !== undefined
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

/** Brings NICs up. @returns names of the NICs that have a carrier */
async function withCarrier(names: readonly string[]): Promise<ReadonlySet<string>> {
  if (names.length === 0) return new Set();
  await batch(
    names.map((name) => `link set ${name} up`),
    '-force',
  );
  let ready: ReadonlySet<string> = new Set();
  await until(CARRIER_MS, async () => {
    const links = await ip<RawLink>('link', 'show');
    const up = links.filter(({ ifname, flags }) => names.includes(ifname) && flags?.includes('LOWER_UP'));
    ready = new Set(up.map(({ ifname }) => ifname));
    return ready.size === names.length;
  });
  return ready;
}

/** An address that the network of a NIC is asked for. */
interface Question {
  readonly address: string;
  readonly name: string;
}

interface RawNeighbour {
  readonly dst?: string;
  readonly dev?: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

/**
 * Asks networks for addresses by the kernel's own ARP or NDP, because a pod may not send raw packets. The kernel asks
 * three times, a tenth of a second apart instead of a second.
 * @returns for each question the MAC of the machine that answers
 * @throws MultinicError `HostUnreadable`, also where `ip` is older than iproute2 5.16 and has no `use`
 */
async function ask(questions: readonly Question[]): Promise<(string | undefined)[]> {
  const holders: (string | undefined)[] = [];
  for (let first = 0; first < questions.length; first += ASKED_AT_ONCE) {
    const some = questions.slice(first, first + ASKED_AT_ONCE);
    holders.push(...(await withAddresses(some, () => askAtOnce(some))));
  }
  return holders;
}

async function askAtOnce(questions: readonly Question[]): Promise<(string | undefined)[]> {
  const written = await readEntries(questions);
  // A written entry is permanent, so the kernel does not ask.
  const isWritten = (index: number): boolean => isIn(written[index], WRITTEN_STATES);
  const open = questions.filter((_, index) => !isWritten(index));
  const found = new Map<Question, string | undefined>();
  if (open.length > 0) {
    const restore = await askFast(open);
    try {
      // Removes entries from before the questions, because they are no answers.
      await batch(open.map(deletion), '-force');
      const lines = open.map(({ address, name }) => `neigh replace ${address} dev ${name} nud none use`);
      const { code, stderr } = await batch(lines, '-force');
      if (code !== 0) throw unreadable(['neigh', 'replace', '…', 'use'], stderr);
      await until(ARP_MS, async () => {
        const now = await readEntries(open);
        for (const [index, question] of open.entries())
          if (isIn(now[index], KNOWN_STATES)) found.set(question, now[index]?.lladdr);
        return open.every((each, index) => found.has(each) || now[index]?.state?.includes('FAILED') === true);
      });
    } finally {
      await batch([...open.map(deletion), ...restore], '-force');
    }
  }
  return questions.map((each, index) => (isWritten(index) ? written[index]?.lladdr : found.get(each)));
}

const deletion = ({ address, name }: Question): string => `neigh del ${address} dev ${name}`;

/** The kernel's entry for each question, read by one process. */
async function readEntries(questions: readonly Question[]): Promise<(RawNeighbour | undefined)[]> {
  const all = await ip<RawNeighbour>('neigh', 'show');
  const entries = new Map(all.map((entry) => [`${entry.dst} ${entry.dev}`, entry]));
  return questions.map(({ address, name }) =>
    entries.get(`${parseAddress(address)?.text ?? address} ${name}`),
  );
}

/** Makes NICs repeat their questions fast. @returns lines for \`ip -batch\` that undo this */
async function askFast(questions: readonly Question[]): Promise<string[]> {
  const tables = await ip<{ name?: string; dev?: string; retrans?: number }>('ntable', 'show');
  const asking = new Map(
    questions.map(({ address, name }) => {
      const table = address.includes(':') ? 'ndisc_cache' : 'arp_cache';
      return [`ntable change name ${table} dev ${name}`, { table, name }];
    }),
  );
  await batch(
    [...asking.keys()].map((change) => `${change} retrans ${ARP_RETRANS_MS}`),
    '-force',
  );
  return [...asking].map(([change, { table, name }]) => {
    const retrans = tables.find((each) => each.name === table && each.dev === name)?.retrans;
    // A value of ARP_RETRANS_MS comes from a killed agent, so the kernel's default replaces it.
    const before = retrans === undefined || retrans === ARP_RETRANS_MS ? KERNEL_RETRANS_MS : retrans;
    return `${change} retrans ${before}`;
  });
}

function isIn(entry: RawNeighbour | undefined, states: ReadonlySet<string>): boolean {
  return entry?.state?.some((state) => states.has(state)) === true;
}

/**
 * Gives NICs without an IPv4 address a link-local one (RFC 3927) while they ask; the address expires if this process
 * dies. Without it the question would carry the node's own address, and other machines would learn the wrong MAC for it.
 */
async function withAddresses<T>(questions: readonly Question[], work: () => Promise<T>): Promise<T> {
  const asking = new Set(questions.filter(({ address }) => !address.includes(':')).map(({ name }) => name));
  const links = asking.size === 0 ? [] : await ip<RawLink>('addr', 'show');
  const own = links
    .filter(({ ifname }) => asking.has(ifname))
    .filter(({ addr_info = [] }) => !addr_info.some(({ family }) => family === 'inet'))
    .map((link) => `${linkLocal(link)} dev ${link.ifname}`);
  if (own.length === 0) return work();
  await batch(
    own.map((each) => `addr add ${each} scope link valid_lft 10 preferred_lft 10`),
    '-force',
  );
  try {
    return await work();
  } finally {
    await batch(
      own.map((each) => `addr del ${each}`),
      '-force',
    );
  }
}

function linkLocal({ address = '' }: RawLink): string {
  const [high = 0, low = 0] = address
    .split(':')
    .slice(-2)
    .map((byte) => Number.parseInt(byte, 16));
  // Avoids 169.254.169.254 (metadata service) and 169.254.20 and 25 (DNS of CNIs).
  return `169.254.${100 + (high % 60)}.${low}/32`;
}

/** The kernel keeps some 1,000 neighbours of all NICs together. */
const ASKED_AT_ONCE = 128;
const ARP_RETRANS_MS = 100;
const KERNEL_RETRANS_MS = 1_000;
const ARP_MS = 1_000;
const KNOWN_STATES: ReadonlySet<string> = new Set(['REACHABLE', 'STALE', 'DELAY', 'PROBE']);
const WRITTEN_STATES: ReadonlySet<string> = new Set(['PERMANENT', 'NOARP']);
