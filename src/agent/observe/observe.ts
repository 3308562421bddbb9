// One observation: compares a host with the commit that its record names. Changes nothing and takes no lock, so that no
// run ever waits for an observation.
import { describeDifference } from '../../api/difference-words.ts';
import { HostTree, type Observation } from '../../api/observation.ts';
import { concerns } from '../../api/errors.ts';
import type { AgentJob } from '../../api/job.ts';
import { ZERO_OID, type Oid } from '../../api/oid.ts';
import { treeId } from '../../network/tree.ts';
import { HostRecord, type Applied } from '../files/host-record.ts';
import { managedNics, readManaged, RECORD } from '../files/managed-files.ts';
import { knownRouting } from '../host/routing.ts';
import type { Root } from '../files/root.ts';
import { renamedByCloudInit } from '../foreign/cloud-init.ts';
import { findOverridden } from '../foreign/next-boot.ts';
import type { Host } from '../host/host.ts';
import type { HostState, MachineIdentity } from '../host/machine.ts';
import { hostFiles } from '../plan/host-files.ts';
import { isNewMachine } from '../plan/new-machine.ts';
import { bootNics, compare, type Desired, type Plan, type Situation } from '../plan/plan.ts';
import { readSituation } from '../plan/situation.ts';
import { leave, unexpected } from '../plan/used-nics.ts';
import { deadManSeconds } from '../run/deadline.ts';
import {
  adopt,
  describeError,
  describeLeft,
  CLOUD_INIT_RENAMES,
  describeLingering,
  describeRenamed,
  diverged,
  NETWORKD_HOLDS,
  NIC_LEFT,
} from '../run/result.ts';
import { withUses } from '../run/examine.ts';
import { readMachine, type Dependencies } from '../run/run.ts';
import type { Log } from '../run/run-log.ts';
import { foreseeBoots } from '../run/staging.ts';
import { Steps } from '../run/steps.ts';
import {
  appearedNics,
  bootDifference,
  refusalDifference,
  differencesOf,
  digestOf,
  macsOfAddresses,
  markUsed,
  withoutCarrierLoss,
  type FoundDifference,
} from './differences.ts';
import { chooseScratch } from './scratch.ts';

export interface ObservationTask {
  readonly node: string;
  readonly job: string;
  /** The commit that the host's record should name; undefined: the commit that it names. */
  readonly commit: Oid | undefined;
  readonly mode: AgentJob['apply'];
  readonly deadlineSeconds: number;
  readonly checkout: () => Promise<Desired>;
  /** Sends the differing files of the host to the store; absent: there is no store to send them to. */
  readonly send?: (tree: HostTree) => Promise<void>;
}

type Observer = Omit<Dependencies, 'apiServer'>;

/** The end of an observation. The observation adds its name, node and times. */
type Finding = Pick<Observation, 'result'> &
  Partial<Pick<Observation, 'reason' | 'message' | 'differences' | 'digest' | 'tree' | 'warnings'>>;

/** The record as it was at one instant. */
interface SeenRecord {
  readonly record: HostRecord;
  /** Another one after any write of the record. */
  readonly version: string;
}

/** @returns the report; every failure is reported as Unclear */
export async function observe(task: ObservationTask, observer: Observer): Promise<Observation> {
  const { host, log, clock, signal, entered } = observer;
  const startedAt = clock();
  const steps = new Steps(signal, (step) => entered?.(step));
  let identity: MachineIdentity = { machineId: '', bootId: '' };
  let finding: Finding;
  try {
    identity = await steps.do('detect', () => host.machine.identity());
    finding = await find(task, identity, steps, observer);
  } catch (error) {
    const failure = describeError(error);
    log.error({ err: error, step: steps.current }, `unclear in ${steps.current}: ${failure.message}`);
    finding = { result: 'Unclear', ...failure };
  }
  return {
    version: 1,
    mode: 'observe',
    node: task.node,
    job: task.job,
    commit: task.commit ?? ZERO_OID,
    step: steps.current,
    ...identity,
    startedAt: startedAt.toISOString(),
    durationMs: Math.max(0, Math.round(clock().getTime() - startedAt.getTime())),
    differences: [],
    ...finding,
  };
}

