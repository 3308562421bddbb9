// One run of the agent: applies one commit to one host or reports why it cannot, and leaves nothing half-done.
import type { AgentJob } from '../../api/job.ts';
import { concerns, hasCode, MultinicError } from '../../api/errors.ts';
import type { Oid } from '../../api/oid.ts';
import type { Outcome } from '../../api/outcome.ts';
import type { NodeIdentity } from '../../network/node.ts';
import { plural } from '../../network/text.ts';
import { treeId } from '../../network/tree.ts';
import { deadManSeconds } from './deadline.ts';
import { change, FailedChange } from './host-change.ts';
import { expectNoNewLinkLocal, NOTHING, readDesired, without, type Checkout } from '../plan/desired.ts';
import type { Host } from '../host/host.ts';
import { linkSteps } from '../host/links.ts';
import type { HostState } from '../host/machine.ts';
import { takeLock, type Lock } from './host-lock.ts';
import type { Log } from './run-log.ts';
import { renamedByCloudInit } from '../foreign/cloud-init.ts';
import { managedNics, readManaged } from '../files/managed-files.ts';
import { knownRouting, type KnownRouting } from '../host/routing.ts';
import { hostFiles } from '../plan/host-files.ts';
import { bootNics, decide, needsReload, type Desired, type Plan } from '../plan/plan.ts';
import { nextRecord } from '../plan/next-record.ts';
import type { Endpoint } from '../host/probe.ts';
import { HostRecord, type Applied } from '../files/host-record.ts';
import {
  adopt,
  describeError,
  describeLeft,
  describeLingering,
  CLOUD_INIT_RENAMES,
  describeNotRestored,
  describeRenamed,
  NIC_LEFT,
  OTHERS_LOST,
  diverged,
  leavingOut,
  success,
  superseded,
  type Report,
} from './result.ts';
import type { Root } from '../files/root.ts';
import { unexpected } from '../plan/used-nics.ts';
import { readSituation } from '../plan/situation.ts';
import { validateStaged } from './staging.ts';
import { Steps, type Step } from './steps.ts';
import { recover } from './recover.ts';
import { withUses } from './examine.ts';

/** The node's branch. */
export interface Branch {
  /** Fetches the newest commit and reads it back whole. */
  checkout(): Promise<Checkout>;
  /** Whether the store answers. @throws MultinicError `StoreLost` */
  probe(): Promise<void>;
}

export interface Dependencies {
  readonly root: Root;
  readonly host: Host;
  readonly log: Log;
  readonly clock: () => Date;
  /** Aborted with a MultinicError as reason when the run has to end, with the host restored. */
  readonly signal: AbortSignal;
  /** The API server, which has to answer after a change if it answered before. */
  readonly apiServer?: Endpoint;
  readonly entered?: (step: Step) => void;
}

/** Task of a run, with its bounds. */
interface Task extends Pick<Outcome, 'node' | 'job' | 'commit'> {
  /** The commit that the host's record should name; undefined: any commit. */
  readonly expectedRecord: Oid | null | undefined;
  readonly mode: AgentJob['apply'];
  readonly probes: readonly string[];
  /** Addresses of the store, and of API servers. */
  readonly peers: readonly string[];
  readonly probe: () => Promise<void>;
  readonly deadlineSeconds: number;
}

/**
 * Applies a Job's commit.
 * @returns the report; every failure is reported, except that another run holds the lock
 * @throws MultinicError `AgentRunning`
 */
export function run(job: AgentJob, branch: Branch, dependencies: Dependencies): Promise<Outcome> {
  const task: Task = {
    node: job.node,
    job: job.name,
    commit: job.commit,
    expectedRecord: job.expectedRecord,
    mode: job.apply,
    probes: job.probes ?? [],
    peers: peersOf(job),
    probe: () => branch.probe(),
    deadlineSeconds: job.deadlineSeconds,
  };
  return reported(task, dependencies, async (record, steps) => {
    const checkout = await steps.do('checkout', () => steps.unless(branch.checkout()));
    if (checkout.tip !== job.commit) return superseded(job.commit, checkout.tip);
    const { desired, node } = await steps.do('tree', () => {
      const read = readDesired(job.commit, job.node, checkout);
      warnOfLinkLocals(read.desired, record.applied, dependencies);
      return read;
    });
    await warnOfOtherMachine(node, dependencies);
    const { leaveOut = [] } = job;
    const report = await reconcile(task, without(desired, leaveOut), record, steps, dependencies);
    return leavingOut(
      report,
      desired.network.filter(({ mac }) => leaveOut.includes(mac)),
    );
  });
}

