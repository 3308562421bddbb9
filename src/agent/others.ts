// What others have put on the node's other NICs: a routing daemon, a CNI, a person. A network manager that reads all of
// its files anew takes it away, and nobody else would give it back.
import { run } from './command.ts';
import { unreadable } from './kernel.ts';

/** What the kernel, network managers and routers make comes again by itself. */
const BY_ITSELF = / proto (kernel|static|dhcp|ra|redirect)\b| table local\b/;
const FAMILIES = ['-4', '-6'];
const KERNEL_PRIORITIES: ReadonlySet<string> = new Set(['0', '32766', '32767']);

/**
 * @param ours names of NICs that are to change: their addresses are not others'
 * @param everywhere on all NICs; else what others have through ours alone, which goes with a link that goes down
 * @returns the arguments of `ip` that make each of them
 */
export async function readOthers(ours: ReadonlySet<string>, everywhere: boolean): Promise<string[]> {
  const routes = await readRoutes();
  const neighbours = (await lines('neigh', 'show', 'nud', 'permanent')).map(
    (line) => `neigh replace ${line.replace(/ PERMANENT.*$/, ' nud permanent').trim()}`,
  );
  const through = [...routes, ...neighbours];
  if (!everywhere) return through.filter((command) => devsOf(command).some((name) => ours.has(name)));
  const addresses = (await lines('-o', 'addr', 'show', 'scope', 'global', 'permanent')).flatMap(addressOf);
  const rules = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines(family, 'rule', 'show')).flatMap((line) => ruleOf(family, line)),
    ),
  );
  const theirs = addresses.filter((command) => devsOf(command).every((name) => !ours.has(name)));
  return [...theirs, ...through, ...rules.flat()];
}

/** The same for links that have other names by now. @param names by the name of then */
export function renamed(command: string, names: ReadonlyMap<string, string>): string {
  return command.replaceAll(DEV, (name) => names.get(name) ?? name);
}

async function readRoutes(): Promise<string[]> {
  const byFamily = await Promise.all(
    FAMILIES.map(async (family) =>
      (await lines('-o', family, 'route', 'show', 'table', 'all')).flatMap((line) => routeOf(family, line)),
    ),
  );
  return byFamily.flat();
}

/** Of a command, the names of links in it. */
const DEV = /(?<= dev )\S+/g;
const devsOf = (command: string): string[] => command.match(DEV) ?? [];

/** Gives back what is gone. @param before as `readOthers` found it, with the names of now */
export async function giveBack(before: readonly string[]): Promise<void> {
  if (before.length === 0) return;
  const now = new Set(await readOthers(new Set(), true));
  // What cannot be had again is what a verification is for.
  for (const command of before) if (!now.has(command)) await run(['ip', ...command.split(/\s+/)]);
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
