// What others have put on the node's NICs: a routing daemon, a CNI, a person. It goes with a link that goes down, or
// with a network manager that reads all of its files anew, and nobody else would give it back.
import { run } from './host-command.ts';
import type { OthersScope } from '../host/host.ts';
import { ip, unreadable, type RawLink } from './ip.ts';
import { until } from './wait.ts';

/**
 * It comes again by itself. By number: of redirects, routers, DHCP; what the kernel answers to itself; and what it makes of
 * an address, which leads over no gateway (a CNI's may say that it is the kernel's).
 */
const BY_ITSELF = / proto (1|9|16)\b| table 255\b|^(?!.* via ).* proto 2\b/;
/** Of a network manager. */
const STATIC = / proto 4\b/;
const FAMILIES = ['-4', '-6'];
/** Of routes, as in linux/rtnetlink.h. */
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
const KERNEL_PRIORITIES: ReadonlySet<string> = new Set(['0', '32766', '32767']);
/** An IPv6 address that has just come is no source of a route until the kernel has looked for it in its network. */
const GIVE_BACK_MS = 3_000;
const AGAIN_MS = 200;
const BATCH = 100;

/**
 * @param ours names of NICs that are to change: what others have through them goes with them, their addresses are not others'
 * @returns the arguments of `ip` that add each of them
 */
export async function readOthers(ours: ReadonlySet<string>, scope: OthersScope): Promise<string[]> {
  const through = [...(await readRoutes()), ...(await readNeighbours())];
  const isThroughOurs = (command: string): boolean => devsOf(command).some((name) => ours.has(name));
  if (scope === 'ours') return through.filter(isThroughOurs);
  if (scope === 'rules') {
    // To networkd, routes over several NICs are on none. An IPv6 blackhole says that it leads through lo.
    const isOnNone = (command: string): boolean =>
      devsOf(command).every((dev) => dev === 'lo') || /\bnexthop\b/.test(command);
    const kept = through.filter((command) => isThroughOurs(command) || isOnNone(command));
    return [...kept, ...(await readRules())];
  }
  const addresses = (await readAddresses()).filter((command) => !isThroughOurs(command));
  const routes = through.filter((command) => isThroughOurs(command) || !STATIC.test(command));
  return [...addresses, ...routes, ...(await readRules())];
}

/**
 * The same for links that have other names by now, less what was on those that are gone.
 * @param names of some, by the name of then; undefined: gone
 * @param present the names of all links
 */
export function renamed(
  commands: readonly string[],
  names: ReadonlyMap<string, string | undefined>,
  present: ReadonlySet<string>,
): string[] {
  const nameOf = (name: string): string => (names.has(name) ? (names.get(name) ?? '') : name);
  return commands
    .filter((command) => devsOf(command).every((name) => present.has(nameOf(name))))
    .map((command) => command.replaceAll(DEV, nameOf));
}

/** What is on, or leads through, none of these links. */
export function elsewhere(
  commands: readonly string[],
  links: readonly { readonly name: string }[],
): string[] {
  return commands.filter((command) =>
    devsOf(command).every((dev) => links.every(({ name }) => name !== dev)),
  );
}

/** In an order in which each finds what it needs: gateways before what is behind them. */
export function inOrder(commands: readonly string[]): string[] {
  return commands.toSorted((a, b) => Number(a.includes(' via ')) - Number(b.includes(' via ')));
}

/**
 * Adds what is gone, and overwrites nothing: a daemon may have found another way meanwhile.
 * @param before as `readOthers` found it, with the names of now
 * @returns what could not be had again
 */
export async function giveBack(before: readonly string[]): Promise<readonly string[]> {
  let gone = before;
  let add = addAll;
  await until(
    GIVE_BACK_MS,
    async () => {
      const now = new Set(await readAll());
      gone = before.filter((command) => !now.has(command));
      await add(inOrder(gone));
      // A line that `ip` does not understand ends it, and what comes after.
      add = addEach;
      return gone.length === 0;
    },
    AGAIN_MS,
  );
  return gone;
}

async function readAll(): Promise<string[]> {
  return [
    ...(await readAddresses()),
    ...(await readRoutes()),
    ...(await readNeighbours()),
    ...(await readRules()),
  ];
}

