import { MultinicError } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import type { Oid } from '../../api/oid.ts';
import { parseCidr, width } from '../../network/address.ts';
import {
  addressesOf,
  cidrsOf,
  indexOfName,
  isLinkOnly,
  ownCidrOf,
  type Interface,
  type Network,
} from '../../network/interface.ts';
import { byNetworkManager, type RendererKind } from '../../network/node.ts';
import type { Files } from '../../network/renderer.ts';
import { rendererOf } from '../../network/renderers.ts';
import { entriesByMac, type Mac } from '../../network/mac.ts';
import type { BootNic } from '../foreign/systemd-files.ts';
import { CARRIER_WAIT_PATH, carrierWait } from '../files/carrier-wait.ts';
import { sharesSubnet } from './overlap.ts';
import { orderFiles, type FileStep } from './file-order.ts';
import { findOrphans, type Orphan } from './orphans.ts';
import { describes, isShared, type DescribedNic } from '../foreign/foreign-nics.ts';
import type { HostState, Ipv6, Link } from '../host/machine.ts';
import { except, ipOf, linkSteps, nameByMac, nicOf, quietIpv6, type LinkTarget } from '../host/links.ts';
import {
  knownRouting,
  NO_ROUTING,
  routingTarget,
  sameRouting,
  wantedRouting,
  type LinkRouting,
} from '../host/routing.ts';
import { meansTheSame, parseOne, type ManagedNic } from '../files/managed-files.ts';
import { metricFile, metricPath } from '../files/route-metric.ts';
import { noAutoDefault, noAutoDefaultPath } from '../files/no-auto-default.ts';
import { sha256, type Applied } from '../files/host-record.ts';
import { isNewMachine } from './new-machine.ts';
import type { LeftNic } from './used-nics.ts';

/** The state that the node's commit describes. */
export interface Desired {
  readonly commit: Oid;
  readonly kind: RendererKind;
  readonly network: Network;
  /** The commit's managed files. */
  readonly files: Files;
}

/** Everything that a decision needs. */
export interface Situation {
  readonly desired: Desired;
  readonly host: HostState;
  readonly managed: readonly ManagedNic[];
  readonly described: readonly DescribedNic[];
  /** MACs of NICs for which NetworkManager must not make an automatic profile. */
  readonly noAutoDefault: readonly Mac[];
  /** Files that set the metric of our connected routes: path to content. */
  readonly metricFiles: ReadonlyMap<string, string>;
  /** The content of the file that tells NetworkManager not to wait for carriers at boot; undefined: no such file. */
  readonly carrierWait: string | undefined;
  readonly applied: Applied | undefined;
  /** The commit that the controller believes to be on the host; null: none. */
  readonly expectedRecord: Oid | null;
  /** Whether running links are changed too, or files alone. */
  readonly links: boolean;
}

export interface FoundNic {
  readonly mac: Mac;
  readonly name: string;
  readonly netplanId?: string;
}

export interface Plan {
  /** Steps in the order in which the run carries them out; empty: the files are right. */
  readonly files: readonly FileStep[];
  /** Paths that stay, byte for byte. */
  readonly kept: readonly string[];
  readonly orphans: readonly Orphan[];
  /** MACs of NICs that are in the commit and not on the machine. */
  readonly missing: readonly string[];
  /** The commit's NICs that are on the machine, among them link-only NICs that a pod has. */
  readonly present: Network;
  /** Links that may have to change, with the state that each is to have. */
  readonly targets: readonly LinkTarget[];
  readonly lingering: readonly Lingering[];
  /** NICs of the commit that other software uses, and that stay as they are. */
  readonly left: readonly LeftNic[];
}

/**
 * A NIC with addresses that networkd adds again when the link gets a carrier. These are removed addresses, and the
 * NIC's own address if networkd loaded it without the metric.
 */
export interface Lingering {
  readonly mac: Mac;
  readonly name: string;
  readonly addresses: readonly string[];
  /** The own address that networkd holds without the metric. */
  readonly withoutMetric?: string;
  /** Rules and routes that networkd loaded at boot, if they differ from those of the NIC. */
  readonly heldRouting?: LinkRouting;
}

