// The undo of a change, as one story, from the host record alone: files, links and managers back, foreign state
// restored, all of it verified. A second undo, also after a kill during the first, ends the same.
import { checkpoint } from '../../api/checkpoint.ts';
import { MultinicError } from '../../api/errors.ts';
import { hasRestored } from '../files/armed-restore.ts';
import { sha256, type Pending } from '../files/host-record.ts';
import type { Root } from '../files/root.ts';
import { notOnLinks, toCommands } from '../host/foreign-state.ts';
import type { Host } from '../host/host.ts';
import { linkSteps } from '../host/links.ts';
import { recordedRouting, routingsOf, withoutRouting } from '../host/routing.ts';
import type { Conflict, HostState, LinkStep } from '../host/machine.ts';
import { foreignScope } from '../plan/change-plan.ts';
import {
  earlySteps,
  groupsOf,
  MAX_ROUNDS,
  renameSteps,
  stepsOfRound,
  withoutLoaded,
} from '../plan/link-phases.ts';
import { claimedByUndo, planUndo, type UndoPlan } from '../plan/undo-plan.ts';
import {
  awaitNetworkd,
  isForNetworkd,
  recordedElsewhere,
  recordedForeign,
  restoreForeign,
} from './restore-foreign.ts';
import type { Log } from './run-log.ts';
import { applyManagerWork } from './manager-work.ts';
import { durablePart, verifyFiles, verifyLinks, verifyUntouched } from './verify.ts';

/**
 * Restores the host to its state before the pending change. The record still has the change as pending afterwards.
 * @returns foreign state that could not be restored; empty if all could
 * @throws MultinicError `RestoreFailed`; the next run tries again
 */
export async function undo(pending: Pending, root: Root, host: Host, log: Log): Promise<readonly string[]> {
  try {
    restoreFiles(pending, root);
    const now = await host.machine.state(recordedRouting(pending));
    const facts = { now, hasRestored: hasRestored(root) };
    const conflicts = await host.neighbours.conflicts(claimedByUndo(pending, facts));
    const todo = planUndo(pending, facts, conflicts);
    warnOfDifferences(todo, conflicts, log);
    const notRestored = await activate(todo, pending, root, host, log);
    const isAsBefore = await verify(todo, pending, root, host, log);
    return isAsBefore ? notRestored : [...notRestored, 'its own NIC or routes'];
  } catch (error) {
    throw new MultinicError(
      'RestoreFailed',
      `THE HOST COULD NOT BE RESTORED: ${error instanceof Error ? error.message : String(error)}. The state before the change is in var/lib/multinic/record.json; the next run tries again`,
      { cause: error },
    );
  }
}

function restoreFiles({ files, startedAt }: Pending, root: Root): void {
  for (const { path, before, after } of files.toReversed()) {
    checkpoint('agent.restore.file');
    const now = root.read(path);
    if (now?.content === before?.content && now?.mode === before?.mode) continue;
    // Other software wrote the file since the change, so a copy of it is kept.
    if (now !== undefined && sha256(now.content) !== after) root.backup(path, new Date(startedAt));
    if (before === null) root.remove(path);
    else root.write(path, before.content, before.mode);
  }
}

/**
 * Brings the links back: names first, then the network managers, then whatever still differs.
 * @returns foreign state that could not be restored
 */
async function activate(
  todo: UndoPlan,
  pending: Pending,
  root: Root,
  host: Host,
  log: Log,
): Promise<readonly string[]> {
  const foreign = recordedForeign(pending);
  const macs = todo.nics.map(({ mac }) => mac);
  const known = recordedRouting(pending);
  const found = await host.machine.links(known);
  const steps = linkSteps(found, todo.targets);
  const renames = renameSteps(steps);
  // Reads the state that other software has added since the change, or after a reboot, because an undo removes as much
  // foreign state as a change.
  const forNetworkd = renames.some((rename) => isForNetworkd(rename, host.managers));
  const scope = foreignScope(steps, todo.manager, forNetworkd);
  const since = withoutRouting(await host.foreign.read(macs, scope), routingsOf(pending.links));

  await changeLinks(earlySteps(steps), host.links);
  await changeLinks(renames, host.links);
  const recorded = await recordedElsewhere(foreign, root, host);
  await awaitNetworkd(renames, [notOnLinks(since, todo.nics), recorded], host);

  const renamed = await host.machine.links(known);
  const targets = withoutLoaded(todo.targets, steps, found, renamed);
  // NetworkManager must manage a NIC before it can activate a profile there.
  if (todo.manager.kind === 'profiles')
    await changeLinks(
      steps.filter(({ op }) => op === 'manage'),
      host.links,
    );
  await applyManagerWork(todo.manager, steps, host);
  // Where promote_secondaries is off, the kernel removes the other addresses of a subnet together with the first. The
  // next round adds them again.
  for (let round = 1; round <= MAX_ROUNDS; round += 1) {
    const left = linkSteps(await host.machine.links(known), targets);
    if (left.length === 0) break;
    await changeLinks(stepsOfRound(left), host.links);
  }

  const isReloaded = todo.manager.kind === 'reload';
  const lost = toCommands(await host.foreign.restore(since, todo.nics, isReloaded));
  return [...new Set([...lost, ...(await restoreForeign(foreign, root, host, log))])];
}

async function changeLinks(steps: readonly LinkStep[], links: Host['links']): Promise<void> {
  for (const group of groupsOf(steps)) {
    checkpoint('agent.restore.link');
    await links.change(group);
  }
}

/**
 * @returns whether the node's own NICs and routes are as before. A difference there is logged and is no failure,
 *   because otherwise an undo would be tried for ever once the node has another gateway.
 * @throws MultinicError `VerifyFailed`
 */
async function verify(
  { targets }: UndoPlan,
  pending: Pending,
  root: Root,
  { machine }: Pick<Host, 'machine'>,
  log: Log,
): Promise<boolean> {
  verifyFiles(root, new Map(pending.files.map(({ path, before }) => [path, before?.content ?? null])));
  const now = await machine.state(recordedRouting(pending));
  // A NIC that left the machine cannot be put back.
  const present = targets.filter(({ mac }) => now.links.some((link) => link.mac === mac));
  // IPv6 settings are not compared, because NetworkManager sets them a moment later.
  const withoutIpv6 = present.map(({ ipv6: _, ...link }) => link);
  verifyLinks(now.links, withoutIpv6);
  return now.bootId !== pending.bootId || isAsBefore(now, pending, log);
}

function isAsBefore(now: HostState, { machine, links }: Pending, log: Log): boolean {
  try {
    verifyUntouched(now, durablePart(machine, links.after));
    return true;
  } catch (error) {
    log.warn({ err: error }, 'the node’s own NICs or routes differ from before the change');
    return false;
  }
}

function warnOfDifferences({ renamed }: UndoPlan, conflicts: readonly Conflict[], log: Log): void {
  if (conflicts.length > 0) log.warn({ conflicts }, 'other machines have these addresses by now');
  for (const { mac, name } of renamed)
    log.warn({ mac, name }, 'another NIC has the old name by now, so this NIC gets a name of its own');
}

/**
 * Disarms the host's own restore. The caller writes the record first, so that a restore that still begins then does
 * nothing.
 */
export async function disarm(deadMan: Host['deadMan'], log: Log): Promise<void> {
  try {
    await deadMan.disarm();
  } catch (error) {
    log.warn({ err: error }, 'the host’s own restore is still armed; there is nothing left for it to do');
  }
}