async function find(
  task: ObservationTask,
  identity: MachineIdentity,
  steps: Steps,
  observer: Observer,
): Promise<Finding> {
  const { root, host, log } = observer;
  const before = readRecord(root);
  const { applied, pending } = before.record;
  if (pending !== undefined) return underWay(pending, identity, task, observer);
  const expectedRecord = task.commit === undefined ? (applied?.commit ?? null) : task.commit;
  if ((applied?.commit ?? null) !== expectedRecord)
    return await otherRecord(expectedRecord, applied, observer);

  const desired = await steps.do('checkout', () => steps.unless(task.checkout()));
  const known = knownRouting([...desired.network, ...managedNics(root)], applied);
  const state = await steps.do('detect', () => readMachine(desired, host, log, known));
  const situation = readSituation(root, state, {
    desired,
    applied,
    expectedRecord,
    links: task.mode !== 'files',
  });
  const compared = await steps.do('plan', () => compare(situation));
  if (compared.kind === 'adopt') return unclear(adopt(compared.found));
  const { plan, before: used } = await withUses(compared.plan, state, desired, host.machine);
  const found = [
    ...(await withCarrier(usedDifferences(compared.plan, plan, { ...situation, host: used }), plan, host)),
    ...(await steps.do('validate', () => bootDifferences(situation, plan, state, observer))),
  ];
  await steps.pause();
  if (readRecord(root).version !== before.version) return BUSY;
  return await steps.do('report', () => report(task, situation, plan, found, observer));
}

const BUSY: Finding = {
  result: 'Busy',
  message: 'a run is changing this host or has just changed it; observe it again in a minute',
};

/** Reads the record, and tells by the file's identity whether anybody writes it in the meantime. */
function readRecord(root: Root): SeenRecord {
  const version = root.version(RECORD);
  return { record: new HostRecord(root), version };
}

/** A change that is in the record: of a run that is at work, or of one that was killed. */
function underWay(
  { bootId, startedAt }: NonNullable<HostRecord['pending']>,
  identity: MachineIdentity,
  task: ObservationTask,
  { clock }: Observer,
): Finding {
  const age = (clock().getTime() - Date.parse(startedAt)) / 1000;
  if (bootId === identity.bootId && age >= 0 && age <= deadManSeconds(task.deadlineSeconds)) return BUSY;
  return unclear({
    reason: 'RunInterrupted',
    message: `a run that began at ${startedAt} was killed and left a change; the next run finishes or undoes it`,
  });
}

/** A record that does not name the expected commit: of a new machine, or of one that has another commit. */
async function otherRecord(
  expected: Oid | null,
  applied: Applied | undefined,
  { root, host }: Observer,
): Promise<Finding> {
  const isNew = isNewMachine({ host: await host.machine.state(), managed: readManaged(root), applied });
  if (!isNew) return unclear(diverged([], applied, expected));
  return unclear({
    reason: 'NewMachine',
    message:
      'the agent has configured nothing on this machine: its disk is new, or it is another machine; a run configures it',
  });
}

function unclear({ reason, message }: Pick<Finding, 'reason' | 'message'>): Finding {
  return {
    result: 'Unclear',
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
  };
}

/** The differences that a run would repair, and those of NICs that a run leaves because other software uses them. */
function usedDifferences(compared: Plan, { left }: Plan, situation: Situation): FoundDifference[] {
  const { kind } = situation.desired;
  const [taken, used] = [true, false].map((is) => left.filter(({ isTaken }) => isTaken === is));
  return markUsed(differencesOf(situation, leave(compared, taken!, kind)), used!);
}