export type Decision =
  | { readonly kind: 'apply'; readonly plan: Plan }
  /** NICs have names or netplan IDs that the commit does not give them. The controller has to commit these. */
  | { readonly kind: 'adopt'; readonly found: readonly FoundNic[] }
  /** The host was changed under another commit than the controller believes. */
  | { readonly kind: 'diverged'; readonly found: readonly FoundNic[] };

/**
 * Decides what a run does, from the detected situation. Touches nothing.
 * @throws MultinicError `ForeignFile`, `ForeignConfig`, `DuplicateMac`, `NetplanIdTaken`
 */
export function decide(situation: Situation): Decision {
  const { host, applied, expectedRecord } = situation;
  refuseForeign(situation);
  const plan = makePlan(situation);
  const found = multinicLinks(host.links);
  if ((applied?.commit ?? null) !== expectedRecord && !isNewMachine(situation)) {
    const namesAgree =
      !situation.links || plan.present.every((nic) => (nicOf(host.links, nic.mac) ?? nic).name === nic.name);
    if (plan.files.length > 0 || !namesAgree) return { kind: 'diverged', found };
  }
  if (isMisnamed(situation, plan)) return { kind: 'adopt', found };
  refuseMore(situation, plan);
  const ids = netplanIdsToAdopt(situation, plan);
  return ids.length > 0 ? { kind: 'adopt', found: ids } : { kind: 'apply', plan };
}

/**
 * Plans as a run does, for an observation. Refuses no foreign file, because an observation reports such a file as a
 * difference.
 * @throws MultinicError `DuplicateMac`
 */
export function compare(situation: Situation): Exclude<Decision, { kind: 'diverged' }> {
  const plan = makePlan(situation);
  return isMisnamed(situation, plan)
    ? { kind: 'adopt', found: multinicLinks(situation.host.links) }
    : { kind: 'apply', plan };
}

/** Whether a NIC has a managed name that neither the commit nor the agent gave it. */
function isMisnamed({ host, applied }: Situation, { present }: Plan): boolean {
  return present.some((nic) => {
    const name = nicOf(host.links, nic.mac)?.name ?? '';
    return name !== nic.name && isManagedName(name) && applied?.nics[nic.mac]?.name !== name;
  });
}

/**
 * Whether a link-only NIC that the agent has configured is in another network namespace by now. Multus gives such NICs
 * to pods.
 */
function isElsewhere({ host, applied }: Situation, nic: Interface): boolean {
  const isKnown = applied?.nics[nic.mac] !== undefined;
  return isLinkOnly(nic) && isKnown && nicOf(host.links, nic.mac) === undefined;
}

/** @throws MultinicError `DuplicateMac` */
function makePlan(situation: Situation): Plan {
  const { desired, host, managed } = situation;
  refuseDuplicates(desired.network, host);
  const renderer = rendererOf(desired.kind);
  const here = desired.network.filter((nic) => nicOf(host.links, nic.mac) !== undefined);
  const present = desired.network.filter((nic) => here.includes(nic) || isElsewhere(situation, nic));
  const missing = desired.network.filter((nic) => !present.includes(nic)).map((nic) => nic.mac);

  const kept: string[] = [];
  const writes: FileStep[] = [];
  for (const nic of present) {
    const group = managed.find((each) => each.renderer.kind === desired.kind && each.name === nic.name);
    for (const path of renderer.render(nic).keys()) {
      const wanted = desired.files.get(path) ?? '';
      const stays = isKept(situation, nic, group, path, wanted);
      const content = stays ? (group?.files.get(path) ?? wanted) : wanted;
      if (stays && group?.ignored.has(path) !== true) kept.push(path);
      else writes.push({ op: 'write', path, content, mode: renderer.hostMode(path) });
    }
  }
  const wantedPaths = new Set([...kept, ...writes.map(({ path }) => path)]);
  const orphans = findOrphans(managed, wantedPaths, desired.files);
  const files = [...orderFiles(orphans, writes, managed, present), ...noAutoDefaultSteps(situation)];
  const wanted = here.map((nic) => wantedLink(situation, nic));
  const targets = situation.links ? [...releasedLinks(situation), ...wanted] : [];
  const yielding = yieldingNics(situation, present, { files, targets });
  const metrics = metricSteps(situation, yielding);
  return {
    // A metric file is written before the NIC's own file, and removed after it.
    files: [
      ...metrics.filter(({ op }) => op === 'write'),
      ...files,
      ...carrierWaitSteps(situation, present, files),
      ...metrics.filter(({ op }) => op === 'remove'),
    ],
    kept,
    orphans,
    missing,
    present,
    targets: targets.map((target) => withYield(target, present, yielding)),
    lingering: present.flatMap((nic) =>
      lingering(situation, nic, isHeldWithoutMetric(situation, nic, yielding, metrics)),
    ),
    left: [],
  };
}

