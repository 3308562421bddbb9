// networkd's drop-in for a NIC with routing and for a link-only NIC, beside the file that netplan makes of ours.
// netplan has no key for a rule that skips default routes, for the metric of a connected route, or for a NIC that stays
// in a foreign bridge.

import type { Problem } from '../api/errors.ts';
import { cidrsOf, indexOfName, isLinkOnly, type Interface } from './interface.ts';
import { DEFAULTS, routingIn, type FoundRouting } from './found-routing.ts';
import { connectedInMain, MAIN_TABLE, routingOf, type Rule, type TableRoute } from './source-routing.ts';
import type { Files } from './renderer.ts';
import { HEADER } from './vocabulary.ts';

const FILE =
  /^etc\/systemd\/network\/10-netplan-([^/]+)\.network\.d\/(multinic[0-9]+)-(?:routing|link)\.conf$/;

/** The NIC whose drop-in a path is. */
export function nameOfDropIn(path: string): string | undefined {
  const name = FILE.exec(path)?.[2];
  return name !== undefined && indexOfName(name) !== undefined ? name : undefined;
}

function dropInPath(
  { name, netplanId }: Pick<Interface, 'name' | 'netplanId'>,
  what: 'routing' | 'link',
): string {
  return `etc/systemd/network/10-netplan-${netplanId ?? name}.network.d/${name}-${what}.conf`;
}

/** Makes networkd leave the NIC in a foreign bridge, bond or Open vSwitch. An old networkd ignores the key. */
const KEEP_MASTER = section('Network', [['KeepMaster', 'yes']]);

/** The drop-in of a NIC; empty for a NIC that has addresses and neither rules nor routes. */
export function dropIn(nic: Interface): Files {
  if (isLinkOnly(nic)) return new Map([[dropInPath(nic, 'link'), `${HEADER}\n${KEEP_MASTER}`]]);
  const { rules, routes } = routingOf(nic);
  if (rules.length === 0 && routes.length === 0) return new Map();
  const sections = [
    ...(nic.sourceRouting === true ? cidrsOf(nic).map(addressSection) : []),
    ...[...connectedInMain(nic), ...routes].map(routeSection),
    ...rules.map(ruleSection),
  ];
  return new Map([[dropInPath(nic, 'routing'), `${HEADER}\n${sections.join('')}`]]);
}

/**
 * Keeps the kernel from a connected route of its own. networkd 252 loses a RouteMetric= of an address at a restart, and
 * 247 has no such key; a route of the file keeps its metric.
 */
function addressSection(cidr: string): string {
  return section('Address', [
    ['Address', cidr],
    ['AddPrefixRoute', 'no'],
  ]);
}

/**
 * The gateway of an IPv4 route in the main table needs no connected route. networkd takes the connected route of another
 * table for one, and the kernel then refuses the route: with many NICs the main table's own one comes too late at boot,
 * and networkd gives the whole NIC up. In IPv6 the kernel would refuse the key where two NICs have the gateway's subnet.
 */
function routeSection({ family, to, via, src, scope, table, metric }: TableRoute): string {
  return section('Route', [
    ['Destination', to === 'default' ? DEFAULTS[family] : to],
    ['Gateway', via],
    ['GatewayOnLink', via !== undefined && family === 4 && table === 'main' ? 'yes' : undefined],
    ['Scope', scope],
    ['PreferredSource', src],
    ['Table', table === 'main' ? undefined : table],
    ['Metric', metric],
  ]);
}

function ruleSection({ from, table, priority, suppressPrefixLength }: Rule): string {
  return section('RoutingPolicyRule', [
    ['From', from],
    ['Table', table === 'main' ? MAIN_TABLE : table],
    ['Priority', priority],
    ['SuppressPrefixLength', suppressPrefixLength],
  ]);
}

function section(name: string, keys: readonly (readonly [string, string | number | undefined])[]): string {
  const lines = keys.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}\n`]));
  return `\n[${name}]\n${lines.join('')}`;
}

/** Reads routes and rules; `compareFiles` judges the rest of the file. */
export function readDropIn(name: string, text: string, path: string, problems: Problem[]): FoundRouting {
  if (text.length > MAX_LENGTH) {
    const message = `has ${text.length} characters; write the routing of one NIC, in ${MAX_LENGTH} at most`;
    problems.push({ path, code: 'FileTooLarge', message });
    return {};
  }
  const sections = `\n${text}`.split('\n[').map((part) => {
    const [head = '', ...lines] = part.split('\n');
    const keys = lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
    return { head, keys: new Map(keys as [string, string][]) };
  });
  const routes = sections
    .filter(({ head }) => head === 'Route]')
    .map(({ keys }) => ({
      to: keys.get('Destination') ?? '',
      via: keys.get('Gateway'),
      table: keys.get('Table'),
      metric: keys.get('Metric'),
    }));
  return routingIn(
    name,
    routes,
    sections.some(({ head }) => head === 'RoutingPolicyRule]'),
  );
}

/**
 * Limit on the characters of a drop-in. The largest valid one (16 addresses with three rules each, 64 routes in two
 * tables) has about half as many.
 */
const MAX_LENGTH = 48 * 1024;
