import { checkpoint } from '../../api/checkpoint.ts';
import { MultinicError } from '../../api/errors.ts';
import { activateLinks, settleProfiles, type Activation, type Settling } from './activate.ts';
import type { Conflict, Host, HostState, Link, LinkStep, Rename } from '../host/host.ts';
import { hasRestored, isArmed } from '../live/dead-man.ts';
import { except, givingWay, nicOf, type LinkTarget } from '../host/links.ts';
import type { Log } from './run-log.ts';
import { CONFIG_FOLDERS, STAGING } from '../files/managed-files.ts';
import { sha256, type HostRecord, type Pending, type RecordedLink } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';
import { elsewhere } from '../live/foreign-state.ts';
import { describeLost } from './result.ts';
import { lasting, verifyFiles, verifyLinks, verifyReady, verifyRest } from './verify.ts';
import { verifyGateways } from './ways.ts';

/**
 * Puts the host back to what it was before the pending change, from the record alone, and proves it. Doing it twice,
 * or after a kill in its midst, comes to the same.
 * The record still has the change as pending afterwards.
 * @returns what others had, and has not
 * @throws MultinicError `RestoreFailed`; the next run tries again
 */
export async function undo(pending: Pending, root: Root, host: Host, log: Log): Promise<readonly string[]> {
  try {
    restoreFiles(pending, root);
    const { links, bootId } = await host.state();
    // What somebody did since to a NIC that the host has restored by itself is not the change's.
    const restored = hasRestored(root);
    const left = restored
      ? pending.links.before.filter((link) => isChanged(link, links, pending.links.after))
      : pending.links.before;
    const wanted = left.map((link) => undone(link, links, pending.links.after));
    const moved = bootId === pending.bootId ? [] : await takenSince(wanted, links, host);
    if (moved.length > 0) log.warn({ moved }, 'other machines have these addresses by now');
    const targets = givingWay(
      wanted.map(({ addresses, ...target }) => ({
        ...target,
        addresses: addresses.filter((address) => moved.every((each) => each.address !== address)),
      })),
      links,
    );
    const renamed = targets.filter(({ name }) => pending.links.before.every((link) => link.name !== name));
    for (const { mac, name } of renamed)
      log.warn({ mac, name }, 'its name is that of another NIC by now, so it got one of its own');
    const settling = pending.profiles && {
      paths: pending.files.map(({ path }) => path),
      profiles: Object.fromEntries(
        Object.entries(pending.profiles)
          .filter(([mac]) => left.some((link) => link.mac === mac))
          // A profile of NetworkManager's making is for the name.
          .map(([mac, profile]) => [mac, renamed.some((link) => link.mac === mac) ? null : profile]),
      ),
    };
    const change = async (step: LinkStep): Promise<void> => {
      checkpoint('agent.restore.link');
      await host.change(step);
    };
    const settle = restored && left.length === 0 ? undefined : settler(pending, host, settling);
    const own = pending.links.before.flatMap(({ mac }) => nicOf(links, mac) ?? []);
    const since = await host.others(
      own.map(({ mac }) => mac),
      'ours',
    );
    let lost: readonly string[] = [];
    const giveBack = async (): Promise<void> => {
      const added = await host.giveBack(except(since, pending.others), own);
      lost = [...new Set([...added, ...(await giveBackOthers(pending, root, host, log))])];
    };
    const retake = retaker(pending, root, host);
    await activateLinks({ host, targets, change, renamed: retake, settle, giveBack });
    verifyFiles(root, new Map(pending.files.map(({ path, before }) => [path, before?.content ?? null])));
    const now = await host.state();
    // A NIC that left the machine meanwhile cannot be put back.
    const present = targets.filter(({ mac }) => now.links.some((link) => link.mac === mac));
    // What NetworkManager does about IPv6 comes a moment later.
    const settled = present.map(({ ipv6: _, ...link }) => link);
    verifyLinks(now.links, settled);
    const isSameBoot = bootId === pending.bootId;
    return isSameBoot && !isAsBefore(now, pending, log) ? [...lost, 'its own NIC or routes'] : lost;
  } catch (error) {
    throw new MultinicError(
      'RestoreFailed',
      `THE HOST COULD NOT BE RESTORED: ${error instanceof Error ? error.message : String(error)}. What it was is in var/lib/multinic/record.json; the next run tries again`,
      { cause: error },
    );
  }
}

