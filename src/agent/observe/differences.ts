// The differences between a host and its commit. Pure, given the plan that a run would carry out: a difference is work
// of a run, or a foreign file that counts at the next boot.
import { createHash } from 'node:crypto';
import { DIFFERENCE_TEXT_MAX, type Difference } from '../../api/observation.ts';
import { cidrsOf, ownCidrOf, type Interface } from '../../network/interface.ts';
import type { Mac } from '../../network/mac.ts';
import { sha256, type Applied } from '../files/host-record.ts';
import { nameIn, RENDERERS, type ManagedNic } from '../files/managed-files.ts';
import { isMetricFile, metricOf } from '../files/route-metric.ts';
import type { OverriddenNic } from '../foreign/next-boot.ts';
import { except, nicOf, type LinkTarget } from '../host/links.ts';
import { NO_ROUTING, onlyIn, settingsApart, wordsOf } from '../host/routing.ts';
import type { HostState, Link } from '../host/machine.ts';
import type { FileStep } from '../plan/file-order.ts';
import { isForeign, type Plan, type Situation } from '../plan/plan.ts';
import type { LeftNic } from '../plan/used-nics.ts';
import type { Oid } from '../../api/oid.ts';

/** A difference, with the hash of everything that was found; `found` may be cut. */
export interface FoundDifference {
  readonly difference: Difference;
  readonly content: string;
}

/**
 * The differences of files and links, in the order of files, then NICs. NICs that the last run did not find are left
 * out, because only the outcome of that run counts for them.
 */
export function differencesOf(situation: Situation, plan: Plan): FoundDifference[] {
  const appeared = new Set(appearedNics(situation, plan).map(({ name }) => name));
  return [
    ...fileDifferences(situation, plan).filter(({ difference: { name } }) => !appeared.has(name ?? '')),
    ...missingLinks(situation, plan),
    ...linkDifferences(situation.host, plan).filter(({ difference: { name } }) => !appeared.has(name ?? '')),
  ];
}

/** NICs of the commit that are on the machine, and were not at the last run. */
export function appearedNics({ applied }: Situation, { present }: Plan): readonly Interface[] {
  return applied === undefined ? [] : present.filter(({ mac }) => applied.nics[mac] === undefined);
}

/**
 * Takes out the differences that a missing carrier explains: network managers take the addresses of such a NIC away, and
 * give them back with the carrier.
 */
export function withoutCarrierLoss(
  found: readonly FoundDifference[],
  withCarrier: ReadonlySet<string>,
): FoundDifference[] {
  const isDown = (mac: string | undefined): boolean =>
    found.some(({ difference }) => difference.kind === 'LinkDown' && difference.mac === mac);
  return found.filter(
    ({ difference: { kind, mac } }) => !NEEDS_CARRIER.has(kind) || withCarrier.has(mac ?? '') || isDown(mac),
  );
}

/**
 * Marks the differences of NICs that other software uses, because a run leaves such NICs. The digest contains the mark
 * and not the use, because pods come and go.
 */
export function markUsed(found: readonly FoundDifference[], left: readonly LeftNic[]): FoundDifference[] {
  const uses = new Map<string, string>(left.map(({ mac, use }) => [mac, use]));
  return found.map(({ difference, content }) => {
    const use = uses.get(difference.mac ?? '');
    if (use === undefined) return { difference, content };
    return { difference: { ...difference, inUse: visible(use) }, content: `${content} in use` };
  });
}

/** MACs of NICs whose carrier decides whether a difference counts. */
export function macsOfAddresses(found: readonly FoundDifference[], { present }: Plan): Mac[] {
  const macs = new Set(
    found.flatMap(({ difference: { kind, mac } }) => (NEEDS_CARRIER.has(kind) ? [mac] : [])),
  );
  return present.flatMap(({ mac }) => (macs.has(mac) ? [mac] : []));
}

const NEEDS_CARRIER: ReadonlySet<Difference['kind']> = new Set([
  'AddressMissing',
  'MetricChanged',
  // NetworkManager removes rules and routes of the table together with the address.
  'RuleMissing',
  'RouteMissing',
]);

