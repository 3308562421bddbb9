import { checkpoint } from '../../api/checkpoint.ts';
import { MultinicError } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import { byNetworkManager } from '../../network/node.ts';
import { activateLinks, type Settling } from './activate.ts';
import type { Claim, Host, HostState, LinkStep, Profiles, Way } from '../host/host.ts';
import { linkSteps, nicOf, type LinkTarget } from '../host/links.ts';
import type { Log } from './run-log.ts';
import { CONFIG_FOLDERS } from '../files/managed-files.ts';
import { preflight } from './preflight.ts';
import {
  answering,
  expectApiServer,
  probeFailed,
  probesOf,
  type Endpoint,
  type Probe,
} from '../host/probe.ts';
import { needsNetworkManager, profilePaths, wantedProfiles } from '../plan/profiles.ts';
import { sha256, type Applied, type HostRecord, type Pending } from '../files/host-record.ts';
import { bootNics, type Desired, type Plan } from '../plan/plan.ts';
import type { Root } from '../files/root.ts';
import { validateStaged } from './staging.ts';
import type { Steps } from './steps.ts';
import { describeError } from './result.ts';
import { disarm, giveBackOthers, isKnown, retaker, settler, undo } from './undo.ts';
import {
  atStake,
  expectedFiles,
  refuseConflicts,
  verifyFiles,
  verifyLinks,
  verifyReady,
  verifyRest,
} from './verify.ts';
import { linksOfWays, needsOf, verifyWays, type Needs } from './ways.ts';

export interface ChangeContext {
  readonly root: Root;
  readonly host: Host;
  readonly record: HostRecord;
  readonly steps: Steps;
  readonly log: Log;
  readonly clock: () => Date;
  /** Addresses that must not be cut off. */
  readonly peers: readonly string[];
  /** Whether the store still answers; throws when it does not. */
  readonly probe: () => Promise<void>;
  readonly mode: AgentJob['apply'];
  /** The host's network manager reads its files anew, all of them. */
  readonly reload: boolean;
  readonly probes: readonly string[];
  readonly apiServer: Endpoint | undefined;
  /** Seconds after which the host restores itself: later than this run would. */
  readonly deadManSeconds: number;
}

/**
 * Carries a plan out as a whole or not at all: whatever goes wrong after the first change, the host is put back to
 * what it was, and that is verified.
 * @returns what others had, and has not
 * @throws what went wrong, with the host as before; `RestoreFailed` when it could not be put back
 */
export async function change(
  plan: Plan,
  before: HostState,
  desired: Desired,
  applied: Applied | null,
  context: ChangeContext,
): Promise<readonly string[]> {
  const { root, host, record, steps, log } = context;
  const { manager, witnesses } = await steps.do('preflight', () => examine(plan, before, desired, context));
  const nics = bootNics(plan, before, context.record.applied);
  await steps.do('validate', () => validateStaged(root, host, desired.kind, plan, nics));
  await steps.do('backup', () => {
    for (const path of pathsOf(plan)) {
      const copy = root.backup(path, context.clock());
      if (copy !== undefined) log.info({ path, copy }, 'backed up');
    }
  });
  const pending = await steps.do('record', async () => {
    const begun = await describe(plan, before, applied, manager, context);
    record.begin(begun);
    return begun;
  });
  let lost: readonly string[];
  try {
    await steps.do('arm', () => host.arm(context.deadManSeconds));
    await steps.do('write', () => writeFiles(plan, context));
    lost = await steps.do('activate', () => activate(plan, pending, manager, context));
    await steps.do('verify', () => verify(plan, before, pending, context, witnesses));
    await steps.always('finish', () => record.finish(applied));
  } catch (error) {
    const failedIn = steps.current;
    log.error({ err: error, step: failedIn }, 'the change failed; restoring the host');
    lost = await steps.always('restore', () => restore(record.pending ?? pending, error, context));
    log.info('the host is as it was before, verified');
    if (abandon(context)) await disarm(host, log);
    throw new FailedChange(error, failedIn, lost);
  }
  await steps.always('disarm', () => disarm(host, log));
  return lost;
}

/** Says of a restore that failed what had failed before it. */
async function restore(
  pending: Pending,
  cause: unknown,
  { root, host, log }: ChangeContext,
): Promise<readonly string[]> {
  try {
    return await undo(pending, root, host, log);
  } catch (error) {
    const { reason, message } = describeError(error);
    throw new MultinicError(reason, `${message}. What had failed before: ${describeError(cause).message}`, {
      cause: error,
    });
  }
}

/**
 * On a full disk the record may keep a change that is undone already: the host's own restore, and the next run, find it so.
 * @returns whether the record is rid of it
 */
