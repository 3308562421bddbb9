import { MultinicError } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import { ownCidrOf, type Interface } from '../../network/interface.ts';
import { byNetworkManager } from '../../network/node.ts';
import { rendererOf } from '../../network/renderers.ts';
import { tableOf } from '../../network/source-routing.ts';
import type { Applied, HostRecord } from '../files/host-record.ts';
import { CONFIG_FOLDERS } from '../files/managed-files.ts';
import { isMetricFile, metricPath } from '../files/route-metric.ts';
import type { Root } from '../files/root.ts';
import type { Host } from '../host/host.ts';
import { linkSteps } from '../host/links.ts';
import type { HostState, Destinations, RouteLookup } from '../host/machine.ts';
import { answering, probesOf, type Endpoint, type Probe } from '../host/probe.ts';
import type { ProfileChange } from '../plan/change-plan.ts';
import type { Desired, Plan } from '../plan/plan.ts';
import { needsNetworkManager, profilePaths, wantedProfiles } from '../plan/profiles.ts';
import { isThere, sharesSubnet } from '../plan/overlap.ts';
import { preflight } from '../plan/preflight.ts';
import { leaveUsed } from '../plan/used-nics.ts';
import { linksByDestination, destinationsOf } from './route-lookups.ts';

export interface ExamineContext {
  readonly root: Root;
  readonly host: Pick<Host, 'machine' | 'managers' | 'boot'>;
  readonly record: HostRecord;
  /** Addresses that must not be cut off. */
  readonly peers: readonly string[];
  readonly probes: readonly string[];
  readonly mode: AgentJob['apply'];
  readonly apiServer: Endpoint | undefined;
}

/** Findings of the checks before a change. */
export interface Examined {
  /** Absent: NetworkManager has no part in the plan. */
  readonly profiles: ProfileChange | undefined;
  /** Machines that have to answer after the change. */
  readonly probes: readonly Probe[];
  /**
   * The API server that has to answer after the change. Absent: it does not answer before the change, so the change
   * cannot be the cause.
   */
  readonly apiServer: Endpoint | undefined;
  readonly destinations: Destinations;
  /** Lookups of the kernel's routes that must have the same result afterwards. */
  readonly lookups: readonly RouteLookup[];
}

/**
 * Makes every check that can refuse a change, before anything is touched.
 * @throws MultinicError as the step preflight in docs/agent.md
 */
export async function examine(
  plan: Plan,
  before: HostState,
  desired: Desired,
  context: ExamineContext,
): Promise<Examined> {
  const { root, host, record } = context;
  const ours = new Set(Object.keys(record.applied?.nics ?? {}));
  const destinations = destinationsOf(before, context.peers);
  const lookups = await host.machine.lookUpRoutes(destinations);
  preflight(plan, before, linksByDestination(lookups), ours);
  refuseTakenRouting(plan, before, record.applied);
  await refuseWithoutMetric(plan, before, desired, host.boot);
  await refuseWithoutRouting(plan, before, desired, host.boot);
  for (const folder of [...foldersOf(plan), 'var/lib/multinic']) root.assertWritable(folder);
  const probes = probesOf(context.probes, plan.present);
  const profiles = await readProfiles(plan, desired, context);
  return { profiles, probes, apiServer: await answering(context.apiServer), destinations, lookups };
}

/**
 * The plan without the NICs that other software uses and that the commit does not change, and the host with the links
 * of its other network namespaces. A plan that changes nothing needs neither.
 */
export async function withUses(
  plan: Plan,
  before: HostState,
  { kind }: Desired,
  machine: Host['machine'],
): Promise<{ plan: Plan; before: HostState }> {
  if (plan.files.length === 0 && linkSteps(before.links, plan.targets).length === 0) return { plan, before };
  const uppers = [...(before.uppers ?? []), ...(await machine.uppersElsewhere())];
  const host = { ...before, uppers };
  return { plan: leaveUsed(plan, host, kind), before: host };
}

/**
 * Refuses rules and routes of other software if a NIC gets source routing for the first time. Later changes of other
 * software do not concern the agent.
 * @throws MultinicError `RoutingTaken`
 */