export function bootDifference({ nic: { name, mac }, file, effect }: OverriddenNic): FoundDifference {
  return found({ kind: 'NextBoot', name, mac, ...(file !== undefined && { path: file }), found: effect });
}

/**
 * The difference for files that clash, or that the OS's own generator refuses. Cuts the remedy off the end of the
 * message, because that remedy is for a run.
 */
export function refusalDifference({ message }: Error): FoundDifference {
  const remedy = message.lastIndexOf('; ');
  const why = remedy === -1 ? message : message.slice(0, remedy);
  return found({ kind: 'NextBoot', found: `our files may not count: ${why}` });
}

/** A digest that is the same for the same differences of the same commit. */
export function digestOf(commit: Oid, differences: readonly FoundDifference[]): string {
  return sha256(JSON.stringify([commit, ...differences.map(({ content }) => content)]));
}

function fileDifferences(situation: Situation, plan: Plan): FoundDifference[] {
  const { managed, metricFiles } = situation;
  const goneOrphans = new Set(plan.orphans.flatMap(({ path, why }) => (why === 'NicGone' ? [path] : [])));
  const last = new Map(plan.files.map((step) => [step.path, step]));
  return [...last.values()].flatMap((step): FoundDifference[] => {
    const { path } = step;
    const group = managed.find(({ files }) => files.has(path));
    const content = group?.files.get(path) ?? metricFiles.get(path);
    if (!RENDERERS.some((renderer) => renderer.manages(path))) {
      // Leaves out other files of the agent, which follow the file of a NIC. A changed metric file is reported.
      if (step.op !== 'write' || content === undefined || !isMetricFile(path)) return [];
    }
    if (goneOrphans.has(path)) return [];
    if (group !== undefined && isForeign(situation, group))
      return [found({ kind: 'FileForeign', path }, content)];
    if (step.op === 'remove') return [found({ kind: 'FileExtra', path }, content)];
    const nic = plan.present.find(({ name }) => name === nameIn(path));
    const about = { path, ...(nic !== undefined && { name: nic.name, mac: nic.mac }) };
    if (content === undefined) return [found({ kind: 'FileMissing', ...about })];
    return [found({ kind: 'FileChanged', ...about, ...changeOf(step, content, group, nic) }, content)];
  });
}

/** The changed part of a file: the values that it gives its NIC, or else its first changed line. */
function changeOf(
  { content: wanted }: FileStep & { op: 'write' },
  content: string,
  group: ManagedNic | undefined,
  nic: Interface | undefined,
): Pick<Difference, 'wanted' | 'found'> {
  if (content === wanted) return { wanted: 'readable by root alone', found: 'readable by others' };
  const mine = group?.nic;
  if (mine !== undefined && nic !== undefined) {
    const keys = VALUES.filter((key) => textOf(mine, key) !== textOf(nic, key));
    const list = (of: Interface): string => keys.map((key) => `${key} ${textOf(of, key)}`).join(', ');
    if (keys.length > 0) return { wanted: list(nic), found: list(mine) };
  }
  return firstChangedLine(wanted, content);
}

const VALUES = ['name', 'mac', 'address', 'mtu', 'netplanId'] as const;

function textOf(nic: Interface, key: (typeof VALUES)[number]): string {
  return key === 'address' ? (ownCidrOf(nic) ?? 'none') : String(nic[key] ?? 'none');
}

/** The first line that differs, after the lines that both texts begin with and before those that both end with. */
function firstChangedLine(wanted: string, content: string): { wanted: string; found: string } {
  const [before, after] = [wanted, content].map((text) => text.split('\n')) as [string[], string[]];
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end))
    end += 1;
  const lineOf = (lines: readonly string[]): string =>
    start < lines.length - end ? `"${lines[start]?.trim()}"` : 'nothing';
  return { wanted: lineOf(before), found: lineOf(after) };
}

/** NICs that the last run found, and that are not on the machine any more. */
function missingLinks({ desired, applied }: Situation, { missing }: Plan): FoundDifference[] {
  return desired.network
    .filter(({ mac }) => missing.includes(mac) && isKnown(applied, mac))
    .map(({ name, mac }) => found({ kind: 'LinkMissing', name, mac }));
}