async function withCarrier(
  found: readonly FoundDifference[],
  plan: Plan,
  host: Host,
): Promise<FoundDifference[]> {
  const macs = macsOfAddresses(found, plan);
  if (macs.length === 0) return [...found];
  const readiness = await host.links.readiness(macs);
  return withoutCarrierLoss(found, new Set(readiness.flatMap(({ mac, carrier }) => (carrier ? [mac] : []))));
}

/** Foreign files that still count at the next boot after a run has repaired our own files. */
async function bootDifferences(
  { desired: { kind }, applied }: Situation,
  plan: Plan,
  state: HostState,
  { root, host, log, clock }: Observer,
): Promise<FoundDifference[]> {
  if (plan.present.length === 0) return [];
  try {
    const scratch = chooseScratch(root, clock());
    const boots = await foreseeBoots(root, host.boot, kind, plan, bootNics(plan, state, applied), scratch);
    return findOverridden(plan.present, boots, kind).map(bootDifference);
  } catch (error) {
    if (concerns(error, 'nextBoot')) return [refusalDifference(error)];
    // A full disk or a command that hangs says nothing about the next boot.
    log.warn({ err: error }, 'could not find out what the next boot does');
    return [];
  }
}

async function report(
  task: ObservationTask,
  situation: Situation,
  plan: Plan,
  found: readonly FoundDifference[],
  { root, log }: Observer,
): Promise<Finding> {
  const left = unexpected(plan.left);
  const lingering = task.mode === 'full' ? [] : plan.lingering;
  if (left.length > 0) log.warn({ left }, describeLeft(left));
  if (lingering.length > 0) log.warn({ lingering }, describeLingering(lingering));
  const renamed = renamedByCloudInit(root, plan.present);
  if (renamed.length > 0) log.warn({ renamed }, describeRenamed(renamed));
  const codes = [
    ...(left.length > 0 ? [NIC_LEFT] : []),
    ...(lingering.length > 0 ? [NETWORKD_HOLDS] : []),
    ...(renamed.length > 0 ? [CLOUD_INIT_RENAMES] : []),
  ];
  const warnings = codes.length > 0 ? { warnings: codes } : {};
  if (found.length === 0) {
    const appeared = appearedNics(situation, plan);
    if (appeared.length === 0) return { result: 'Observed', ...warnings };
    return unclear({
      reason: 'InterfacesFound',
      message: `NICs that were missing are on the machine now: ${appeared.map(({ mac }) => mac).join(', ')}; a run configures them`,
    });
  }
  const differences = found.map(({ difference }) => difference);
  for (const difference of differences)
    log.warn({ difference }, `HostDrifted: ${describeDifference(difference)}`);
  const digest = digestOf(situation.desired.commit, found);
  return {
    result: 'Drifted',
    differences,
    digest,
    ...(await sendTree(task, situation, plan, digest, log)),
    ...warnings,
  };
}

/** Sends the host's files to the store. The store's failure takes nothing from the report but the tree. */
async function sendTree(
  { node, job, send }: ObservationTask,
  { managed, desired }: Situation,
  plan: Plan,
  digest: string,
  log: Log,
): Promise<Pick<Finding, 'tree'>> {
  const onHost = hostFiles(managed, desired, plan);
  const paths = [...new Set([...desired.files.keys(), ...onHost.keys()])].sort();
  const files = paths
    .filter((path) => onHost.get(path) !== desired.files.get(path))
    .map((path) => [path, onHost.get(path) ?? null] as const);
  const tree = treeId(onHost);
  const sent = HostTree.safeParse({
    version: 1,
    node,
    job,
    commit: desired.commit,
    digest,
    tree,
    files: Object.fromEntries(files),
  });
  if (send === undefined) return {};
  if (!sent.success) {
    log.warn({ err: sent.error }, 'the files of the host are too large for the store');
    return {};
  }
  try {
    await send(sent.data);
    return { tree };
  } catch (error) {
    log.warn({ err: error }, 'the store did not take the files of the host');
    return {};
  }
}
