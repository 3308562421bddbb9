// Rules, routes and settings of NICs with routing of their own, by the image's own `ip` and the host's /proc.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mac } from '../../network/mac.ts';
import { nicOf } from '../host/links.ts';
import type { ForeignRouting, Link, LinkStep } from '../host/machine.ts';
import {
  isConnectedInMain,
  MAIN_TABLE,
  routeText,
  ruleText,
  sourceOf,
  tablesOf,
  wordsOf,
  type KnownRouting,
  type LinkRouting,
} from '../host/routing.ts';
import { run, until } from '../command/host-command.ts';
import { batch, refused, unreadable } from './ip.ts';
import { RESTORE_MS } from './live-foreign-state.ts';

const KERNEL_PRIORITIES: ReadonlySet<number> = new Set([0, 32_766, 32_767]);

interface RawRule {
  readonly priority: number;
  readonly src: string;
  readonly srclen?: number;
  readonly table?: string;
  readonly suppress_prefixlen?: number;
  readonly protocol?: string;
}

interface RawTableRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly prefsrc?: string;
  readonly metric?: number;
}

interface FoundRule {
  /** The rule as a text of ours; undefined: no rule of ours has such conditions. */
  readonly text: string | undefined;
  /** `-4 from 192.0.2.10`. */
  readonly source: string;
  readonly table: number;
  readonly what: string;
}

interface FoundRoute {
  readonly text: string;
  readonly table: number;
  readonly dev: string | undefined;
  readonly what: string;
}

interface Found {
  readonly rules: readonly FoundRule[];
  readonly routes: readonly FoundRoute[];
}

/**
 * Adds to the links the part of the known routing that the kernel has.
 * @param root root of the host, because /proc/sys of a pod is read-only
 * @param known read for these NICs alone, because a node may have thousands of rules and tables
 */
export async function withRouting(
  root: string,
  links: readonly Link[],
  known: KnownRouting,
): Promise<{ links: Link[]; foreign: ForeignRouting[] }> {
  const nics = [...known].flatMap(([mac, routing]) => {
    const link = nicOf(links, mac);
    return link === undefined ? [] : [{ mac, link, routing }];
  });
  if (nics.length === 0) return { links: [...links], foreign: [] };
  const found = await readRouting(nics);
  return {
    links: links.map((link) => {
      const nic = nics.find((each) => each.link === link);
      return nic === undefined ? link : { ...link, routing: present(root, link, nic.routing, found) };
    }),
    foreign: nics.flatMap(({ mac, link, routing }) => foreignOf(mac, link, routing, found)),
  };
}

function present(root: string, { name }: Link, known: LinkRouting, { rules, routes }: Found): LinkRouting {
  const texts = new Set([
    ...rules.map(({ text }) => text),
    ...routes.filter(({ dev }) => dev === name).map(({ text }) => text),
  ]);
  return {
    rules: known.rules.filter((rule) => texts.has(rule)),
    routes: known.routes.filter((route) => texts.has(route)),
    sysctls: readSettings(root, name, Object.keys(known.sysctls)),
  };
}

/** Foreign rules by a NIC's addresses or to its table, and foreign routes in the table. */
function foreignOf(mac: Mac, { name }: Link, known: LinkRouting, { rules, routes }: Found): ForeignRouting[] {
  const tables = new Set(tablesOf(known));
  const sources = new Set(known.rules.map(sourceOf));
  const all = [
    ...rules
      .filter(({ source, table }) => sources.has(source) || tables.has(table))
      .filter(({ text }) => text === undefined || !known.rules.includes(text)),
    ...routes
      .filter(({ table }) => tables.has(table))
      .filter(({ text, dev }) => dev !== name || !known.routes.includes(text)),
  ];
  return all.map(({ what }) => ({ mac, what }));
}

/** Starts a process for each question, because `ip -batch` would make the kernel send all routes. */
const SCRIPT = `
for family in $FAMILIES; do
  rules=$(ip -j -N "$family" rule show) || exit
  echo "rules $family 0 $rules"
  for table in $TABLES; do
    routes=$(ip -j -N "$family" route show table "$table" 2>/dev/null) && echo "routes $family $table $routes"
  done
  for nic in $NICS; do
    routes=$(ip -j -N "$family" route show table main dev "$nic") || exit
    echo "$nic $family ${MAIN_TABLE} $routes"
  done
done
true`;

async function readRouting(nics: readonly { link: Link; routing: LinkRouting }[]): Promise<Found> {
  const texts = nics.flatMap(({ routing }) => [...routing.rules, ...routing.routes]);
  const families = ['-4', '-6'].filter((family) => texts.some((text) => text.startsWith(family)));
  const tables = [...new Set(nics.flatMap(({ routing }) => tablesOf(routing)))];
  const inMain = nics.filter(({ routing }) => routing.routes.some((text) => IN_MAIN.test(text)));
  const environment = [
    `FAMILIES=${families.join(' ')}`,
    `TABLES=${tables.join(' ')}`,
    `NICS=${inMain.map(({ link }) => link.name).join(' ')}`,
  ];
  const { code, stdout, stderr } = await run(['env', ...environment, 'sh', '-c', SCRIPT]);
  if (code !== 0) throw unreadable(['rule', 'show'], stderr);
  const answers = stdout.split('\n').flatMap((line) => {
    const [, of = '', flag, table, json = ''] = /^(\S+) -([46]) (\d+) (.*)$/.exec(line) ?? [];
    const family = flag === '6' ? 6 : 4;
    return json === '' ? [] : [{ of, family, table: Number(table), json } as const];
  });
  return {
    rules: answers.flatMap(({ of, family, json }) =>
      of === 'rules' ? (JSON.parse(json) as RawRule[]).flatMap((raw) => readRule(family, raw)) : [],
    ),
    routes: answers.flatMap(({ of, family, table, json }) =>
      of === 'rules'
        ? []
        : (JSON.parse(json) as RawTableRoute[]).map((raw) =>
            readRoute(family, table, of === 'routes' ? raw : { ...raw, dev: of }),
          ),
    ),
  };
}

