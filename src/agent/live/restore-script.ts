// The script of the host's own restore: the data of one change, then restore.sh, which is the same for every change.
import { readFileSync } from 'node:fs';
import { rendererOf } from '../../network/renderers.ts';
import type { Pending } from '../files/host-record.ts';
import { isFileOf, LOCK, RECORD, RESTORE_SCRIPT } from '../files/managed-files.ts';
import { noAutoDefaultMac } from '../files/no-auto-default.ts';
import { isManagerMetric, metricOf } from '../files/route-metric.ts';
import { entryOf, fromCommands, inOrder, mayBeOfManager } from '../host/foreign-state.ts';
import { linkLocalOf, nameByMac, NO_LINK_LOCAL } from '../host/links.ts';
import { NO_ROUTING, unroutedFrom } from '../host/routing.ts';
import { isProfile } from '../plan/profiles.ts';
import { RESTORE_MS } from './live-foreign-state.ts';
import { RUNTIME_PROFILES } from './automatic-profiles.ts';
import { NETWORKD_MS, NETWORKD_WAITS, NETWORKD_WORKS } from '../host/networkd.ts';
import { APPLY_SECONDS } from '../command/systemd.ts';

/** The text of restore.sh in the bundle, where the build puts it. */
declare const __RESTORE_SH__: string | undefined;

/** Milliseconds after which the script checks networkd again. */
const LOOK_MS = 200;

type Table = readonly (readonly string[])[];