/**
 * Addresses that networkd may add again; the record keeps them during the boot, because the files may be newer than the
 * files that networkd has loaded. A NIC that gets another name has none: networkd releases it, because netplan's files
 * match on the name too.
 */
function lingering(situation: Situation, nic: Interface, withoutMetric: boolean): Lingering[] {
  const { mac, name } = nic;
  const link = nicOf(situation.host.links, mac);
  if (link?.name !== name) return [];
  const ours = givenAddresses(situation, mac);
  const addresses = new Set([
    ...addedAgain(situation, mac),
    ...(link.loaded ?? []).filter((each) => ours.has(each)),
  ]);
  for (const each of cidrsOf(nic)) addresses.delete(each);
  const own = withoutMetric ? ownCidrOf(nic) : undefined;
  if (own !== undefined) addresses.add(own);
  const heldRouting = routingHeld(situation, nic, link);
  if (addresses.size === 0 && heldRouting === undefined) return [];
  return [
    {
      mac,
      name,
      addresses: [...addresses],
      ...(own !== undefined && { withoutMetric: own }),
      ...(heldRouting && { heldRouting }),
    },
  ];
}

/**
 * The rules and routes that networkd loaded at boot. networkd adds them again when the NIC gets its carrier back, so the
 * record keeps them during the boot.
 * @returns undefined: the NIC has the same, or networkd does not manage the NIC
 */
function routingHeld(
  { applied, desired, host }: Situation,
  nic: Interface,
  link: Link,
): LinkRouting | undefined {
  const known = applied?.nics[nic.mac];
  if (byNetworkManager(desired.kind) || link.loaded === undefined || known === undefined) return undefined;
  const kept = known.lingering?.bootId === host.bootId ? known.lingering.routing : undefined;
  const held = { ...(kept ?? known.routing ?? NO_ROUTING), sysctls: {} };
  return sameRouting(held, { ...wantedRouting(nic), sysctls: {} }) ? undefined : held;
}

/**
 * Whether networkd loaded the address of a NIC before the metric file came. The record keeps such an address among the
 * addresses that networkd adds again during the boot.
 */
function isHeldWithoutMetric(
  situation: Situation,
  nic: Interface,
  yielding: Network,
  metrics: readonly FileStep[],
): boolean {
  const { desired, host } = situation;
  const own = ownCidrOf(nic);
  if (byNetworkManager(desired.kind) || own === undefined || !yielding.includes(nic)) return false;
  const path = metricPath(nic, desired.kind);
  const isNew = metrics.some((step) => step.op === 'write' && step.path === path);
  const isLoaded = nicOf(host.links, nic.mac)?.loaded?.includes(own) === true;
  return isLoaded && (isNew || addedAgain(situation, nic.mac).includes(own));
}

/**
 * A file stays if it has the commit's bytes, or if it means the same and the record does not show that the commit has
 * changed the file. So moving from the earlier agent, or a lost record, changes no byte, and a rerender is still
 * applied.
 */
function isKept(
  { applied, expectedRecord }: Situation,
  nic: Interface,
  group: ManagedNic | undefined,
  path: string,
  content: string,
): boolean {
  const actual = group?.files.get(path);
  if (actual === undefined) return false;
  if (actual === content) return true;
  if (group?.nic === undefined || !meansTheSame(group.nic, nic)) return false;
  const known = applied?.commit === expectedRecord ? applied?.files[path] : undefined;
  return known === undefined || known.commit === sha256(content);
}

