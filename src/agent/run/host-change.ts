// The change of a host, as one story: check, plan, write the undo down, arm the host's own restore, write files, change
// links, verify. Whatever fails after the first change, the host is restored.
import { checkpoint } from '../../api/checkpoint.ts';
import { MultinicError } from '../../api/errors.ts';
import { sha256, type Applied, type Pending } from '../files/host-record.ts';
import { toCommands, type ForeignState } from '../host/foreign-state.ts';
import type { Host } from '../host/host.ts';
import { linkSteps } from '../host/links.ts';
import type { HostState, LinkStep } from '../host/machine.ts';
import { expectApiServer, probeFailed } from '../host/probe.ts';
import { planChange, recordedLinks, type ChangePlan } from '../plan/change-plan.ts';
import {
  claimedAddresses,
  earlySteps,
  groupsOf,
  MAX_ROUNDS,
  renameSteps,
  stepsOfRound,
  withoutLoaded,
} from '../plan/link-phases.ts';
import { bootNics, type Desired, type Plan } from '../plan/plan.ts';
import { examine, type ExamineContext, type Examined } from './examine.ts';
import {
  awaitNetworkd,
  isForNetworkd,
  recordedElsewhere,
  restoreForeign,
  type RecordedForeign,
} from './restore-foreign.ts';
import { describeError } from './result.ts';
import type { Log } from './run-log.ts';
import { validateStaged } from './staging.ts';
import type { Steps } from './steps.ts';
import { applyManagerWork } from './manager-work.ts';
import { disarm, undo } from './undo.ts';
import {
  protectedPart,
  durablePart,
  expectedFiles,
  refuseConflicts,
  verifyFiles,
  verifyLinks,
  verifyReady,
  verifyUntouched,
} from './verify.ts';
import { verifyLookups, verifySources } from './route-lookups.ts';
import { routingOfTargets, routingsOf, withoutOwnRoutes, withoutRouting } from '../host/routing.ts';

export interface ChangeContext extends ExamineContext {
  readonly host: Host;
  readonly steps: Steps;
  readonly log: Log;
  readonly clock: () => Date;
  /** Throws when the store does not answer. */
  readonly probe: () => Promise<void>;
  /** Whether the host's network manager is to read all of its files again. */
  readonly reload: boolean;
  /** Seconds after which the host restores itself: later than this run would. */
  readonly deadManSeconds: number;
}

/**
 * Carries a plan out as a whole or not at all. After a failure the host is as it was before, and that is verified.
 * @returns routes, rules and addresses of other software that could not be restored; empty if all could
 * @throws the failure, with the host as before; `RestoreFailed` when the host could not be restored
 */
export async function change(
  plan: Plan,
  before: HostState,
  desired: Desired,
  applied: Applied | null,
  context: ChangeContext,
): Promise<readonly string[]> {
  const { root, host, record, steps, log } = context;
  const examined = await steps.do('preflight', () => examine(plan, before, desired, context));
  const nics = bootNics(plan, before, record.applied);
  await steps.do('validate', () => validateStaged(root, host.boot, desired.kind, plan, nics));
  const todo = planChange(plan, {
    before,
    profiles: examined.profiles,
    reload: context.reload,
    renamesForNetworkd: renameSteps(linkSteps(before.links, plan.targets)).some((step) =>
      isForNetworkd(step, host.managers),
    ),
  });
  await steps.do('backup', () => backUp(todo, context));
  const { pending, foreign } = await steps.do('record', () => begin(todo, before, applied, context));
  let notRestored: readonly string[];
  try {
    await steps.do('arm', () => host.deadMan.arm(pending, context.deadManSeconds));
    await steps.do('write', () => writeFiles(todo, context));
    notRestored = await steps.do('activate', () => activate(todo, pending, foreign, context));
    await steps.do('verify', () => verify(todo, before, examined, context));
    await steps.always('finish', () => record.finish(applied));
  } catch (error) {
    const failedIn = steps.current;
    log.error({ err: error, step: failedIn }, 'the change failed; restoring the host');
    notRestored = await steps.always('restore', () => restore(record.pending ?? pending, error, context));
    log.info('the host is as it was before, verified');
    if (abandon(context)) await disarm(host.deadMan, log);
    throw new FailedChange(error, failedIn, notRestored);
  }
  await steps.always('disarm', () => disarm(host.deadMan, log));
  return notRestored;
}

/**
 * The error of a change that failed. It keeps the step of the failure, because the restore that follows is a step of
 * its own.
 */
export class FailedChange extends Error {
  readonly step: Steps['current'];
  /** Foreign state that the restore could not bring back. */
  readonly notRestored: readonly string[];

  constructor(cause: unknown, step: Steps['current'], notRestored: readonly string[]) {
    super('the change failed', { cause });
    this.step = step;
    this.notRestored = notRestored;
  }
}

function backUp({ paths }: ChangePlan, { root, clock, log }: ChangeContext): void {
  for (const path of paths) {
    const copy = root.backup(path, clock());
    if (copy !== undefined) log.info({ path, copy }, 'backed up');
  }
}

