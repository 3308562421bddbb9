// Routes of other software, as text of `ip`. A node may have 100,000 of them, so they are filtered by the kernel where it
// can filter, and read as a stream where it cannot.
import { routeOf, type Family, type ForeignRoute } from '../host/foreign-state.ts';
import { run, stream } from '../command/host-command.ts';
import { networkAddress, parseCidr, width } from '../../network/address.ts';
import { unreadable, type RawLink } from './ip.ts';

/**
 * Routes that reappear by themselves and need no restoring, by protocol number (`ip -N`): 1 redirect, 9 router
 * advertisement, 16 DHCP; table 255, which the kernel keeps; of protocol 2 kernel the routes of a type that the kernel alone
 * makes (2 local to 5 multicast), prefixes of a router (`expires`), and IPv6's own unreachable default route.
 */
const REAPPEARS =
  / proto (1|9|16)\b| table 255\b|^[2-5] .* proto 2\b| proto 2\b.* (expires|metric 4294967295)\b/;
/** A route of protocol 2 kernel without a gateway: it follows from an address, or other software wrote it (a CNI). */
const CONNECTED = /^(\S+)(?!.* via ).* dev (\S+).* proto 2\b/;
const FAMILIES: readonly Family[] = [4, 6];
/** Route types by number, as in linux/rtnetlink.h: `ip -N` prints numbers, `ip route add` takes names. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['2', 'local'],
  ['3', 'broadcast'],
  ['4', 'anycast'],
  ['5', 'multicast'],
  ['6', 'blackhole'],
  ['7', 'unreachable'],
  ['8', 'prohibit'],
  ['9', 'throw'],
]);
const NEXT_HOP = /\bnexthop\b/;

/** Subnets of the addresses of each link, as `ip` writes the destinations of their routes, by the name of the link. */
export type Subnets = ReadonlyMap<string, ReadonlySet<string>>;

export function subnetsOf(links: readonly RawLink[]): Subnets {
  return new Map(
    links.map(({ ifname, addr_info = [] }) => {
      const held = addr_info.map(({ local, address, prefixlen }) => `${address ?? local}/${prefixlen}`);
      return [ifname, new Set(held.flatMap((each) => destinationOf(each) ?? []))];
    }),
  );
}

function destinationOf(address: string): string | undefined {
  const cidr = parseCidr(address);
  if (cidr === undefined) return undefined;
  return cidr.prefix === width(cidr) ? cidr.text : `${networkAddress(cidr)}/${cidr.prefix}`;
}

/** Leaves out routes that the kernel makes of addresses: they come back with the address. */
export function withoutConnected(routes: readonly ForeignRoute[], subnets: Subnets): ForeignRoute[] {
  return routes.filter(({ text }) => {
    const [, to = '', link = ''] = CONNECTED.exec(text) ?? [];
    return subnets.get(link)?.has(to) !== true;
  });
}

/** @param isWanted false for a line of `ip` that is not even parsed */
export async function readAllRoutes(
  isWanted: (line: string) => boolean = () => true,
): Promise<ForeignRoute[]> {
  const byFamily = FAMILIES.map(async (family) => {
    const routes: ForeignRoute[] = [];
    await eachLine(['ip', '-N', '-o', `-${family}`, 'route', 'show', 'table', 'all'], (line) => {
      if (isWanted(line)) routes.push(...parseRoute(family, line));
    });
    return routes;
  });
  return (await Promise.all(byFamily)).flat();
}

/** Routes that lead through one of these links, also those with several next hops. */
export async function readRoutesThrough(links: ReadonlySet<string>): Promise<ForeignRoute[]> {
  const shared = readAllRoutes((line) => NEXT_HOP.test(line) && isThrough(links, line));
  return (await Promise.all([readSingleRoutes(links), shared])).flat();
}

/** Routes that lead through one of these links, without those with several next hops. */
export async function readSingleRoutes(links: ReadonlySet<string>): Promise<ForeignRoute[]> {
  const each = [...links].flatMap((name) => FAMILIES.map((family) => readRoutesOf(name, family)));
  return (await Promise.all(each)).flat();
}

/** Routes on no NIC (an IPv6 blackhole names the link lo), through one of these links, or with several next hops. */
export function readRoutesOnNone(links: ReadonlySet<string>): Promise<ForeignRoute[]> {
  return readAllRoutes(
    (line) =>
      !line.includes(' dev ') || line.includes(' dev lo ') || NEXT_HOP.test(line) || isThrough(links, line),
  );
}

function isThrough(links: ReadonlySet<string>, line: string): boolean {
  return [...links].some((name) => `${line} `.includes(` dev ${name} `));
}

/** The kernel filters the routes, and leaves out those with several next hops. */
async function readRoutesOf(link: string, family: Family): Promise<ForeignRoute[]> {
  // `show … dev X` leaves `dev X` out of its lines, so the routes are saved and shown as they were saved.
  const script = `ip -$1 route save table all dev "$2" | ip -N -o -$1 route showdump`;
  const { code, stdout, stderr } = await run(['sh', '-c', script, 'sh', String(family), link]);
  if (code !== 0 && family !== 6) throw unreadable(['route', 'save', 'dev', link], stderr);
  return stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : parseRoute(family, line)));
}

async function eachLine(
  command: readonly [string, ...string[]],
  take: (line: string) => void,
): Promise<void> {
  let rest = '';
  const { code, stderr } = await stream(command, (piece) => {
    const lines = `${rest}${piece}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line);
    return true;
  });
  // A kernel without IPv6 refuses `-6`. Any other failure hides state that could then not be restored.
  if (code !== 0 && !command.includes('-6')) throw unreadable(command, stderr);
}

function parseRoute(family: Family, line: string): ForeignRoute[] {
  if (REAPPEARS.test(line)) return [];
  const route = line
    // `ip -o` writes a backslash for the line break before each next hop.
    .replaceAll('\\', ' ')
    // Removes the kernel's flags and a daemon's next-hop object, because `ip route add` does not take them.
    .replaceAll(
      / (linkdown|dead|(rt_)?trap|(rt_)?offload(_failed)?|nhid \d+|pref \w+|expires \w+|error -?\d+)\b/g,
      '',
    );
  return [
    routeOf(
      family,
      route.trim().replace(/^\d+(?= )/, (type) => TYPES.get(type) ?? type),
    ),
  ];
}