function wantedLink(situation: Situation, nic: Interface): LinkTarget {
  const link = nicOf(situation.host.links, nic.mac);
  const own = cidrsOf(nic);
  const ips = addressesOf(nic);
  const ours = givenAddresses(situation, nic.mac);
  const now = link?.addresses ?? [];
  const dropped = except([...ours, ...now.filter((each) => ips.includes(ipOf(each)))], own);
  const addresses = [...except(now, [...dropped, ...own]), ...own];
  const ipv6 = wantedIpv6(link?.ipv6, addresses, situation.desired.kind);
  return {
    mac: nic.mac,
    name: nic.name,
    mtu: nic.mtu,
    up: true,
    addresses,
    dropped,
    ...keptYields(link, addresses),
    ...(ipv6 && { ipv6 }),
    ...managerTarget(situation, nic.mac, link),
    ...routingTarget(
      wantedRouting(nic),
      givenRouting(situation, nic.mac),
      situation.applied?.nics[nic.mac]?.routing?.sysctls,
    ),
  };
}

/**
 * Decides who manages a NIC: networkd with netplan's files, NetworkManager with any other files. If our present files
 * are netplan's, NetworkManager had released the NIC for them, so it manages the NIC again with the new files.
 */
function managerTarget(
  { desired, managed }: Situation,
  mac: Mac,
  link: Link | undefined,
): Pick<LinkTarget, 'networkManager'> {
  if (!byNetworkManager(desired.kind)) return link?.networkManager === true ? { networkManager: false } : {};
  const isOfNetplan = managed.some(
    ({ renderer, nic }) => !byNetworkManager(renderer.kind) && nic?.mac === mac,
  );
  return link?.networkManager === false && isOfNetplan ? { networkManager: true } : {};
}

/** The routing of a NIC that files and record show to be ours. */
function givenRouting({ managed, applied }: Situation, mac: Mac): LinkRouting {
  const inFiles = managed.flatMap(({ nic }) => (nic?.mac === mac ? [nic] : []));
  return knownRouting(inFiles, applied).get(mac) ?? NO_ROUTING;
}

function keptYields(link: Link | undefined, addresses: readonly string[]): Pick<Link, 'yields'> {
  const yields = link?.yields?.filter((each) => addresses.includes(each)) ?? [];
  return yields.length === 0 ? {} : { yields };
}

/** The kernel's settings of a link on which it begins to do IPv6. */
const KERNEL_DEFAULT: Ipv6 = { acceptRa: 1, addrGenMode: 0 };

/**
 * The wanted IPv6 settings of a link. Under NetworkManager only router advertisements are set, because NetworkManager
 * turns IPv6 on and off and makes link-local addresses itself.
 */
function wantedIpv6(
  now: Ipv6 | undefined,
  addresses: readonly string[],
  kind: RendererKind,
): Ipv6 | undefined {
  if (byNetworkManager(kind)) return now && { ...now, acceptRa: 0 };
  const hasIpv6 = addresses.some((address) => address.includes(':'));
  return quietIpv6(now ?? KERNEL_DEFAULT, hasIpv6);
}

/**
 * Targets of our NICs that the commit no longer has. Each NIC gets back the state that it had before the agent, as far
 * as that state is known.
 */
function releasedLinks(situation: Situation): LinkTarget[] {
  const { desired, host, managed, applied } = situation;
  const macs = new Set([
    ...entriesByMac(applied?.nics ?? {}).map(([mac]) => mac),
    ...managed.flatMap((group) => group.nic?.mac ?? []),
  ]);
  for (const nic of desired.network) macs.delete(nic.mac);
  const names = new Set([...host.links.map((link) => link.name), ...desired.network.map((nic) => nic.name)]);
  return [...macs].flatMap((mac) => {
    const link = nicOf(host.links, mac);
    if (link === undefined) return [];
    const given = applied?.nics[mac];
    const dropped = [...givenAddresses(situation, mac)];
    const addresses = except(link.addresses, dropped);
    let { name } = link;
    // After a run with mode `files` the boot gives the NIC the name in its file, which is newer than the name in the
    // record.
    const inFile = managed.find(({ nic }) => nic?.mac === mac)?.name;
    if (given?.name === name || (given !== undefined && inFile === name)) {
      const origin = given.origin?.name;
      // The NIC gets the name of its MAC if the old name is unknown, or if another link has that name by now.
      name = origin === undefined || isManagedName(origin) || names.has(origin) ? nameByMac(mac) : origin;
      names.add(name);
    }
    // A link with a foreign address stays as it is, because other software needs it.
    const up = addresses.length > 0 ? link.up : (given?.origin?.up ?? false);
    const mtu = given?.origin?.mtu ?? link.mtu;
    const routing = routingTarget(NO_ROUTING, givenRouting(situation, mac), given?.routing?.sysctls);
    return [{ mac, name, mtu, up, addresses, dropped, ...keptYields(link, addresses), ...routing }];
  });
}