function refuseTakenRouting(plan: Plan, before: HostState, applied: Applied | undefined): void {
  const changed = new Set(linkSteps(before.links, plan.targets).map(({ mac }) => mac));
  for (const { mac, what } of before.foreignRouting ?? []) {
    const nic = plan.present.find((each) => each.mac === mac);
    const isNew = (applied?.nics[mac]?.routing?.rules ?? []).length === 0;
    if (nic?.sourceRouting !== true || !isNew || !changed.has(mac)) continue;
    throw new MultinicError(
      'RoutingTaken',
      `${nic.name} (${mac}) is to have rules and table ${tableOf(nic.name)} of its own, and other software has ${what} on the node; take that away from there (cloud-init, ec2-net-utils or a script of the node), or write sourceRouting: false for this NIC in the MultiNicBizConfig`,
      { data: { mac, what } },
    );
  }
}

/** @throws MultinicError `SubnetOverlaps` */
async function refuseWithoutMetric(
  { files, present }: Plan,
  before: HostState,
  { kind }: Desired,
  boot: Host['boot'],
): Promise<void> {
  const written = new Set(
    files.flatMap(({ op, path }) => (op === 'write' && isMetricFile(path) ? [path] : [])),
  );
  const nic = present.find((each) => written.has(metricPath(each, kind)) && !isThere(each, before));
  if (nic === undefined || (await boot.canYield(kind))) return;
  throw comesFirst(nic);
}

function comesFirst(nic: Interface): MultinicError {
  const address = ownCidrOf(nic) ?? '';
  return new MultinicError(
    'SubnetOverlaps',
    `${nic.name} (${nic.mac}) with ${address} is in the subnet of another NIC of this node, and systemd-networkd before 250 cannot let that NIC come first at boot; give this NIC an address of another subnet in the MultiNicBizConfig`,
    { data: { mac: nic.mac, address } },
  );
}

/**
 * Refuses source routing that the next boot would lose, or with which the next boot would cut the node off.
 * @throws MultinicError `RoutingUnsupported`, `SubnetOverlaps`
 */
async function refuseWithoutRouting(
  { files, present, targets }: Plan,
  before: HostState,
  { kind }: Desired,
  boot: Host['boot'],
): Promise<void> {
  const written = new Set(files.flatMap(({ op, path }) => (op === 'write' ? [path] : [])));
  const routed = present.filter(
    (nic) =>
      nic.sourceRouting === true &&
      [...rendererOf(kind).render(nic).keys()].some((path) => written.has(path)),
  );
  const [first] = routed;
  if (first === undefined) return;
  const can = await boot.routing(kind);
  if (can === 'none') {
    throw new MultinicError(
      'RoutingUnsupported',
      `${first.name} (${first.mac}) is to have source routing, and systemd-networkd before 245 knows no such rules, so the next boot would lose them; update the OS, or write sourceRouting: false for this NIC in the MultiNicBizConfig`,
      { data: { mac: first.mac } },
    );
  }
  const nic = routed.find((each) => sharesSubnet(each, present, targets, before));
  if (can === 'apart' && nic !== undefined) throw comesFirst(nic);
}

/** @throws MultinicError `NicUnmanaged` */
async function readProfiles(
  plan: Plan,
  { kind }: Desired,
  { root, host, mode }: ExamineContext,
): Promise<ProfileChange | undefined> {
  if (mode !== 'live' || !needsNetworkManager(plan, kind)) return undefined;
  const before = await host.managers.profiles(plan.targets.map(({ mac }) => mac));
  if (before === undefined) return undefined;
  // NICs that the run leaves, and NICs that NetworkManager begins to manage with this change.
  const others = new Set([
    ...plan.left.map(({ mac }) => mac),
    ...plan.targets.flatMap(({ mac, networkManager }) => (networkManager === true ? [mac] : [])),
  ]);
  const running = new Set(plan.targets.map(({ mac }) => mac));
  const unmanaged = plan.present.find(
    ({ mac }) => before[mac] === undefined && running.has(mac) && !others.has(mac),
  );
  if (byNetworkManager(kind) && unmanaged !== undefined) {
    throw new MultinicError(
      'NicUnmanaged',
      `NetworkManager does not manage ${unmanaged.name} (${unmanaged.mac}) on this node; have it do so, or, where netplan configures the node’s NICs, say so by the annotation multinic.io/renderer on the Node, then run \`multinic retry\``,
      { data: { mac: unmanaged.mac } },
    );
  }
  return { before, wanted: wantedProfiles(plan, kind, root), paths: profilePaths(plan, kind) };
}

function foldersOf(plan: Plan): string[] {
  return CONFIG_FOLDERS.filter((folder) => plan.files.some((step) => step.path.startsWith(`${folder}/`)));
}