function abandon({ record, log }: ChangeContext): boolean {
  try {
    record.abandon();
    return true;
  } catch (error) {
    log.warn({ err: error }, 'the record could not be written; the next run clears it');
    return false;
  }
}

/** Carries the step in which a change failed past the restore that came after it. */
export class FailedChange extends Error {
  readonly step: Steps['current'];
  /** What others had, and has not after the restore. */
  readonly lost: readonly string[];

  constructor(cause: unknown, step: Steps['current'], lost: readonly string[]) {
    super('the change failed', { cause });
    this.step = step;
    this.lost = lost;
  }
}

async function writeFiles(plan: Plan, { root, steps, log }: ChangeContext): Promise<void> {
  for (const step of plan.files) {
    await steps.pause();
    if (step.op === 'write') root.write(step.path, step.content, step.mode);
    else root.remove(step.path);
    log.info({ path: step.path }, step.op === 'write' ? 'written' : 'removed');
    checkpoint('agent.write.file');
  }
}

async function activate(
  plan: Plan,
  pending: Pending,
  manager: Manager | undefined,
  { root, host, record, steps, log, reload }: ChangeContext,
): Promise<readonly string[]> {
  const change = async (step: LinkStep): Promise<void> => {
    await steps.pause();
    await host.change(step);
    log.info({ step }, 'link changed');
    checkpoint('agent.activate.link');
  };
  const claim = async (claims: readonly Claim[]): Promise<void> => {
    const wanted = claims.filter(({ mac }) => plan.present.some((nic) => nic.mac === mac));
    refuseConflicts(await host.conflicts(wanted), plan.present);
  };
  const told = manager && settling(plan, pending, manager);
  const settle = settler({ ...pending, reload }, host, told, () => record.begin({ ...pending, reload }));
  let lost: readonly string[] = [];
  const giveBack = async (): Promise<void> => {
    lost = await giveBackOthers(pending, root, host, log);
  };
  const renamed = retaker(pending, root, host);
  const targets = plan.targets.filter((target) => isOfChange(target, pending));
  await activateLinks({ host, targets, change, renamed, claim, settle, giveBack });
  return lost;
}

function isOfChange({ mac }: LinkTarget, { links: { after } }: Pending): boolean {
  return after.some((link) => link.mac === mac);
}

/** What the links have to be. On a NIC that does not change, what others have may come and go meanwhile. */
function expectedLinks({ targets, present }: Plan, pending: Pending): LinkTarget[] {
  return targets.map((target) => {
    if (isOfChange(target, pending)) return target;
    const nic = present.find(({ mac }) => mac === target.mac);
    return { ...target, addresses: nic === undefined ? [] : [`${nic.address}/${nic.prefix}`] };
  });
}

/**
 * Asks all that refuses a change before anything is touched.
 * @throws MultinicError as the step preflight in docs/agent.md
 */
export async function examine(
  plan: Plan,
  before: HostState,
  desired: Desired,
  context: Pick<ChangeContext, 'root' | 'host' | 'record' | 'peers' | 'probes' | 'mode' | 'apiServer'>,
): Promise<{ readonly manager: Manager | undefined; readonly witnesses: Witnesses }> {
  const { root, host, record } = context;
  const ours = new Set(Object.keys(record.applied?.nics ?? {}));
  const needs = needsOf(before, context.peers);
  const ways = await host.ways(needs);
  preflight(plan, before, linksOfWays(ways), ours);
  for (const folder of [...foldersOf(plan), 'var/lib/multinic']) root.assertWritable(folder);
  const probes = probesOf(context.probes, plan.present);
  const asked = await askManager(plan, desired, context);
  // An API server that does not answer beforehand is not this change's doing.
  const apiServer = await answering(context.apiServer);
  return { manager: asked, witnesses: { probes, apiServer, needs, ways } };
}

/** What NetworkManager has the plan's NICs do, and what it shall have them do. */
interface Manager {
  readonly before: Profiles;
  readonly wanted: Profiles;
  /** The file that each NIC's profile is in, by MAC. */
  readonly paths: ReadonlyMap<string, string>;
}

/** @throws MultinicError `NicUnmanaged` */
async function askManager(
  plan: Plan,
  { kind }: Desired,
  { root, host, mode }: Pick<ChangeContext, 'root' | 'host' | 'mode'>,
): Promise<Manager | undefined> {
  if (mode !== 'live' || !needsNetworkManager(plan, kind)) return undefined;
  const before = await host.profiles(plan.targets.map(({ mac }) => mac));
  if (before === undefined) return undefined;
  const unmanaged = plan.present.find(({ mac }) => before[mac] === undefined);
  if (byNetworkManager(kind) && unmanaged !== undefined) {
    throw new MultinicError(
      'NicUnmanaged',
      `NetworkManager does not manage ${unmanaged.name} (${unmanaged.mac}) on this node; have it do so, or, where netplan configures the node’s NICs, say so by the annotation multinic.io/renderer on the Node, then run \`multinic retry\``,
      { data: { mac: unmanaged.mac } },
    );
  }
  return { before, wanted: wantedProfiles(plan, kind, root), paths: profilePaths(plan, kind) };
}