/** Addresses that a node must still reach: the host of the job's URL, and the addresses behind a Service. */
export function peersOf({ url, peers = [] }: Pick<AgentJob, 'url' | 'peers'>): string[] {
  return [new URL(url).hostname.replace(/^\[|\]$/g, ''), ...peers];
}

/** Removes all our files and the record from a host. Works without the store, because the store may be gone. */
export function cleanUp(dependencies: Dependencies, deadlineSeconds: number): Promise<Outcome> {
  const task: Task = {
    node: '',
    job: 'cleanup',
    commit: NOTHING.commit,
    expectedRecord: undefined,
    mode: 'live',
    probes: [],
    peers: [],
    probe: async () => {},
    deadlineSeconds,
  };
  return reported(task, dependencies, (record, steps) =>
    reconcile(task, NOTHING, record, steps, dependencies),
  );
}

/** Brings the host to the desired state: detect, plan, and change only if something differs. */
async function reconcile(
  task: Task,
  desired: Desired,
  record: HostRecord,
  steps: Steps,
  dependencies: Dependencies,
): Promise<Report> {
  const { root, host, log, clock, apiServer } = dependencies;
  const { applied } = record;
  const expectedRecord = task.expectedRecord === undefined ? (applied?.commit ?? null) : task.expectedRecord;
  const known = knownRouting([...desired.network, ...managedNics(root)], applied);
  const detected = await steps.do('detect', () => readMachine(desired, host, log, known));
  const decision = await steps.do('plan', () =>
    decide(readSituation(root, detected, { desired, applied, expectedRecord, links: task.mode !== 'files' })),
  );
  if (decision.kind === 'adopt') return adopt(decision.found);
  if (decision.kind === 'diverged') return diverged(decision.found, applied, expectedRecord);
  const full = task.mode === 'full';
  const reload = needsReload(decision.plan, task.mode);
  const { plan: planned, before } = await withUses(decision.plan, detected, desired, host.machine);
  // With `apply: full` networkd loads the new files, so no address lingers.
  const plan = full ? { ...planned, lingering: [] } : planned;
  logOrphans(plan, log);
  const next =
    desired === NOTHING ? null : nextRecord(desired, plan, before, applied, root, task.node, clock());
  let doubt: MultinicError | undefined;
  let notRestored: readonly string[] = [];
  if (plan.files.length === 0 && linkSteps(before.links, plan.targets).length === 0 && !reload) {
    log.info(`nothing to change: the host has ${plural(plan.kept.length, 'file')} as in the commit`);
    doubt = await steps.do('validate', () => doubtOfNextBoot(desired, plan, before, applied, dependencies));
    await steps.do('finish', () => record.finish(next));
  } else {
    notRestored = await change(plan, before, desired, next, {
      root,
      host,
      record,
      steps,
      log,
      clock,
      peers: [...task.peers, ...(apiServer === undefined ? [] : [apiServer.host])],
      probe: task.probe,
      mode: task.mode,
      reload,
      probes: task.probes,
      apiServer,
      deadManSeconds: deadManSeconds(task.deadlineSeconds),
    });
  }
  const left = unexpected(plan.left);
  if (left.length > 0) log.warn({ left }, `${NIC_LEFT}: ${describeLeft(left)}`);
  if (plan.lingering.length > 0) {
    log.warn({ lingering: plan.lingering }, `NetworkdHoldsOldFile: ${describeLingering(plan.lingering)}`);
  }
  if (doubt !== undefined) log.warn({ err: doubt }, 'the next boot may have another result');
  const renamed = renamedByCloudInit(root, plan.present);
  if (renamed.length > 0) log.warn({ renamed }, `${CLOUD_INIT_RENAMES}: ${describeRenamed(renamed)}`);
  return await steps.always('report', () => ({
    ...success(plan, notRestored, doubt, renamed),
    tree: treeId(hostFiles(readManaged(root), desired, plan)),
  }));
}

