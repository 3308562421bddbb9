// Foreign state of a running host, read and added by the image's own `ip`.
import {
  entryOf,
  filterState,
  fromCommands,
  inOrder,
  isEmpty,
  mayBeOfManager,
  NO_FOREIGN_STATE,
  toCommands,
  withLinksRenamed,
  type Family,
  type ForeignRule,
  type ForeignScope,
  type ForeignState,
} from '../host/foreign-state.ts';
import type { ForeignStatePort } from '../host/host.ts';
import { nicOf } from '../host/links.ts';
import type { NamedNic } from '../host/machine.ts';
import { run, until } from '../command/host-command.ts';
import { addressesOf, batch, ip, readLinks, unreadable, type RawLink } from './ip.ts';
import {
  readAllRoutes,
  readRoutesOnNone,
  readRoutesThrough,
  readSingleRoutes,
  subnetsOf,
  withoutConnected,
  type Subnets,
} from './foreign-routes.ts';
import type { Mac } from '../../network/mac.ts';

const FAMILIES: readonly Family[] = [4, 6];
const KERNEL_PRIORITIES: ReadonlySet<string> = new Set(['0', '32766', '32767']);
/**
 * Limit of a restore. The kernel takes no new IPv6 address as the source of a route before duplicate address detection
 * ends.
 */
export const RESTORE_MS = 3_000;
const AGAIN_MS = 200;
/** Limit on the links whose routes are read link by link. */
const FEW_LINKS = 8;
const BATCH = 100;

export class LiveForeignState implements ForeignStatePort {
  async read(macs: readonly Mac[], scope: ForeignScope): Promise<ForeignState> {
    const raw = await ip<RawLink>('-d', 'addr', 'show');
    const links = readLinks(raw);
    const ours = new Set(macs.flatMap((mac) => nicOf(links, mac)?.name ?? []));
    const isOfOurs = scope === 'single' || scope === 'ours';
    return ours.size === 0 && isOfOurs ? NO_FOREIGN_STATE : readScope(ours, scope, subnetsOf(raw));
  }

  async restore(state: ForeignState, then: readonly NamedNic[], isReloaded = false): Promise<ForeignState> {
    if (isEmpty(state)) return state;
    const raw = await ip<RawLink>('-d', 'addr', 'show');
    const links = readLinks(raw);
    const names = new Map(then.map(({ mac, name }) => [name, nicOf(links, mac)?.name]));
    const present = new Set(raw.map(({ ifname }) => ifname));
    const own = new Set([...names.values()].flatMap((name) => name ?? []));
    return restoreAll(
      withLinksRenamed(state, names, present),
      (entry) => !isReloaded || !mayBeOfManager(entry, own),
    );
  }
}

const readersOfRoutes = {
  single: readSingleRoutes,
  ours: readRoutesThrough,
  rules: readRoutesOnNone,
  all: () => readAllRoutes(),
} satisfies Record<ForeignScope, unknown>;

/** @param ours names of the NICs that are to change: their addresses are not foreign */
async function readScope(
  ours: ReadonlySet<string>,
  scope: ForeignScope,
  subnets: Subnets,
): Promise<ForeignState> {
  const routes = withoutConnected(await readersOfRoutes[scope](ours), subnets);
  const through = { ...NO_FOREIGN_STATE, routes, neighbours: await readNeighbours() };
  const isOnOurs = ({ links }: { links: readonly string[] }): boolean => links.some((name) => ours.has(name));
  if (scope === 'single' || scope === 'ours') return filterState(through, isOnOurs);
  const rules = await readRules();
  if (scope === 'all') {
    const addresses = (await readAddresses()).filter((address) => !isOnOurs(address));
    return { ...through, addresses, rules };
  }
  // networkd counts a route over several NICs as a route on none.
  return {
    ...filterState(through, (entry) => isOnOurs(entry) || isOnNone(entry)),
    routes: through.routes.filter((route) => isOnOurs(route) || isOnNone(route) || route.hasNextHops),
    rules,
  };
}

/** Whether an entry is on no NIC. An IPv6 blackhole route names the link lo. */
function isOnNone({ links }: { readonly links: readonly string[] }): boolean {
  return links.every((name) => name === 'lo');
}

/**
 * Tries for a few seconds to add the missing entries. Overwrites no entry, because a daemon may have chosen another
 * route meanwhile.
 * @param wanted state with the present names of links
 * @param mayAdd whether a missing entry may be added
 * @returns the part that could not be restored
 */