/**
 * Forbids automatic profiles for NICs that NetworkManager managed or would manage again, while these NICs are on the
 * machine. No file is needed if netplan configures the NICs and no NetworkManager answers.
 */
function noAutoDefaultSteps(situation: Situation): FileStep[] {
  const { desired, host, managed, noAutoDefault: told } = situation;
  const isTold =
    byNetworkManager(desired.kind) || host.links.some(({ networkManager }) => networkManager !== undefined);
  const released = managed
    .flatMap(({ renderer: { kind }, nic }) =>
      nic !== undefined && (byNetworkManager(kind) || wasOfManager(situation, nic.mac)) ? [nic.mac] : [],
    )
    .filter((mac) => nicOf(host.links, mac) !== undefined && desired.network.every((nic) => nic.mac !== mac));
  return [
    ...released
      .filter((mac) => !told.includes(mac))
      .map((mac): FileStep => ({
        op: 'write',
        path: noAutoDefaultPath(mac),
        content: noAutoDefault(mac),
        mode: 0o644,
      })),
    ...told
      .filter((mac) => isTold && nicOf(host.links, mac) === undefined)
      .map((mac): FileStep => ({ op: 'remove', path: noAutoDefaultPath(mac) })),
  ];
}

/** Whether NetworkManager managed the NIC before the agent did, and answers now. */
function wasOfManager({ host, applied }: Situation, mac: Mac): boolean {
  return (
    applied?.nics[mac]?.origin?.networkManager === true &&
    nicOf(host.links, mac)?.networkManager !== undefined
  );
}

/**
 * NICs whose connected route has to yield to another NIC's route to the same subnet. A NIC without another change stays
 * as it is, because a new version of the agent changes no host by itself.
 */
function yieldingNics(
  { desired, host, metricFiles }: Situation,
  present: Network,
  { files, targets }: Pick<Plan, 'files' | 'targets'>,
): Network {
  const changed = new Set(linkSteps(host.links, targets).map(({ mac }) => mac));
  const paths = new Set(files.map(({ path }) => path));
  return present.filter((nic) => {
    const hasMetric = metricFiles.has(metricPath(nic, desired.kind));
    const changes =
      changed.has(nic.mac) ||
      [...rendererOf(desired.kind).render(nic).keys()].some((path) => paths.has(path));
    // The files of a NIC with source routing contain the metric, so the NIC needs no metric file.
    if (nic.sourceRouting === true) return false;
    return hasMetric && !changes ? true : (hasMetric || changes) && sharesSubnet(nic, present, targets, host);
  });
}

function metricSteps({ desired, metricFiles }: Situation, yielding: Network): FileStep[] {
  const wanted = new Map(
    yielding.map((nic) => [metricPath(nic, desired.kind), metricFile(nic, desired.kind)]),
  );
  return [
    ...[...wanted]
      .filter(([path, content]) => metricFiles.get(path) !== content)
      .map(([path, content]): FileStep => ({ op: 'write', path, content, mode: 0o644 })),
    ...[...metricFiles.keys()]
      .filter((path) => !wanted.has(path))
      .map((path): FileStep => ({ op: 'remove', path })),
  ];
}

function withYield(target: LinkTarget, present: Network, yielding: Network): LinkTarget {
  const nic = present.find(({ mac }) => mac === target.mac);
  if (nic === undefined || (nic.sourceRouting !== true && !yielding.includes(nic))) return target;
  const own = nic.sourceRouting === true ? cidrsOf(nic).filter(hasSubnet) : cidrsOf(nic).slice(0, 1);
  return { ...target, yields: [...except(target.yields ?? [], own), ...own] };
}