/** Else it is for people to look at: an undo that is tried for ever because a node has another gateway by now helps nobody. */
function isAsBefore(now: HostState, { machine, links }: Pending, log: Log): boolean {
  try {
    verifyRest(now, lasting(machine, links.after));
    return true;
  } catch (error) {
    log.warn({ err: error }, 'not all that was at stake is as it was');
    return false;
  }
}

/** Whether a link still has something that the change gave it. */
function isChanged(before: RecordedLink, links: readonly Link[], targets: readonly RecordedLink[]): boolean {
  const now = nicOf(links, before.mac);
  const after = targets.find(({ mac }) => mac === before.mac);
  if (now === undefined || after === undefined) return false;
  return (
    (now.name === after.name && now.name !== before.name) ||
    (now.mtu === after.mtu && now.mtu !== before.mtu) ||
    now.addresses.some((each) => after.addresses.includes(each) && !before.addresses.includes(each))
  );
}

/** After a reboot, what others had on a NIC (a VIP) may be elsewhere. */
function takenSince(
  targets: readonly LinkTarget[],
  links: readonly Link[],
  host: Host,
): Promise<readonly Conflict[]> {
  return host.conflicts(
    targets.flatMap(({ mac, addresses }) => {
      const now = nicOf(links, mac)?.addresses ?? [];
      return addresses.filter((each) => !now.includes(each)).map((address) => ({ mac, address }));
    }),
  );
}

/** The change's own addresses go; a lease, and what somebody has put on the NIC since, is let be. */
function undone(
  { leases = [], ...target }: RecordedLink,
  links: readonly Link[],
  after: readonly RecordedLink[],
): LinkTarget {
  const now = nicOf(links, target.mac);
  return {
    ...target,
    // Records of earlier agents have leases among them.
    addresses: except(target.addresses, now?.leases ?? []),
    dropped: takenAway({ ...target, leases }, after),
  };
}

/** What a link had in one state, and does not have in the other. */
function takenAway({ mac, addresses, leases = [] }: RecordedLink, other: readonly RecordedLink[]): string[] {
  const had = other.find((link) => link.mac === mac)?.addresses ?? [];
  return except(had, [...addresses, ...leases]);
}

/**
 * Only while the host's own restore is armed, which is what a change and its undo are in: later, or after a reboot, what
 * others had may be elsewhere by now (a VIP on another node).
 */
async function isGivingBack({ bootId }: Pending, root: Root, host: Host): Promise<boolean> {
  return isArmed(root) && (await host.identity()).bootId === bootId;
}

/** @returns what could not be had again */
export async function giveBackOthers(
  pending: Pending,
  root: Root,
  host: Host,
  log: Log,
): Promise<readonly string[]> {
  if (!(await isGivingBack(pending, root, host))) return [];
  const gone = await host.giveBack(pending.others, pending.links.before);
  if (gone.length > 0) log.warn({ gone }, 'what others had there could not be given back');
  return gone;
}

/** Whether networkd may let go of a NIC, or take it, by its names. */
export function isKnown({ mac, from, to }: Rename, host: Host): boolean {
  return host.isNetworkds({ mac, name: from }) || host.isNetworkds({ mac, name: to });
}

/** Where networkd takes a NIC by its name, or lets go of it, and drops what others have, they have it again at once. */
export function retaker(pending: Pending, root: Root, host: Host): Activation['renamed'] {
  const { others, links } = pending;
  return async (steps) => {
    const renames = steps.flatMap((step) => (step.op === 'rename' && isKnown(step, host) ? [step] : []));
    if (renames.length === 0) return;
    await host.retaken(renames, async () => {
      if (await isGivingBack(pending, root, host)) await host.giveBack(elsewhere(others, links.before), []);
    });
  };
}