function isKnown(applied: Applied | undefined, mac: Mac): boolean {
  return applied === undefined || applied.nics[mac] !== undefined;
}

function linkDifferences({ links }: HostState, { present, targets }: Plan): FoundDifference[] {
  return present.flatMap((nic) => {
    const { mac } = nic;
    const link = nicOf(links, mac);
    const target = targets.find((each) => each.mac === mac);
    return link === undefined || target === undefined
      ? []
      : ofLink(link, target, cidrsOf(nic)).map((each) => found(each));
  });
}

function ofLink(link: Link, target: LinkTarget, addresses: readonly string[]): Difference[] {
  const { name, mac } = target;
  const held = addresses.filter((address) => link.addresses.includes(address));
  const isFirst = held.some(
    (address) => target.yields?.includes(address) === true && link.yields?.includes(address) !== true,
  );
  const all: (Difference | false)[] = [
    link.name !== name && { kind: 'LinkRenamed', name, mac, wanted: name, found: link.name },
    !link.up && { kind: 'LinkDown', name, mac },
    link.mtu !== target.mtu && {
      kind: 'MtuChanged',
      name,
      mac,
      wanted: String(target.mtu),
      found: String(link.mtu),
    },
    ...except(addresses, held).map((wanted): Difference => ({ kind: 'AddressMissing', name, mac, wanted })),
    isFirst && { kind: 'MetricChanged', name, mac, wanted: String(metricOf(name)) },
    ...ofRouting(link, target),
    target.ipv6?.acceptRa === 0 &&
      (link.ipv6?.acceptRa ?? 0) !== 0 && { kind: 'RouterAdvertisements', name, mac },
    target.networkManager === false &&
      link.networkManager === true && { kind: 'NetworkManagerManages', name, mac },
    ...link.addresses
      .filter((each) => target.dropped.includes(each))
      .map((each): Difference => ({ kind: 'AddressExtra', name, mac, found: each })),
  ];
  return all.filter((each) => each !== false);
}

/** Differences in our rules, routes and settings. Rules and routes of other software are no difference. */
function ofRouting({ routing: now = NO_ROUTING }: Link, target: LinkTarget): Difference[] {
  const { name, mac, routing = NO_ROUTING, unrouted = NO_ROUTING } = target;
  const absent = onlyIn(routing, now);
  return [
    ...absent.rules.map((rule) => ({ kind: 'RuleMissing' as const, name, mac, wanted: wordsOf(rule) })),
    ...absent.routes.map((route) => ({ kind: 'RouteMissing' as const, name, mac, wanted: wordsOf(route) })),
    ...now.rules
      .filter((rule) => unrouted.rules.includes(rule))
      .map((rule) => ({ kind: 'RuleExtra' as const, name, mac, found: wordsOf(rule) })),
    ...now.routes
      .filter((route) => unrouted.routes.includes(route))
      .map((route) => ({ kind: 'RouteExtra' as const, name, mac, found: wordsOf(route) })),
    ...Object.entries(settingsApart(now, routing)).map(([key, value]) => ({
      kind: 'SettingChanged' as const,
      name,
      mac,
      wanted: `${key} ${value}`,
      found: `${key} ${now.sysctls[key] ?? 'none'}`,
    })),
  ];
}

/** @param content the whole found text, if the difference has only a part of it */
function found(difference: Difference, content = ''): FoundDifference {
  const { path, wanted, found: what } = difference;
  return {
    difference: {
      ...difference,
      ...(path !== undefined && { path: visible(path) }),
      ...(wanted !== undefined && { wanted: visible(wanted) }),
      ...(what !== undefined && { found: visible(what) }),
    },
    content: createHash('sha256')
      .update(JSON.stringify([difference, content]))
      .digest('hex'),
  };
}

/** A text of the host as the report may have it: visible, on one line, bounded. */
function visible(text: string): string {
  const cut = text.length <= DIFFERENCE_TEXT_MAX ? text : `${text.slice(0, DIFFERENCE_TEXT_MAX - 1)}…`;
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
}