/** One process for many of a family: in a big cluster they are thousands. */
async function addAll(commands: readonly string[]): Promise<void> {
  for (const family of ['', ...FAMILIES]) {
    const lines = commands.flatMap((command) => {
      const [, flag = '', rest = ''] = /^(-[46])? ?(.*)$/.exec(command) ?? [];
      return flag === family ? [`${rest}\n`] : [];
    });
    const flags = family === '' ? [] : [family];
    for (let at = 0; at < lines.length; at += BATCH) {
      const input = lines.slice(at, at + BATCH).join('');
      await run(['ip', ...flags, '-force', '-batch', '-'], undefined, input);
    }
  }
}

async function addEach(commands: readonly string[]): Promise<void> {
  const deadline = performance.now() + GIVE_BACK_MS;
  for (const command of commands) {
    if (performance.now() > deadline) return;
    await run(['ip', ...command.split(/\s+/)]);
  }
}

/** Of a command, the names of links in it. */
const DEV = /(?<= dev )\S+/g;
const devsOf = (command: string): string[] => command.match(DEV) ?? [];

/** @param name of the one link that is asked for */
export async function readAddresses(name?: string): Promise<string[]> {
  const which = name === undefined ? [] : ['dev', name];
  const links = await ip<RawLink>('addr', 'show', ...which, 'scope', 'global', 'permanent');
  return links.flatMap(({ ifname, addr_info = [] }) =>
    addr_info.flatMap((each) => {
      const { local, prefixlen, address, broadcast, label, metric, noprefixroute, deprecated, nodad } = each;
      if (local === undefined) return [];
      const parts = [
        address === undefined ? `${local}/${prefixlen}` : `${local} peer ${address}/${prefixlen}`,
        broadcast && `brd ${broadcast}`,
        metric && `metric ${metric}`,
        label !== undefined && label !== ifname && `label ${label}`,
        noprefixroute === true && 'noprefixroute',
        nodad === true && 'nodad',
        deprecated === true && 'preferred_lft 0',
      ];
      return [`addr add ${parts.filter(Boolean).join(' ')} dev ${ifname}`];
    }),
  );
}

async function readRoutes(): Promise<string[]> {
  const byFamily = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines('-o', family, 'route', 'show', 'table', 'all')).flatMap((line) => routeOf(family, line)),
    ),
  );
  return byFamily.flat();
}

function routeOf(family: string, line: string): string[] {
  if (BY_ITSELF.test(line)) return [];
  const route = line
    // A backslash stands for the line break before each next hop.
    .replaceAll('\\', ' ')
    // What the kernel says of a route, and the object of a daemon that its next hops are from.
    .replaceAll(
      / (linkdown|dead|(rt_)?trap|(rt_)?offload(_failed)?|nhid \d+|pref \w+|expires \w+|error -?\d+)\b/g,
      '',
    );
  // A type is no number when it is added.
  return [`${family} route add ${route.trim().replace(/^\d+(?= )/, (type) => TYPES.get(type) ?? type)}`];
}

async function readNeighbours(): Promise<string[]> {
  return (await lines('neigh', 'show', 'nud', 'permanent')).map(
    (line) => `neigh add ${line.replace(/ PERMANENT.*$/, ' nud permanent').trim()}`,
  );
}

async function readRules(): Promise<string[]> {
  const byFamily = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines(family, 'rule', 'show')).flatMap((line) => ruleOf(family, line)),
    ),
  );
  return byFamily.flat();
}

/** `1000:	from 10.52.0.0/16 lookup 100` */
function ruleOf(family: string, line: string): string[] {
  const [, priority, rule] = /^(\d+):\s+(.*)$/.exec(line) ?? [];
  if (priority === undefined || rule === undefined || KERNEL_PRIORITIES.has(priority)) return [];
  // A VRF's is the kernel's own.
  if (STATIC.test(rule) || rule.includes('[l3mdev-table]')) return [];
  const readable = rule.replace('[detached] ', '').replace(/ipproto-(?=\d)/, '');
  return [`${family} rule add ${readable.trim()} priority ${priority}`];
}

/** By number, because a host's `ip` may know other names than the image's. */
async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run(['ip', '-N', ...args]);
  // A kernel without IPv6 has none of it; anything else that is not known could not be given back.
  if (code !== 0 && !args.includes('-6')) throw unreadable(args, stderr);
  return stdout.split('\n').filter((line) => line.trim() !== '');
}