async function restoreAll(
  wanted: ForeignState,
  mayAdd: Parameters<typeof filterState>[1],
): Promise<ForeignState> {
  const commands = toCommands(wanted);
  let missing = commands;
  let add = addInBatches;
  await until(
    RESTORE_MS,
    async () => {
      const now = new Set(toCommands(await readLike(wanted)));
      missing = commands.filter((command) => !now.has(command));
      await add(inOrder(filterState(fromCommands(missing), mayAdd)));
      // A line that `ip` cannot parse ends its batch, so the next attempts add one by one.
      add = addEach;
      return missing.length === 0;
    },
    AGAIN_MS,
  );
  return fromCommands(missing);
}

/** Reads the present state, of its routes only those that may be equal to a route of `wanted`. */
async function readLike({ routes }: ForeignState): Promise<ForeignState> {
  const links = new Set(routes.flatMap((route) => route.links));
  const areSingle = routes.every(
    (route) => route.links.length === 1 && !route.hasNextHops && !isOnNone(route),
  );
  return {
    addresses: await readAddresses(),
    routes: await (areSingle && links.size <= FEW_LINKS ? readSingleRoutes(links) : readAllRoutes()),
    neighbours: await readNeighbours(),
    rules: await readRules(),
  };
}

/** Uses one process for many entries of a family: a big cluster has thousands. */
async function addInBatches(commands: readonly string[]): Promise<void> {
  for (const family of ['', '-4', '-6']) {
    const lines = commands.flatMap((command) => {
      const [, flag = '', rest = ''] = /^(-[46])? ?(.*)$/.exec(command) ?? [];
      return flag === family ? [rest] : [];
    });
    const flags = family === '' ? [] : [family];
    for (let at = 0; at < lines.length; at += BATCH) {
      await batch(lines.slice(at, at + BATCH), ...flags, '-force');
    }
  }
}

async function addEach(commands: readonly string[]): Promise<void> {
  const deadline = performance.now() + RESTORE_MS;
  for (const command of commands) {
    if (performance.now() > deadline) return;
    await run(['ip', ...command.split(/\s+/)]);
  }
}

async function readAddresses(): Promise<ForeignState['addresses']> {
  const links = await ip<RawLink>('addr', 'show', 'scope', 'global', 'permanent');
  return links.flatMap(addressesOf).map(entryOf);
}

async function readNeighbours(): Promise<ForeignState['neighbours']> {
  const found = await lines('neigh', 'show', 'nud', 'permanent');
  const permanent = found.map((line) => line.replace(/ PERMANENT.*$/, ' nud permanent').trim());
  const proxies = await Promise.all(FAMILIES.map((family) => lines(`-${family}`, 'neigh', 'show', 'proxy')));
  // `10.0.0.5 dev eth0 proxy`, where a newer `ip` adds flags and a protocol.
  const proxied = proxies.flat().map((line) => line.replace(/^(\S+ dev \S+).*$/, 'proxy $1').trim());
  return [...permanent, ...proxied].map(entryOf);
}

async function readRules(): Promise<ForeignRule[]> {
  const byFamily = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines(`-${family}`, 'rule', 'show')).flatMap((line) => parseRule(family, line)),
    ),
  );
  return byFamily.flat();
}

/** Reads `1000:	from 10.52.0.0/16 lookup 100`. */
function parseRule(family: Family, line: string): ForeignRule[] {
  const [, priority, rule] = /^(\d+):\s+(.*)$/.exec(line) ?? [];
  if (priority === undefined || rule === undefined || KERNEL_PRIORITIES.has(priority)) return [];
  // The kernel itself writes the rule of a VRF.
  if (rule.includes('[l3mdev-table]')) return [];
  const readable = rule.replace('[detached] ', '').replace(/ipproto-(?=\d)/, '');
  return [{ ...entryOf(`${readable.trim()} priority ${priority}`), family }];
}

/** Reads numbers instead of names, because the host's `ip` may have other names than the image's. */
async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run(['ip', '-N', ...args]);
  // A kernel without IPv6 refuses `-6`. Any other failure hides state that could then not be restored.
  if (code !== 0 && !args.includes('-6')) throw unreadable(args, stderr);
  return stdout.split('\n').filter((line) => line.trim() !== '');
}