/** The kernel makes no connected route of a single address. */
function hasSubnet(address: string): boolean {
  const cidr = parseCidr(address);
  return cidr !== undefined && cidr.prefix < width(cidr);
}

/**
 * Steps for the file of carrier-wait.ts. The file changes only together with other files, because a host that the
 * earlier agent configured may be right without it.
 */
function carrierWaitSteps(
  { desired, carrierWait: now }: Situation,
  present: Network,
  others: readonly FileStep[],
): FileStep[] {
  const path = CARRIER_WAIT_PATH;
  const content = byNetworkManager(desired.kind) ? carrierWait(present) : undefined;
  if (content === now || others.length === 0) return [];
  return [content === undefined ? { op: 'remove', path } : { op: 'write', path, content, mode: 0o644 }];
}

/** The addresses that the agent gave a NIC, by its files and the record. */
function givenAddresses(situation: Situation, mac: Mac): Set<string> {
  const { managed, applied } = situation;
  const inFiles = managed.flatMap(({ nic }) => (nic?.mac === mac ? cidrsOf(nic) : []));
  const known = applied?.nics[mac];
  const inRecord = known === undefined ? [] : [known.address ?? [], known.furtherAddresses ?? []].flat();
  return new Set([...inFiles, ...inRecord, ...addedAgain(situation, mac)]);
}

/** Addresses that the agent removed and networkd adds again in this boot. */
function addedAgain({ host, applied }: Situation, mac: Mac): readonly string[] {
  const known = applied?.nics[mac]?.lingering;
  return known?.bootId === host.bootId ? known.addresses : [];
}

/**
 * Whether the files that a NIC has at managed paths are foreign: they do not parse as ours, alone or with their
 * counterpart, and the record does not say that the agent wrote files at these paths.
 */
export function isForeign(
  { desired, applied }: Situation,
  { renderer, name, files, nic }: ManagedNic,
): boolean {
  if (nic !== undefined) return false;
  if ([...files.keys()].every((path) => applied?.files[path] !== undefined)) return false;
  if (renderer.kind !== desired.kind) return true;
  const wanted = desired.network.find((each) => each.name === name);
  const counterparts = [...desired.files].filter(
    ([path]) => wanted !== undefined && renderer.render(wanted).has(path),
  );
  return parseOne(renderer, new Map([...counterparts, ...files])) === undefined;
}

function refuseForeign(situation: Situation): void {
  const foreign = situation.managed.find((each) => isForeign(situation, each));
  if (foreign === undefined) return;
  const paths = [...foreign.files.keys()].join(', ');
  throw new MultinicError(
    'ForeignFile',
    `${paths} on the host is not a file that multinic-agent wrote; move it away, then run \`multinic retry\``,
    { data: { paths } },
  );
}

/** Refuses a MAC that two NICs have. Bond members share the MAC of their bond, and VLANs that of the NIC below. */
function refuseDuplicates(network: Network, { links, uppers = [] }: HostState): void {
  for (const { mac, name } of network) {
    const all = links.filter((link) => link.mac === mac && link.master === undefined);
    const same = all.filter((link) =>
      uppers.every((upper) => upper.name !== link.name || all.every((each) => each.name !== upper.lower)),
    );
    if (same.length > 1) {
      throw new MultinicError(
        'DuplicateMac',
        `${mac} (${name}) is the MAC of ${same.map((link) => link.name).join(' and ')}; give the NICs MACs of their own, or remove the VLAN or bridge that copies it`,
        { data: { mac } },
      );
    }
  }
}

/**
 * Whether `apply: full` makes the network manager read its files again: for new files, and for old files that the
 * manager still holds.
 */
export function needsReload({ files, lingering }: Plan, mode: AgentJob['apply']): boolean {
  return mode === 'full' && (files.length > 0 || lingering.length > 0);
}