/** Doubt about the next boot of a host whose files are right: foreign files may have appeared since. */
async function doubtOfNextBoot(
  { kind }: Desired,
  plan: Plan,
  before: HostState,
  applied: Applied | undefined,
  { root, host, log }: Dependencies,
): Promise<MultinicError | undefined> {
  if (plan.present.length === 0) return undefined;
  try {
    await validateStaged(root, host.boot, kind, plan, bootNics(plan, before, applied));
    return undefined;
  } catch (error) {
    if (concerns(error, 'nextBoot')) return error;
    // A full disk or a command that hangs says nothing about the next boot.
    log.warn({ err: error }, 'could not find out what the next boot does');
    return undefined;
  }
}

/** Logs orphaned files with the keywords that operators search for in a Job's log. */
function logOrphans({ orphans }: Plan, log: Log): void {
  const paths = orphans.map(({ path }) => path);
  const what = paths.length === 0 ? 'nothing is orphaned' : `${paths.length} orphaned: ${paths.join(', ')}`;
  log.info({ orphans }, `CleanupOrphanedConfigs: ${what}`);
}

/** @throws InvalidInputError `InvalidTree` for a link-local address that the host does not have from us */
function warnOfLinkLocals(
  desired: Desired,
  applied: Applied | undefined,
  { root, log }: Pick<Dependencies, 'root' | 'log'>,
): void {
  const stored = expectNoNewLinkLocal(desired, applied, readManaged(root));
  if (stored.length > 0) log.warn({ stored }, 'link-local addresses from an earlier version stay');
}

/**
 * Warns if the machine ID differs, as a rebuilt VM's does. The controller learns the new ID from the report, and
 * commits it.
 */
async function warnOfOtherMachine(node: NodeIdentity, { host, log }: Dependencies): Promise<void> {
  const expected = node.machineId;
  const { machineId } = await host.machine.identity();
  if (machineId !== expected) {
    log.warn({ expected, machineId }, 'the machine ID differs from the one in the commit');
  }
}

/** Limit on the routes in a log line, which a person has to read: a node may have 100,000 routes. */
const LOGGED_ROUTES = 100;

/** Waits for NICs that are being attached, and then reads the machine. */
export async function readMachine(
  { network }: Desired,
  host: Host,
  log: Log,
  known: KnownRouting,
): Promise<HostState> {
  await host.machine.attached(network.map(({ mac }) => mac));
  const state = await host.machine.state(known);
  log.info(
    { links: state.links, routes: state.routes.slice(0, LOGGED_ROUTES) },
    `DetectActiveInterfaces: ${state.links.map((link) => `${link.name} ${link.mac}`).join(', ')}`,
  );
  return state;
}

/** Takes the lock, ends the change of a killed run, and turns every result and error into a report. */
async function reported(
  { node, job, commit, probe }: Task,
  { root, host, log, clock, signal, entered }: Dependencies,
  body: (record: HostRecord, steps: Steps) => Promise<Report>,
): Promise<Outcome> {
  const startedAt = clock();
  const steps = new Steps(signal, (step) => entered?.(step));
  let identity: Pick<Outcome, 'machineId' | 'bootId'> = { machineId: '', bootId: '' };
  const outcome = (report: Report): Outcome => ({
    version: 1,
    node,
    job,
    commit,
    step: steps.current,
    ...identity,
    startedAt: startedAt.toISOString(),
    durationMs: Math.max(0, Math.round(clock().getTime() - startedAt.getTime())),
    written: [],
    removed: [],
    missing: [],
    found: [],
    ...report,
  });
  let lock: Lock | undefined;
  try {
    lock = await steps.do('lock', () => takeLock(root));
    const { machineId, bootId } = await host.machine.identity();
    identity = { machineId, bootId };
    const record = new HostRecord(root);
    const recovered = await steps.do('recover', () => recover(root, host, record, probe, log));
    if (recovered !== 'clean') log.info(`an interrupted run was ${recovered}`);
    return outcome(await body(record, steps));
  } catch (error) {
    if (hasCode(error, 'AgentRunning')) throw error;
    const cause = error instanceof FailedChange ? error.cause : error;
    if (error instanceof FailedChange) steps.current = error.step;
    const failure = describeError(cause);
    log.error({ err: cause, step: steps.current }, `failed in ${steps.current}: ${failure.message}`);
    const notRestored = error instanceof FailedChange ? error.notRestored : [];
    if (notRestored.length === 0) return outcome({ result: 'Failed', ...failure });
    const message = `${failure.message}. ${describeNotRestored(notRestored)}`;
    return outcome({ result: 'Failed', ...failure, message, warnings: [OTHERS_LOST] });
  } finally {
    lock?.release();
  }
}