function settling(plan: Plan, { links }: Pending, { wanted, paths }: Manager): Settling {
  const touched = links.before.map(({ mac }) => mac);
  const profiles = pick(wanted, touched);
  const own = [...paths].flatMap(([mac, path]) => (profiles[mac] ? [path] : []));
  return { paths: [...new Set([...pathsOf(plan), ...own])], profiles };
}

function pick(profiles: Profiles, macs: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(Object.entries(profiles).filter(([mac]) => macs.includes(mac)));
}

/** Who has to answer after a change, and the ways that have to be as before. */
interface Witnesses {
  readonly probes: readonly Probe[];
  readonly apiServer: Endpoint | undefined;
  readonly needs: Needs;
  readonly ways: readonly Way[];
}

async function verify(
  plan: Plan,
  before: HostState,
  pending: Pending,
  { root, host, probe, steps, reload }: ChangeContext,
  { probes, apiServer, needs, ways }: Witnesses,
): Promise<void> {
  verifyFiles(root, expectedFiles(plan));
  const now = await host.state();
  verifyLinks(now.links, expectedLinks(plan, pending));
  verifyReady(await host.readiness(configuredNow(plan, before, pending)), plan.present);
  verifyRest(now, reload ? before : pending.machine);
  const changed = [...plan.present, ...pending.links.after].map(({ mac }) => mac);
  await verifyWays(host, needs, { ways, links: before.links }, new Set(changed));
  for (const each of probes) {
    await steps.pause();
    // To its end: it asks by the NIC, which an undo renames.
    if (!(await host.answers(each))) throw probeFailed(each);
  }
  if (apiServer !== undefined) await steps.unless(expectApiServer(apiServer));
  await probe();
}

/** MACs of the NICs whose links this change configures: what others have come to meanwhile is not its doing. */
function configuredNow(
  { present, targets }: Plan,
  { links }: HostState,
  { links: { after } }: Pending,
): string[] {
  const steps = linkSteps(links, targets);
  // To hear of no router needs no carrier.
  const isQuieted = (mac: string): boolean => {
    const own = steps.filter((step) => step.mac === mac);
    return own.length > 0 && own.every(({ op }) => op === 'ipv6');
  };
  const changed = after.filter(({ mac }) => !isQuieted(mac));
  return present.flatMap(({ mac }) => (changed.some((each) => each.mac === mac) ? [mac] : []));
}

/** All that an undo needs, written down before the first change. */
async function describe(
  plan: Plan,
  before: HostState,
  applied: Applied | null,
  manager: Manager | undefined,
  { root, host, clock, reload }: ChangeContext,
): Promise<Pending> {
  const after = expectedFiles(plan);
  // A network manager that reads its files anew may touch every NIC of ours, not those alone that have to change.
  const changed = new Set([
    ...(reload ? plan.targets : linkSteps(before.links, plan.targets)).map(({ mac }) => mac),
    ...Object.keys(manager?.wanted ?? {}).filter((mac) => manager?.before[mac] !== manager?.wanted[mac]),
  ]);
  const machine = atStake(before, changed);
  // By the change, or by its undo.
  const renamed = linkSteps(before.links, plan.targets).some(
    (step) => step.op === 'rename' && isKnown(step, host),
  );
  return {
    bootId: before.bootId,
    startedAt: clock().toISOString(),
    reload: false,
    ...(manager !== undefined && { profiles: pick(manager.before, [...changed]) }),
    others: await host.others([...changed], reload ? 'all' : renamed ? 'rules' : 'ours'),
    files: pathsOf(plan).map((path) => {
      const content = after.get(path) ?? null;
      return { path, before: root.read(path) ?? null, after: content === null ? null : sha256(content) };
    }),
    links: {
      before: before.links
        // Not the VLAN or bond that copies its MAC.
        .filter((link) => changed.has(link.mac) && nicOf(before.links, link.mac) === link)
        .map(({ master: _, loaded: __, ...link }) => link),
      after: plan.targets
        .filter((target) => changed.has(target.mac))
        .map(({ dropped: _, ...target }) => target),
    },
    machine: {
      links: machine.links.map(({ loaded: _, ...link }) => link),
      routes: machine.routes,
    },
    applied,
  };
}

function pathsOf(plan: Plan): string[] {
  return [...new Set(plan.files.map((step) => step.path))];
}

function foldersOf(plan: Plan): string[] {
  return CONFIG_FOLDERS.filter((folder) => plan.files.some((step) => step.path.startsWith(`${folder}/`)));
}