/** NICs of the commit whose files the plan writes, with the foreign descriptions of each. */
function describedBy(
  { desired, host, described, applied }: Situation,
  plan: Plan,
): {
  readonly nic: Interface;
  readonly mine: readonly DescribedNic[];
  readonly profiles: readonly DescribedNic[];
  readonly isMine: (each: DescribedNic) => boolean;
}[] {
  const renderer = rendererOf(desired.kind);
  const by = desired.kind === 'netplan' ? 'netplan' : 'profile';
  return plan.present.flatMap((nic) => {
    const paths = renderer.render(nic);
    if (!plan.files.some((step) => step.op === 'write' && paths.has(step.path))) return [];
    const known = [nicOf(host.links, nic.mac)?.name, applied?.nics[nic.mac]?.origin?.name];
    const names = [...known, nic.name, nic.netplanId].flatMap((name) => name ?? []);
    const isMine = (each: DescribedNic): boolean => describes(each, { mac: nic.mac, names });
    const all = described.filter(isMine);
    // Beside netplan a profile counts as long as NetworkManager manages the NIC.
    const profiles = nicOf(host.links, nic.mac)?.networkManager === true ? all : [];
    return [{ nic, mine: all.filter((each) => each.by === by), profiles, isMine }];
  });
}

/**
 * Refuses NICs that a foreign file configures with more than DHCP. Installers write DHCP for any NIC, so a person wrote
 * the other settings.
 */
function refuseMore(situation: Situation, plan: Plan): void {
  for (const { nic, mine, profiles } of describedBy(situation, plan)) {
    const rich = [...mine, ...profiles].find(({ more }) => more.length > 0);
    if (rich === undefined || nic.takeover === true) continue;
    throw new MultinicError(
      'ForeignConfig',
      `${rich.file} gives ${nic.name} (${nic.mac}) more than DHCP (${rich.more.join(', ')}); take that NIC out of the file, or write takeover: true for it in the MultiNicBizConfig`,
      { data: { file: rich.file, mac: nic.mac } },
    );
  }
}

/**
 * NICs that another netplan file describes under an ID which the commit does not have. netplan merges definitions by ID,
 * so the commit has to take that ID over.
 * @throws MultinicError `NetplanIdTaken`
 */
function netplanIdsToAdopt(situation: Situation, plan: Plan): FoundNic[] {
  if (situation.desired.kind !== 'netplan') return [];
  return describedBy(situation, plan).flatMap(({ nic, mine, isMine }): FoundNic[] => {
    const id = nic.netplanId ?? nic.name;
    const foreign = situation.described.find(
      (each) => each.by === 'netplan' && each.id === id && !isMine(each) && each.match.mac !== undefined,
    );
    if (foreign !== undefined) throw netplanIdTaken(foreign, nic);
    // The ID of a description that fits several NICs cannot belong to one NIC. The check of the next boot shows whether
    // it wins.
    const own = mine.filter((each) => !isShared(each));
    const [first] = own;
    if (first === undefined || own.some((each) => each.id === id)) return [];
    const other = own.findLast((each) => !isManagedName(each.id));
    if (other === undefined) throw netplanIdTaken(first, nic);
    return [{ mac: nic.mac, name: nic.name, netplanId: other.id }];
  });
}

function netplanIdTaken({ file }: DescribedNic, { name, mac }: Interface): MultinicError {
  return new MultinicError(
    'NetplanIdTaken',
    `${file} uses a netplan ID for ${name} (${mac}) that cannot be shared; remove that definition, then run \`multinic retry\``,
  );
}

/**
 * NICs of the commit, each with the names that a boot may find it under: the kernel's name, and the name before the
 * agent.
 */
export function bootNics({ present }: Plan, host: HostState, applied: Applied | undefined): BootNic[] {
  return present.map(({ mac }) => {
    const known = [nicOf(host.links, mac)?.name, applied?.nics[mac]?.origin?.name];
    const names = known.flatMap((name) => (name === undefined || isManagedName(name) ? [] : [name]));
    return { mac, names: [...names, 'eth1'] };
  });
}

function multinicLinks(links: readonly Link[]): FoundNic[] {
  return links.filter((link) => isManagedName(link.name)).map(({ mac, name }) => ({ mac, name }));
}

function isManagedName(name: string): boolean {
  return indexOfName(name) !== undefined;
}