const IN_MAIN = new RegExp(` table ${MAIN_TABLE}\\b`);

function readRule(family: 4 | 6, raw: RawRule): FoundRule[] {
  const { priority, src, srclen, table, suppress_prefixlen: suppressed, protocol: _, ...more } = raw;
  if (KERNEL_PRIORITIES.has(priority) || table === undefined) return [];
  const isOurForm =
    srclen === undefined && Object.keys(more).length === 0 && (suppressed === undefined || suppressed === 0);
  const from = srclen === undefined ? src : `${src}/${srclen}`;
  const suppress = suppressed === 0 ? { suppressPrefixLength: 0 as const } : {};
  const text = ruleText({ family, from, table: Number(table), priority, ...suppress });
  return [
    {
      text: isOurForm ? text : undefined,
      source: `-${family} from ${from}`,
      table: Number(table),
      what: `the rule \`${wordsOf(text)}\``,
    },
  ];
}

function readRoute(family: 4 | 6, table: number, raw: RawTableRoute): FoundRoute {
  const { dst: to, gateway: via, prefsrc: src, metric, dev } = raw;
  const text = routeText({
    family,
    to,
    table,
    ...(via !== undefined && { via }),
    ...(src !== undefined && { src }),
    ...(metric !== undefined && { metric }),
  });
  const what = `the route \`${wordsOf(text)}${dev === undefined ? '' : ` dev ${dev}`}\``;
  return { text, table, dev, what };
}

function settingFile(root: string, name: string, key: string): string {
  return join(root, 'proc/sys/net/ipv4/conf', name, key);
}

function readSettings(root: string, name: string, keys: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const file = settingFile(root, name, key);
      return existsSync(file) ? [[key, Number(readFileSync(file, 'utf8'))] as const] : [];
    }),
  );
}

export function setSettings(root: string, { name }: Link, step: LinkStep & { op: 'sysctl' }): void {
  try {
    for (const [key, value] of Object.entries(step.values))
      writeFileSync(settingFile(root, name, key), `${value}\n`);
  } catch (error) {
    throw refused(step, (error as Error).message);
  }
}

type RouteStep = LinkStep & { op: 'route' | 'unroute' };

/**
 * Adds rules with protocol kernel, because networkd removes rules of other protocols when it restarts, and routes with
 * protocol static, like the routes of the files.
 */
function linesOf({ op, rules, routes }: RouteStep, { name }: Link): string[] {
  if (op === 'route') {
    return [
      ...routes.map((text) => {
        // The kernel makes the connected route of an address by itself, unless networkd told it not to.
        const verb = isConnectedInMain(text) ? 'add' : 'replace';
        return `route ${verb} ${wordsOf(text)} dev ${name} proto static`;
      }),
      ...rules.map((text) => `rule add ${wordsOf(text)} protocol kernel`),
    ];
  }
  return [
    ...rules.map((text) => `rule del ${wordsOf(text)}`),
    ...routes.map((text) => `route del ${wordsOf(text)} dev ${name}`),
  ];
}

/** A rule or a connected route that exists already fails its line, and the answer names the line's number. */
const HARMLESS = /File exists|^Command failed -:\d+$/;

/** Adds routes and rules by one process for each family. */
export async function addRouting(step: RouteStep, link: Link): Promise<void> {
  for (const family of ['-4', '-6']) {
    const lines = linesOf(ofFamily(step, family), link);
    if (lines.length === 0) continue;
    let failures: string[] = [];
    // The kernel takes no new IPv6 address as a source before duplicate address detection ends.
    await until(RESTORE_MS, async () => {
      const { stderr } = await batch(lines, family, '-force');
      failures = stderr.split('\n').filter((line) => line !== '' && !HARMLESS.test(line));
      return failures.length === 0;
    });
    if (failures.length > 0) throw refused(step, failures.join(', '));
  }
}

/**
 * Removes routes and rules. Each rule is removed twice, because networkd may have added it once more with another
 * protocol; an entry that is gone already is no failure.
 */
export async function removeRouting(step: RouteStep, link: Link): Promise<void> {
  for (const family of ['-4', '-6']) {
    const own = ofFamily(step, family);
    const lines = [...linesOf(own, link), ...linesOf({ ...own, routes: [] }, link)];
    if (lines.length === 0) continue;
    await batch(lines, family, '-force');
  }
}

function ofFamily(step: RouteStep, family: string): RouteStep {
  const isOf = (text: string): boolean => text.startsWith(family);
  return { ...step, rules: step.rules.filter(isOf), routes: step.routes.filter(isOf) };
}