/**
 * What a network manager does for a change, and for its undo; undefined: nothing.
 * @param begun called before it reads its files anew, which an undo need not have it do when it has not come to that
 */
export function settler(
  { reload, files, links }: Pending,
  host: Host,
  settling: Settling | undefined,
  begun: () => void = () => {},
): Activation['settle'] {
  if (reload) {
    const paths = files.map(({ path }) => path);
    const macs = links.after.map(({ mac }) => mac);
    return async () => {
      begun();
      await host.reload(paths, macs);
    };
  }
  return settling && ((steps) => settleProfiles(host, settling, steps));
}

/** After the record: what is left of it then does nothing. */
export async function disarm(host: Host, log: Log): Promise<void> {
  try {
    await host.disarm();
  } catch (error) {
    log.warn({ err: error }, 'the host’s own restore is still armed; there is nothing left for it to do');
  }
}

function restoreFiles({ files, startedAt }: Pending, root: Root): void {
  for (const { path, before, after } of files.toReversed()) {
    checkpoint('agent.restore.file');
    const now = root.read(path);
    if (now?.content === before?.content && now?.mode === before?.mode) continue;
    // Somebody else wrote it since: theirs is not lost.
    if (now !== undefined && sha256(now.content) !== after) root.backup(path, new Date(startedAt));
    if (before === null) root.remove(path);
    else root.write(path, before.content, before.mode);
  }
}

/**
 * Settles what a killed run left: a change that is complete on the host stands, any other is undone.
 * @returns what was done, for the log
 */
export async function recover(
  root: Root,
  host: Host,
  record: HostRecord,
  probe: () => Promise<void>,
  log: Log,
): Promise<'clean' | 'finished' | 'undone'> {
  // A recorded machine's file is in the root itself.
  root.removeTemporary(['', ...CONFIG_FOLDERS, 'var/lib/multinic']);
  root.removeScratch(STAGING);
  const settled = await settlePending(root, host, record, probe, log);
  checkpoint('agent.recover.disarm');
  await disarm(host, log);
  return settled;
}

async function settlePending(
  root: Root,
  host: Host,
  record: HostRecord,
  probe: () => Promise<void>,
  log: Log,
): Promise<'clean' | 'finished' | 'undone'> {
  const { pending } = record;
  if (pending === undefined) return 'clean';
  if (await isComplete(pending, root, host, probe, log)) {
    record.finish(pending.applied);
    return 'finished';
  }
  const lost = await undo(pending, root, host, log);
  if (lost.length > 0) log.warn({ lost }, describeLost(lost));
  record.abandon();
  return 'undone';
}

/** Whether all that a run verifies before it says Applied holds, though that run did not come to say it. */
async function isComplete(
  pending: Pending,
  root: Root,
  host: Host,
  probe: () => Promise<void>,
  log: Log,
): Promise<boolean> {
  const { files, links, machine } = pending;
  const isAfter = ({ path, after }: Pending['files'][number]): boolean => {
    const file = root.read(path);
    return (file === undefined ? null : sha256(file.content)) === after;
  };
  if (!files.every(isAfter)) return false;
  try {
    verifyLinks(
      (await host.state()).links,
      links.after.map((link) => ({ ...link, dropped: takenAway(link, links.before) })),
    );
    // That run may have come to its last link, and not to this.
    await giveBackOthers(pending, root, host, log);
    const configured = links.after.filter(({ mac }) => pending.applied?.nics[mac] !== undefined);
    verifyReady(await host.readiness(configured.map(({ mac }) => mac)), configured);
    verifyRest(await host.state(), lasting(machine, links.after));
    await verifyGateways(host, machine.routes, links.after);
    await probe();
    return true;
  } catch {
    return false;
  }
}