/** Records everything that an undo needs. If this run is killed from here on, the next run undoes the change. */
async function begin(
  todo: ChangePlan,
  before: HostState,
  applied: Applied | null,
  { root, host, record, clock }: ChangeContext,
): Promise<{ pending: Pending; foreign: RecordedForeign }> {
  const links = recordedLinks(todo);
  const all = await host.foreign.read([...todo.changed], todo.foreignScope);
  const state = withoutRouting(all, routingsOf(links));
  // An undo and the next run check these routes.
  const machine = durablePart(protectedPart(before, todo.changed), links.after);
  const after = expectedFiles(todo.files);
  const pending: Pending = {
    bootId: before.bootId,
    startedAt: clock().toISOString(),
    reload: false,
    ...(todo.profiles !== undefined && { profiles: todo.profiles }),
    others: toCommands(state),
    files: todo.paths.map((path) => {
      const content = after.get(path) ?? null;
      return { path, before: root.read(path) ?? null, after: content === null ? null : sha256(content) };
    }),
    links,
    machine: {
      links: machine.links.map(
        ({ loaded: _, yields: __, software: ___, networkManager: ____, routing: _____, ...link }) => link,
      ),
      routes: machine.routes,
    },
    applied,
  };
  record.begin(pending);
  return { pending, foreign: foreignOf(pending, state) };
}

function foreignOf({ bootId, links }: Pending, state: ForeignState): RecordedForeign {
  return { bootId, state, links: links.before, isReloaded: false };
}

async function writeFiles({ files }: ChangePlan, { root, steps, log }: ChangeContext): Promise<void> {
  for (const step of files) {
    await steps.pause();
    if (step.op === 'write') root.write(step.path, step.content, step.mode);
    else root.remove(step.path);
    log.info({ path: step.path }, step.op === 'write' ? 'written' : 'removed');
    checkpoint('agent.write.file');
  }
}

/**
 * Brings the running links to their targets: names first, then the network managers, then whatever still differs.
 * @returns foreign state that could not be restored
 */
async function activate(
  todo: ChangePlan,
  pending: Pending,
  foreign: RecordedForeign,
  context: ChangeContext,
): Promise<readonly string[]> {
  const { root, host, record, log } = context;
  const known = routingOfTargets(todo.targets);
  const found = await host.machine.links(known);
  const steps = linkSteps(found, todo.targets);
  const renames = renameSteps(steps);
  await changeLinks(earlySteps(steps), context);
  await changeLinks(renames, context);
  await awaitNetworkd(renames, [await recordedElsewhere(foreign, root, host)], host);

  const renamed = await host.machine.links(known);
  const targets = withoutLoaded(todo.targets, steps, found, renamed);
  refuseConflicts(await host.neighbours.conflicts(claimedAddresses(steps, todo.present)), todo.present);
  // Records the reload just before it begins, because an undo reloads only if the change came this far.
  if (todo.manager.kind === 'reload') record.begin({ ...pending, reload: true });
  await applyManagerWork(todo.manager, steps, host);

  // Where promote_secondaries is off, the kernel removes the other addresses of a subnet together with the first. The
  // next round adds them again.
  for (let round = 1; round <= MAX_ROUNDS; round += 1) {
    const left = linkSteps(await host.machine.links(known), targets);
    if (left.length === 0) break;
    await changeLinks(stepsOfRound(left), context);
  }
  return restoreForeign({ ...foreign, isReloaded: todo.manager.kind === 'reload' }, root, host, log);
}

async function changeLinks(
  links: readonly LinkStep[],
  { host, steps, log }: Pick<ChangeContext, 'host' | 'steps' | 'log'>,
): Promise<void> {
  for (const group of groupsOf(links)) {
    await steps.pause();
    await host.links.change(group);
    for (const step of group) log.info({ step }, 'link changed');
    checkpoint('agent.activate.link');
  }
}

async function verify(
  todo: ChangePlan,
  before: HostState,
  { probes, apiServer, destinations, lookups }: Examined,
  { root, host, probe, steps, reload }: ChangeContext,
): Promise<void> {
  verifyFiles(root, expectedFiles(todo.files));
  const now = await host.machine.state(routingOfTargets(todo.expected));
  verifyLinks(now.links, todo.expected);
  verifyReady(await host.links.readiness(todo.configured), todo.present);
  await verifySources(host.machine, now.links, todo.expected);
  verifyUntouched(now, reload ? withoutOwnRoutes(before) : protectedPart(before, todo.changed));
  const changed = new Set([...todo.present, ...todo.targets].map(({ mac }) => mac));
  await verifyLookups(host.machine, destinations, { lookups, links: before.links }, changed);
  for (const each of probes) {
    await steps.pause();
    // A probe is not interrupted, because it uses the name of the NIC and an undo renames the NIC.
    if (!(await host.neighbours.answers(each))) throw probeFailed(each);
  }
  if (apiServer !== undefined) await steps.unless(expectApiServer(apiServer));
  await probe();
  await host.neighbours.announce(claimedAddresses(linkSteps(before.links, todo.targets), todo.present));
}

/** @throws MultinicError `RestoreFailed`, with the cause of the restore in its message */
async function restore(
  pending: Pending,
  cause: unknown,
  { root, host, log }: ChangeContext,
): Promise<readonly string[]> {
  try {
    return await undo(pending, root, host, log);
  } catch (error) {
    const { reason, message } = describeError(error);
    throw new MultinicError(
      reason,
      `${message}. The change had failed before: ${describeError(cause).message}`,
      {
        cause: error,
      },
    );
  }
}

/**
 * Removes an undone change from the record. On a full disk the record may keep it: the host's own restore, and the next
 * run, then find nothing left to undo.
 * @returns whether the record was written
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