export function restoreScript(pending: Pending): string {
  const { startedAt } = pending;
  return `${[
    '#!/bin/sh',
    `# Restores this node's network as it was before ${startedAt}. Runs under flock on /${LOCK}.`,
    ...settings(pending),
    table('each_file', fileLines(pending)),
    table('each_ipv6', ipv6Lines(pending)),
    table('each_nic', nicLines(pending)),
    table('each_profile_file', profileFileLines(pending)),
    table('each_profile', profileLines(pending)),
    table('each_managed', managedLines(pending, true)),
    table('each_unmanaged', managedLines(pending, false)),
    table('each_unrule', ruleLines(pending.links.after, pending.links.before)),
    table('each_unroute', unrouteLines(pending)),
    table('each_rule', ruleLines(pending.links.before)),
    table('each_route', routeLines(pending.links.before)),
    table('each_sysctl', sysctlLines(pending)),
    foreignTable(pending),
  ].join('\n')}\n${restoreSh()}`;
}

/** The part of the script that is the same for every change. */
function restoreSh(): string {
  if (typeof __RESTORE_SH__ === 'string') return __RESTORE_SH__;
  return readFileSync(new URL('restore.sh', import.meta.url), 'utf8');
}

/** The settings in capitals that restore.sh reads. Time-outs and patterns are the agent's own. */
function settings(pending: Pending): string[] {
  const { startedAt, files, others } = pending;
  const paths = files.map(({ path }) => path);
  return Object.entries({
    STARTED_AT: startedAt,
    RECORD: `/${RECORD}`,
    SCRIPT: `/${RESTORE_SCRIPT}`,
    NO_LINK_LOCAL: String(NO_LINK_LOCAL),
    NETWORKD_WAITS,
    NETWORKD_WORKS,
    NETWORKD_TRIES: String(NETWORKD_MS / LOOK_MS),
    APPLY_SECONDS: String(APPLY_SECONDS),
    FOREIGN_SECONDS: String(RESTORE_MS / 1_000),
    RUNTIME_PROFILES,
    HAS_NETPLAN_FILES: flag(paths.some((path) => isFileOf(rendererOf('netplan'), path))),
    HAS_PROFILES: flag(paths.some(isProfile)),
    HAS_MANAGER_SETTINGS: flag(changesManagerSettings(pending)),
    HAS_FOREIGN_STATE: flag(others.length > 0),
  }).map(([name, value]) => `${name}=${quote(value)}`);
}

/** A setting that the shell tests with `-n`. */
function flag(isSet: boolean): string {
  return isSet ? 'yes' : '';
}

/** Whether NetworkManager has to read its settings again. Only a change that involves its profiles needs this. */
function changesManagerSettings({ files, profiles }: Pending): boolean {
  return (
    profiles !== undefined &&
    files.some(({ path }) => noAutoDefaultMac(path) !== undefined || isManagerMetric(path))
  );
}

/**
 * A line for each file: the path, then mode and content if the file existed. The file that was written last comes
 * first.
 */
function fileLines({ files }: Pending): Table {
  return files.toReversed().map(({ path, before }) => {
    if (before === null) return [`/${path}`];
    return [`/${path}`, before.mode.toString(8), Buffer.from(before.content).toString('base64')];
  });
}

function ipv6Lines({ links }: Pending): Table {
  return links.before.flatMap(({ mac, ipv6 }) =>
    ipv6 === undefined ? [] : [[mac, String(ipv6.acceptRa), String(ipv6.addrGenMode), linkLocalOf(mac)]],
  );
}

function nicLines({ links }: Pending): Table {
  return links.before.map(({ mac, name, mtu, up, addresses, leases = [], yields = [] }, index) => {
    const after = links.after.find((link) => link.mac === mac)?.addresses ?? [];
    const ofChange = after.filter((each) => ![...addresses, ...leases].includes(each));
    const state = up ? 'up' : 'down';
    const lists = [addresses.join(' '), ofChange.join(' ')];
    const metric = [String(metricOf(name)), yields.join(' ')];
    return [String(index), mac, name, nameByMac(mac), String(mtu), state, ...lists, ...metric];
  });
}

type RecordedLinks = Pending['links']['before'];

/**
 * A line for each rule of these links: the flag of the family, the priority, then the words of `ip rule show`.
 * @param others links whose rules are left out
 */
function ruleLines(links: RecordedLinks, others: RecordedLinks = []): Table {
  const left = new Set(others.flatMap(({ routing }) => routing?.rules ?? []));
  return links.flatMap(({ routing }) =>
    (routing?.rules ?? []).filter((rule) => !left.has(rule)).map(wordsOf),
  );
}

function wordsOf(rule: string): string[] {
  const [, family = '', words = '', priority = ''] = /^(-[46]) (.*) priority (\d+)$/.exec(rule) ?? [];
  return [family, priority, words];
}

/** A line for each route: MAC, the flag of the family, then the words of `ip route` without the link. */
function routeLines(links: RecordedLinks): Table {
  return links.flatMap(({ mac, routing }) =>
    (routing?.routes ?? []).map((route) => [mac, ...route.split(' ')]),
  );
}

function unrouteLines({ links }: Pending): Table {
  return links.after.flatMap(({ mac, routing = NO_ROUTING }) => {
    const before = links.before.find((link) => link.mac === mac)?.routing ?? NO_ROUTING;
    return unroutedFrom(routing, before).routes.map((route) => [mac, ...route.split(' ')]);
  });
}

function sysctlLines({ links }: Pending): Table {
  return links.before.flatMap(({ mac, routing }) =>
    Object.entries(routing?.sysctls ?? {}).map(([key, value]) => [mac, key, String(value)]),
  );
}

function profileFileLines({ files, profiles }: Pending): Table {
  if (profiles === undefined) return [];
  return files.flatMap(({ path }) => (isProfile(path) ? [[`/${path}`]] : []));
}

function profileLines({ links, profiles = {} }: Pending): Table {
  return links.before.flatMap(({ mac }) => {
    const profile = profiles[mac];
    return profile === undefined || profile === null ? [] : [[mac, profile]];
  });
}

/** MACs of the NICs that the change took away from NetworkManager, or gave to it. */
function managedLines({ links }: Pending, before: boolean): Table {
  return links.before.flatMap(({ mac, networkManager }) => (networkManager === before ? [[mac]] : []));
}

/** Commands of `ip`, with the names that the NICs have when the script runs. */
function foreignTable({ others, links }: Pending): string {
  const names = links.before.map(({ mac }, index) => `  n${index}=$(nic ${quote(mac)})`);
  const own = new Set(links.before.map(({ name }) => name));
  const commands = inOrder(fromCommands(others)).map((command) => {
    const guard = mayBeOfManager(entryOf(command), own) ? '[ -n "$reloaded" ] || ' : '';
    return `  ${guard}"$1" ${withNames(command, links.before)}`;
  });
  return ['each_foreign() {', ...(commands.length === 0 ? ['  :'] : [...names, ...commands]), '}'].join('\n');
}

/** Quotes the words of a command, and puts a shell variable in place of the name of each of these links. */
function withNames(command: string, links: Pending['links']['before']): string {
  const words = command.split(/\s+/);
  return words
    .map((word, index) => {
      const at = words[index - 1] === 'dev' ? links.findIndex(({ name }) => name === word) : -1;
      return at === -1 ? quote(word) : `"$n${at}"`;
    })
    .join(' ');
}

/** A shell function that takes a command and calls it once for each line. */
function table(name: string, lines: Table): string {
  const calls = lines.map((words) => `  "$1" ${words.map(quote).join(' ')}`);
  return [`${name}() {`, ...(calls.length === 0 ? ['  :'] : calls), '}'].join('\n');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
