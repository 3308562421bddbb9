// What others have put on the node's other NICs: a routing daemon, a CNI, a person. A network manager that reads all of
// its files anew takes it away, and nobody else would give it back.
import { run } from './command.ts';
import { unreadable } from './kernel.ts';

/** What the kernel, network managers and routers make comes again by itself. */
const BY_ITSELF = / proto (kernel|static|dhcp|ra|redirect)\b| table local\b/;
const FAMILIES = ['-4', '-6'];
const KERNEL_PRIORITIES: ReadonlySet<string> = new Set(['0', '32766', '32767']);

/**
 * @param except names of links that are not looked at
 * @returns the arguments of `ip` that make each of them
 */
export async function readOthers(except: ReadonlySet<string>): Promise<string[]> {
  const addresses = await lines('-o', 'addr', 'show', 'scope', 'global', 'permanent');
  const neighbours = await lines('neigh', 'show', 'nud', 'permanent');
  const rules = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines(family, 'rule', 'show')).flatMap((line) => ruleOf(family, line)),
    ),
  );
  const all = [
    ...addresses.flatMap(addressOf),
    ...(await readRoutes()),
    ...rules.flat(),
    ...neighbours.map((line) => `neigh replace ${line.replace(/ PERMANENT.*$/, ' nud permanent').trim()}`),
  ];
  return all.filter((command) => !except.has(devOf(command) ?? ''));
}

/** What others routed through a link, in any table: a link that goes down loses it. @returns as `readOthers` */
export async function routesThrough(name: string): Promise<string[]> {
  return (await readRoutes()).filter((command) => devOf(command) === name);
}

/** The same for a link that has another name by now. */
export function renamed(command: string, from: string, to: string): string {
  return command.replaceAll(/(?<= dev )\S+/g, (name) => (name === from ? to : name));
}

async function readRoutes(): Promise<string[]> {
  const byFamily = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines('-o', family, 'route', 'show', 'table', 'all')).flatMap((line) => routeOf(family, line)),
    ),
  );
  return byFamily.flat();
}

const devOf = (command: string): string | undefined => / dev (\S+)/.exec(command)?.[1];

/** Gives back what is gone. @param before as `readOthers` found it */
export async function giveBack(before: readonly string[], except: ReadonlySet<string>): Promise<void> {
  const now = await readOthers(except);
  for (const command of before) if (!now.includes(command)) await give(command);
}

/** @param command as `readOthers` has them */
export async function give(command: string): Promise<void> {
  await run(['ip', ...command.split(/\s+/)]);
}

/** `2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0\ …` */
function addressOf(line: string): string[] {
  const [, name, address, broadcast] = /^\d+:\s+(\S+)\s+inet6?\s+(\S+)(?:\s+brd\s+(\S+))?/.exec(line) ?? [];
  if (name === undefined || address === undefined) return [];
  return [`addr add ${address}${broadcast === undefined ? '' : ` brd ${broadcast}`} dev ${name}`];
}

function routeOf(family: string, line: string): string[] {
  if (BY_ITSELF.test(line)) return [];
  // A backslash stands for the line break before each next hop.
  const route = line
    .replaceAll('\\', ' ')
    .replaceAll(/ (linkdown|dead|pref \w+|expires \w+|error -?\d+)\b/g, '');
  return [`${family} route replace ${route.trim()}`];
}

/** `1000:	from 10.52.0.0/16 lookup 100` */
function ruleOf(family: string, line: string): string[] {
  const [, priority, rule] = /^(\d+):\s+(.*)$/.exec(line) ?? [];
  if (priority === undefined || KERNEL_PRIORITIES.has(priority)) return [];
  return [`${family} rule add ${rule?.replace('[detached] ', '').trim()} priority ${priority}`];
}

async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await run(['ip', ...args]);
  // A kernel without IPv6 has none of it; anything else that is not known could not be given back.
  if (code !== 0 && !args.includes('-6')) throw unreadable(args, stderr);
  return stdout.split('\n').filter((line) => line.trim() !== '');
}
